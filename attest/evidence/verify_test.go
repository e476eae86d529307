//go:build linux

package evidence

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"sbid/attest/tpm"
)

// resultOf returns what became of a check.
func resultOf(r Report, name string) (Result, string) {
	for _, c := range r.Checks {
		if c.Name == name {
			return c.Result, c.Text
		}
	}
	return "not done", ""
}

func wantResult(t *testing.T, what string, r Report, name string, want Result) {
	t.Helper()
	if got, text := resultOf(r, name); got != want {
		t.Errorf("%s: %s is %s (%s), want %s", what, name, got, text, want)
	}
}

func TestVerify(t *testing.T) {
	m := newMachine(t)
	document := m.collect(t)
	inCBOR, err := ToCBOR(document)
	if err != nil {
		t.Fatal(err)
	}
	if len(inCBOR) >= len(document) {
		t.Errorf("%d bytes of CBOR for %d of JSON", len(inCBOR), len(document))
	}
	for form, document := range map[string][]byte{"JSON": document, "CBOR": inCBOR} {
		r := Verify(document, m.options)
		if err := r.Err(); err != nil {
			t.Errorf("%s: %v", form, err)
		}
		for _, c := range r.Checks {
			if c.Name != CheckClock && c.Result != Passed || !strings.HasSuffix(c.Text, ".") {
				t.Errorf("%s: %s: %s: %s", form, c.Name, c.Result, c.Text)
			}
		}
		if r.Claims == nil || string(r.Claims.Checkpoint) != "checkpoint" || r.State.Counter == 0 || r.State.CounterIndex != tpm.DefaultCounter {
			t.Errorf("%s: %+v, %+v", form, r.Claims, r.State)
		}
	}
	t.Logf("%d bytes of JSON, %d of CBOR", len(document), len(inCBOR))
	t.Run("every byte", func(t *testing.T) { everyByte(t, m) })
	t.Run("parts", func(t *testing.T) { exchangedParts(t, m, document) })
	t.Run("options", func(t *testing.T) { demands(t, m, document) })
}

// everyByte changes each byte of each part, and each of the text around them.
func everyByte(t *testing.T, m *machine) {
	subject := m.subject
	subject.Keys = subject.Keys[:1] // the other's bytes are no different
	inJSON, err := Collect(t.Context(), m.store, subject)
	if err != nil {
		t.Fatal(err)
	}
	inCBOR, err := ToCBOR(inJSON)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parse(inJSON)
	if err != nil {
		t.Fatal(err)
	}
	// Authorities are for other tests: here the keys are known, and a byte of a
	// certificate has to be missed all the same.
	options := m.options
	options.Certificates = nil
	options.EKRoots, options.EKDigests = nil, []Digest{sha256.Sum256(c[labelEK])}
	ak, err := m.store.AttestationKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	options.AKRoots, options.AKNames = nil, [][]byte{ak.Name}
	if err := Verify(inJSON, options).Err(); err != nil {
		t.Fatal(err)
	}
	for _, label := range c.labels() {
		for i := range c[label] {
			other := maps.Clone(c)
			other[label] = bytes.Clone(c[label])
			other[label][i] ^= 1 << (i % 8)
			v := &verifier{options: options}
			if v.check(CheckDocument, func() (string, error) { return v.take(other) }) {
				v.verify()
			}
			if v.Err() == nil {
				t.Errorf("believed %s with byte %d changed", label, i)
			}
		}
	}
	// A byte that stands for one of a part is done: of those a few.
	var changed [][]byte
	inside, n := false, 0
	for _, document := range [][]byte{inJSON, inCBOR} {
		for i, b := range document {
			inside = inside && b != '"'
			if inside || document[0] != '{' {
				if n++; n%97 != 0 {
					continue
				}
			}
			inside = inside || bytes.HasSuffix(document[:i+1], []byte(`","`))
			other := bytes.Clone(document)
			other[i] ^= 1 << (i % 8)
			changed = append(changed, other)
		}
	}
	// The last character of base64 has bits that stand for nothing.
	for label, data := range c {
		if len(data)%3 == 0 {
			continue
		}
		text := base64.RawURLEncoding.EncodeToString(data)
		other := text[:len(text)-1] + string(text[len(text)-1]+1)
		changed = append(changed, bytes.Replace(inJSON, []byte(mediaType(label)+`","`+text), []byte(mediaType(label)+`","`+other), 1))
	}
	for _, document := range changed {
		if Verify(document, options).Err() == nil {
			t.Errorf("believed a document with a changed byte: %.300q", document)
		}
	}
	t.Logf("%d texts", len(changed))
}

// exchangedParts adds, leaves out and exchanges whole parts.
func exchangedParts(t *testing.T, m *machine, document []byte) {
	c, err := parse(document)
	if err != nil {
		t.Fatal(err)
	}
	again, err := parse(m.collect(t)) // of the same machine, one second later or less
	if err != nil {
		t.Fatal(err)
	}
	m.subject.Time = m.subject.Time.Add(time.Second)
	later, err := parse(m.collect(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, label := range c.labels() {
		left := maps.Clone(c)
		delete(left, label)
		if text, err := left.marshal(); err != nil || Verify(text, m.options).Err() == nil {
			t.Errorf("believed a document without %s, %v", label, err)
		}
		if bytes.Equal(c[label], later[label]) {
			continue
		}
		mixed := maps.Clone(c)
		mixed[label] = later[label]
		if text, err := mixed.marshal(); err != nil || Verify(text, m.options).Err() == nil {
			t.Errorf("believed %s of another document, %v", label, err)
		}
	}
	added := maps.Clone(c)
	added["key/other"] = again["key/ftm"]
	if text, err := added.marshal(); err != nil || Verify(text, m.options).Err() == nil {
		t.Errorf("believed a part more, %v", err)
	}
	// Two keys' statements change places.
	swapped := maps.Clone(c)
	swapped["key/ftm"], swapped["key/device.slap.1"] = c["key/device.slap.1"], c["key/ftm"]
	text, err := swapped.marshal()
	if err != nil {
		t.Fatal(err)
	}
	wantResult(t, "keys that changed places", Verify(text, m.options), "key/ftm", Failed)

	for name, text := range map[string]string{
		"nothing":           "",
		"an empty document": "{}",
		"no CBOR":           "\xA1",
		"a member twice":    strings.Replace(string(document), `{"ak":`, `{"ak":["application/vnd.sbid.tpmt-public",""],"ak":`, 1),
		"an unknown label":  strings.Replace(string(document), `{"ak":`, `{"aj":["application/json",""],"ak":`, 1),
		"another type":      strings.Replace(string(document), `["application/json"`, `["application/jose"`, 1),
		"white space":       strings.Replace(string(document), `{"ak":`, `{ "ak":`, 1),
		"an escape":         strings.Replace(string(document), `{"ak":`, `{"\u0061k":`, 1),
		"something after":   string(document) + "\n",
		"a member more":     strings.Replace(string(document), `["application/json",`, `["application/json","",`, 1),
	} {
		r := Verify([]byte(text), m.options)
		wantResult(t, name, r, CheckDocument, Failed)
		if err := r.Err(); !errors.Is(err, ErrNotTrusted) || len(r.Checks) != 1 {
			t.Errorf("%s: %d checks, %v", name, len(r.Checks), err)
		}
	}
}

// demands varies what the verifier knows.
func demands(t *testing.T, m *machine, document []byte) {
	c, err := parse(document)
	if err != nil {
		t.Fatal(err)
	}
	known := Verify(document, m.options)
	ak, err := m.store.AttestationKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stranger := newAuthority(t)
	ekDigest := known.Claims.Parts[labelEK]
	if len(c[labelEK]) == 0 {
		t.Fatal("no endorsement key")
	}
	for name, test := range map[string]struct {
		change  func(*Options)
		check   string
		want    Result
		trusted bool
	}{
		"another nonce":          {func(o *Options) { o.Nonce = []byte("fedcba9876543210") }, CheckNonce, Failed, false},
		"no nonce":               {func(o *Options) { o.Nonce = nil }, CheckNonce, Failed, false},
		"six minutes later":      {func(o *Options) { o.Now = o.Now.Add(6 * time.Minute) }, CheckTime, Failed, false},
		"six minutes early":      {func(o *Options) { o.Now = o.Now.Add(-6 * time.Minute) }, CheckTime, Failed, false},
		"four minutes later":     {func(o *Options) { o.Now = o.Now.Add(4 * time.Minute) }, CheckTime, Passed, true},
		"other manufacturers":    {func(o *Options) { o.EKRoots = []*x509.Certificate{stranger.root} }, CheckEndorsement, Failed, false},
		"a known EK":             {func(o *Options) { o.EKRoots, o.EKDigests = nil, []Digest{ekDigest} }, CheckEndorsement, Passed, true},
		"another EK":             {func(o *Options) { o.EKRoots, o.EKDigests = nil, []Digest{{}} }, CheckEndorsement, Failed, false},
		"no EK to compare":       {func(o *Options) { o.EKRoots = nil }, CheckEndorsement, NotPossible, true},
		"other AK authority":     {func(o *Options) { o.AKRoots = []*x509.Certificate{stranger.root} }, CheckAttestation, Failed, false},
		"a known AK":             {func(o *Options) { o.AKRoots, o.AKNames = nil, [][]byte{ak.Name} }, CheckAttestation, Passed, true},
		"another AK":             {func(o *Options) { o.AKRoots, o.AKNames = nil, [][]byte{make([]byte, 34)} }, CheckAttestation, Failed, false},
		"no AK to compare":       {func(o *Options) { o.AKRoots = nil }, CheckAttestation, NotPossible, false},
		"another certificate":    {func(o *Options) { o.Certificates = []*x509.Certificate{stranger.root} }, CheckCertificates, Failed, false},
		"no certificate":         {func(o *Options) { o.Certificates = nil }, CheckCertificates, NotPossible, true},
		"another program":        {func(o *Options) { o.Programs = []Digest{{}} }, CheckProgram, Failed, false},
		"no program":             {func(o *Options) { o.Programs = nil }, CheckProgram, NotPossible, true},
		"the same state":         {func(o *Options) { o.Last = &known.State }, CheckAudit, Passed, true},
		"a higher counter":       {func(o *Options) { s := known.State; s.Counter++; o.Last = &s }, CheckAudit, Failed, false},
		"another counter":        {func(o *Options) { s := known.State; s.CounterIndex++; o.Last = &s }, CheckAudit, Failed, false},
		"more starts before":     {func(o *Options) { s := known.State; s.ResetCount++; o.Last = &s }, CheckClock, Failed, false},
		"more restarts before":   {func(o *Options) { s := known.State; s.RestartCount++; o.Last = &s }, CheckClock, Failed, false},
		"a lower counter before": {func(o *Options) { s := known.State; s.Counter = 0; o.Last = &s }, CheckAudit, Passed, true},
	} {
		options := m.options
		test.change(&options)
		r := Verify(document, options)
		wantResult(t, name, r, test.check, test.want)
		if err := r.Err(); (err == nil) != test.trusted {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What machines can be, honest and otherwise.
func TestMachines(t *testing.T) {
	m := newMachine(t)
	ak, err := m.store.AttestationKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.store.Import(t.Context(), "imported", key); err != nil {
		t.Fatal(err)
	}
	with := func(edit func(*x509.Certificate)) func(*Subject) {
		return func(s *Subject) { s.AKCertificates = []*x509.Certificate{m.authority.vouch(t, ak, edit)} }
	}
	origin := func(index int, origin tpm.Origin) func(*Subject) {
		return func(s *Subject) {
			s.Keys = slices.Clone(s.Keys)
			s.Keys[index].Origin = origin
		}
	}
	first := prefixKey + m.subject.Keys[0].Name
	other := map[tpm.Origin]tpm.Origin{tpm.OriginStorage: tpm.OriginEndorsement, tpm.OriginEndorsement: tpm.OriginStorage}[m.subject.Keys[0].Origin]
	for name, test := range map[string]struct {
		change  func(*Subject)
		check   string
		want    Result
		trusted bool
	}{
		"no AK certificate":        {func(s *Subject) { s.AKCertificates = nil }, CheckAttestation, NotPossible, false},
		"AK of another serial":     {func(s *Subject) { s.Keys = []Key{{Name: tpm.FTMKey, Serial: "OTHER", Origin: tpm.OriginEndorsement}} }, CheckAttestation, Failed, false},
		"AK without the usage":     {with(func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil }), CheckAttestation, Failed, false},
		"AK with another usage":    {with(func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3}} }), CheckAttestation, Failed, false},
		"AK of an authority":       {with(func(c *x509.Certificate) { c.IsCA = true }), CheckAttestation, Failed, false},
		"AK without an identifier": {with(func(c *x509.Certificate) { c.ExtraExtensions = nil }), CheckAttestation, Failed, false},
		"certificate of another":   {func(s *Subject) { s.AKCertificates = []*x509.Certificate{m.authority.root} }, CheckAttestation, Failed, false},
		"an imported key": {func(s *Subject) {
			s.Keys = append(slices.Clone(s.Keys), Key{Name: "imported", Serial: serial, Origin: tpm.OriginImported})
		}, "key/imported", NotPossible, true},
		"an imported key that is said to be the TPM's": {func(s *Subject) {
			s.Keys = append(slices.Clone(s.Keys), Key{Name: "imported", Serial: serial, Origin: tpm.OriginStorage})
		}, "key/imported", Failed, false},
		"a key of the TPM's that is said to be imported": {origin(0, tpm.OriginImported), first, Failed, false},
		"a key said to be of the other hierarchy":        {origin(0, other), first, Failed, false},
		"a key with another's certificate": {func(s *Subject) {
			s.Keys = slices.Clone(s.Keys)
			s.Keys[0].Certificate = s.Keys[1].Certificate
		}, first, Failed, false},
		"a key twice": {func(s *Subject) { s.Keys = append(slices.Clone(s.Keys), s.Keys[0]) }, CheckParts, Failed, false},
		"no logs":     {func(s *Subject) { s.Machine = Machine{} }, CheckEventLog, NotPossible, true},
		"another log": {func(s *Subject) {
			s.Machine.EventLog = writeLog(secureBootEvent(true))
		}, CheckEventLog, Failed, false},
		"a malformed log": {func(s *Subject) { s.Machine.EventLog = []byte("text") }, CheckEventLog, Failed, false},
		"a list that does not fit": {func(s *Subject) {
			entry, _ := imaEntry("another file")
			s.Machine.IMA = entry
		}, CheckIMA, NotPossible, true},
	} {
		subject, options := m.subject, m.options
		test.change(&subject)
		options.Certificates = nil
		document, err := Collect(t.Context(), m.store, subject)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r := Verify(document, options)
		wantResult(t, name, r, test.check, test.want)
		if err := r.Err(); (err == nil) != test.trusted {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInsecureBoot(t *testing.T) {
	m := newMachine(t)
	// The firmware starts again, without.
	fresh := newMachineBooting(t, false)
	r := Verify(fresh.collect(t), fresh.options)
	wantResult(t, "Secure Boot off", r, CheckSecureBoot, Failed)
	wantResult(t, "Secure Boot off", r, CheckEventLog, Passed)
	// Another TPM's evidence does not become this one's by its certificates.
	fresh.subject.AKCertificates = m.subject.AKCertificates
	options := fresh.options
	options.AKRoots = m.options.AKRoots
	wantResult(t, "an attestation key's certificate on another TPM", Verify(fresh.collect(t), options), CheckAttestation, Failed)
}

// What is not to be had is left out, and said.
func TestPartsThatCannotBeHad(t *testing.T) {
	m := newMachine(t)
	m.collect(t) // what lasts is made
	setAuth := func(hierarchy tpm2.TPMHandle) {
		m.direct(t, func(direct transport.TPM) error {
			_, err := tpm2.HierarchyChangeAuth{
				AuthHandle: tpm2.AuthHandle{Handle: hierarchy, Auth: tpm2.PasswordAuth(nil)},
				NewAuth:    tpm2.TPM2BAuth{Buffer: []byte("password")},
			}.Execute(direct)
			return err
		})
	}
	setAuth(tpm2.TPMRHEndorsement)
	r := Verify(m.collect(t), m.options)
	wantResult(t, "endorsement password", r, CheckEndorsement, NotPossible)
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	other, err := tpm.Open(t.Context(), tpm.Config{Device: m.device, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.IncrementCounter(t.Context()); err != nil { // takes it over
		t.Fatal(err)
	}
	r = Verify(m.collect(t), m.options)
	wantResult(t, "another's counter", r, CheckAudit, NotPossible)
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	if why := r.Claims.Absent[labelAudit]; !strings.Contains(why, "another program") {
		t.Errorf("says %q", why)
	}
}

func TestCollectRefuses(t *testing.T) {
	m := newMachine(t)
	for name, change := range map[string]func(*Subject){
		"a short nonce": func(s *Subject) { s.Nonce = make([]byte, minNonce-1) },
		"a long nonce":  func(s *Subject) { s.Nonce = make([]byte, maxNonce+1) },
		"a key that is not there": func(s *Subject) {
			s.Keys = []Key{{Name: "absent"}}
		},
	} {
		subject := m.subject
		change(&subject)
		if _, err := Collect(t.Context(), m.store, subject); err == nil {
			t.Errorf("%s: evidence was collected", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Collect(ctx, m.store, m.subject); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := ToCBOR([]byte("{")); err == nil {
		t.Error("half a document became CBOR")
	}
}

func FuzzVerify(f *testing.F) {
	c := collection{labelClaims: []byte("{}"), labelAK: nil, labelQuote: make([]byte, 6), prefixKey + "ftm": nil}
	text, err := c.marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	inCBOR, err := c.marshalCBOR()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(inCBOR)
	f.Fuzz(func(t *testing.T, document []byte) {
		if r := Verify(document, Options{Nonce: []byte("01234567")}); r.Err() == nil || len(r.Checks) == 0 {
			t.Errorf("believed, after %d checks", len(r.Checks))
		}
		// What can be read has one form.
		c, err := parse(document)
		if err != nil {
			return
		}
		again, err := c.marshal()
		if document[0] != '{' {
			again, err = c.marshalCBOR()
		}
		if err != nil || !bytes.Equal(again, document) {
			t.Errorf("became %q, %v", again, err)
		}
	})
}

func FuzzParseStatement(f *testing.F) {
	f.Add(make([]byte, 6))
	f.Add(append([]byte{0, 4, 0xFF, 'T', 'C', 'G'}, make([]byte, 4)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		if s, err := parseStatement(data); err == nil && len(s.raw)+len(s.about)+len(rsassa)+256+6 != len(data) {
			t.Error("another statement than was given")
		}
		if attest, err := exactly[tpm2.TPMSAttest](data); err == nil && attest.Magic != tpm2.TPMGeneratedValue {
			t.Error("took what no TPM makes")
		}
		if public, err := exactly[tpm2.TPMTPublic](data); err == nil {
			if key, err := keyOf(public); err == nil && key.N.BitLen() != 2048 {
				t.Errorf("took a key of %d bits", key.N.BitLen())
			}
		}
		if _, err := exactly[tpm2.TPMSNVPublic](data); err == nil && len(data) < 14 {
			t.Errorf("took %d bytes for an NV index", len(data))
		}
	})
}
