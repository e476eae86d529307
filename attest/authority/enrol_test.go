package authority

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sbid/attest/internal/akcert"
	"sbid/attest/tpm/tpmtest"
)

func TestEnrolment(t *testing.T) {
	m := newMachine(t)
	known, stranger := tpmtest.NewManufacturer(t), tpmtest.NewManufacturer(t)
	certificate := known.Endorse(t, 0x4711, m.request.EK, nil)
	endorsed := m.with(certificate, known.Authority)
	const token = "one-time token"
	tokenHash := hexHash(sha256.Sum256([]byte(token)))
	pinned := Device{Serial: deviceA, EK: m.hash}
	otherEK := strings.Repeat("ab", 32)

	tests := map[string]struct {
		devices []Device
		request akcert.AttestRequest
		token   string
		want    []string // permanent identifiers
		refusal string
	}{
		"pinned, without certificate":       {[]Device{pinned}, m.request, "", []string{deviceA}, ""},
		"pinned, with a stranger's":         {[]Device{pinned}, m.with(stranger.Endorse(t, 1, m.request.EK, nil)), "", []string{deviceA}, ""},
		"two devices, one TPM":              {[]Device{pinned, {Serial: "X", EK: otherEK}, {Serial: deviceB, EK: m.hash}}, m.request, "", []string{deviceA, deviceB}, ""},
		"one of two is blocked":             {[]Device{pinned, {Serial: deviceB, EK: m.hash, Blocked: true}}, m.request, "", []string{deviceA}, ""},
		"by number of the certificate":      {[]Device{{Serial: deviceA, EKCertificate: "00:47:11"}}, endorsed, "", []string{deviceA}, ""},
		"first use by token":                {[]Device{{Serial: deviceA, Token: tokenHash}}, endorsed, token, []string{deviceA}, ""},
		"token for one more device":         {[]Device{pinned, {Serial: deviceB, Token: tokenHash}}, endorsed, token, []string{deviceA, deviceB}, ""},
		"one token for a whole machine":     {[]Device{{Serial: deviceA, Token: tokenHash}, {Serial: deviceB, Token: tokenHash}}, endorsed, token, []string{deviceA, deviceB}, ""},
		"token that was used by this TPM":   {[]Device{pinned}, endorsed, token, []string{deviceA}, ""},
		"order of certificates":             {[]Device{{Serial: deviceA, EKCertificate: "4711"}}, m.with(known.Authority, certificate), "", []string{deviceA}, ""},
		"unknown TPM":                       {[]Device{{Serial: deviceA, EK: otherEK}}, endorsed, "", nil, "no device for this TPM"},
		"unknown TPM, no certificate":       {[]Device{{Serial: deviceA, EK: otherEK}}, m.request, "", nil, "shows no endorsement certificate"},
		"the hash to register is named":     {nil, m.request, "", nil, m.hash},
		"blocked":                           {[]Device{{Serial: deviceA, EK: m.hash, Blocked: true, Reason: "stolen"}}, endorsed, "", nil, "device " + deviceA + " is blocked (stolen)"},
		"blocked before first use":          {[]Device{{Serial: deviceA, Token: tokenHash, Blocked: true}}, endorsed, token, nil, "is blocked"},
		"wrong token":                       {[]Device{{Serial: deviceA, Token: tokenHash}}, endorsed, token + "x", nil, "token is wrong or was used"},
		"token of an enrolled device":       {[]Device{{Serial: deviceA, Token: tokenHash, EK: otherEK}}, endorsed, token, nil, "token is wrong or was used"},
		"the hash is not the token":         {[]Device{{Serial: deviceA, Token: tokenHash}}, endorsed, tokenHash, nil, "token is wrong or was used"},
		"token, no certificate":             {[]Device{{Serial: deviceA, Token: tokenHash}}, m.request, token, nil, "token is right but the TPM shows no endorsement certificate"},
		"token, unknown manufacturer":       {[]Device{{Serial: deviceA, Token: tokenHash}}, m.with(stranger.Endorse(t, 0x4711, m.request.EK, nil), stranger.Authority), token, nil, "not issued by a manufacturer"},
		"number, unknown manufacturer":      {[]Device{{Serial: deviceA, EKCertificate: "4711"}}, m.with(stranger.Endorse(t, 0x4711, m.request.EK, nil), stranger.Authority), "", nil, "not issued by a manufacturer"},
		"chain is incomplete":               {[]Device{{Serial: deviceA, EKCertificate: "4711"}}, m.with(certificate), "", nil, "not issued by a manufacturer"},
		"another number":                    {[]Device{{Serial: deviceA, EKCertificate: "4712"}}, endorsed, "", nil, "no device for this TPM"},
		"number of a TPM enrolled long ago": {[]Device{{Serial: deviceA, EKCertificate: "4711", EK: otherEK}}, endorsed, "", nil, "no device for this TPM"},
		"certificate is over": {[]Device{{Serial: deviceA, EKCertificate: "4711"}}, m.with(known.Authority, known.Endorse(t, 0x4711, m.request.EK, func(c *x509.Certificate) {
			c.NotAfter = time.Now().Add(-time.Minute)
		})), "", nil, "expired"},
		"certificate for another purpose": {[]Device{{Serial: deviceA, EKCertificate: "4711"}}, m.with(known.Authority, known.Endorse(t, 0x4711, m.request.EK, func(c *x509.Certificate) {
			c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{akcert.AKUsage}
		})), "", nil, "lacks the usage 2.23.133.8.1"},
		"certificate of another key": {[]Device{{Serial: deviceA, EKCertificate: "1"}}, m.with(known.Authority), "", nil, "for another key"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t, []*x509.Certificate{known.Root}, tt.devices...)
			cert, refusal := m.enrol(t, a, tt.request, tt.token)
			if tt.refusal != "" {
				if !strings.Contains(refusal, tt.refusal) {
					t.Errorf("refused with %q, want %q", refusal, tt.refusal)
				}
				return
			}
			if refusal != "" {
				t.Fatalf("refused: %s", refusal)
			}
			names, err := akcert.NamesOf(cert)
			if err != nil || !slices.Equal(names.Permanent, tt.want) {
				t.Errorf("identifiers %q, %v, want %q", names.Permanent, err, tt.want)
			}
			for _, d := range readRegister(t, a) {
				if slices.Contains(tt.want, d.Serial) && (d.EK != m.hash || d.Token != "") {
					t.Errorf("the register has %+v, want the TPM and no token", d)
				}
			}
		})
	}
}

func TestCertificateIsAsStepCAWants(t *testing.T) {
	m := newMachine(t)
	maker := tpmtest.NewManufacturer(t)
	for name, tt := range map[string]struct {
		request akcert.AttestRequest
		want    akcert.Names
	}{
		"in the TPM's words":          {m.request, akcert.Names{Manufacturer: "id:49424D00", Model: "SLB9672", Version: "15.23"}},
		"in the manufacturer's words": {m.with(maker.Endorse(t, 1, m.request.EK, nil), maker.Authority), tpmtest.Names},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t, []*x509.Certificate{maker.Root}, Device{Serial: deviceA, EK: m.hash})
			cert, refusal := m.enrol(t, a, tt.request, "")
			if refusal != "" {
				t.Fatal(refusal)
			}
			if cert.Version != 3 || cert.Subject.String() != "" || cert.IsCA || !cert.BasicConstraintsValid {
				t.Errorf("version %d, subject %q, authority %v", cert.Version, cert.Subject, cert.IsCA)
			}
			if len(cert.ExtKeyUsage) != 0 || len(cert.UnknownExtKeyUsage) != 1 || !cert.UnknownExtKeyUsage[0].Equal(akcert.AKUsage) {
				t.Errorf("extended key usages %v, %v", cert.ExtKeyUsage, cert.UnknownExtKeyUsage)
			}
			for _, e := range cert.Extensions {
				if e.Id.Equal(akcert.SubjectAltName) && !e.Critical {
					t.Error("alternative name is not critical although the subject is empty")
				}
			}
			tt.want.Permanent = []string{deviceA}
			if got, err := akcert.NamesOf(cert); err != nil || got.Manufacturer != tt.want.Manufacturer || got.Model != tt.want.Model || got.Version != tt.want.Version {
				t.Errorf("names %+v, %v, want %+v", got, err, tt.want)
			}
			if left := time.Until(cert.NotAfter); left < 364*24*time.Hour || left > 366*24*time.Hour || time.Since(cert.NotBefore) < backdate {
				t.Errorf("valid from %s to %s", cert.NotBefore, cert.NotAfter)
			}
		})
	}
}

// A certificate without identifiers would open every order.
func TestNoCertificateWithoutIdentifier(t *testing.T) {
	chain, key := testCA(t)
	i, err := newIssuer(chain, key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := (endorsements{roots: x509.NewCertPool()}).parse(newMachine(t).request.EK, nil)
	if err != nil {
		t.Fatal(err)
	}
	if der, err := i.issue(public.public, tpmtest.Names); err == nil || der != nil {
		t.Errorf("issued %x, %v", der, err)
	}
	ok, err := i.issue(public.public, akcert.Names{Permanent: []string{deviceA}})
	if err != nil {
		t.Fatal(err)
	}
	if err := checkIssued(ok[0], nil); err == nil {
		t.Error("a certificate with an identifier passes for one without")
	}
}

func TestSecretOpensOnce(t *testing.T) {
	m, thief := newMachine(t), newMachine(t)
	a := newAuthority(t, nil, Device{Serial: deviceA, EK: m.hash})
	status, answer := call(a, akcert.AttestPath, m.request, nil)
	if status != http.StatusOK {
		t.Fatal(detail(t, answer))
	}
	var challenge akcert.AttestResponse
	if err := json.Unmarshal(answer, &challenge); err != nil {
		t.Fatal(err)
	}
	if got, err := thief.store.Activate(t.Context(), challenge.Credential[2:], challenge.Secret[2:]); err == nil {
		t.Errorf("another TPM opened the secret: %x", got)
	}
	if status, _ := call(a, akcert.SecretPath, akcert.SecretRequest{Secret: make([]byte, 32)}, nil); status != http.StatusForbidden {
		t.Errorf("a guessed secret: %d", status)
	}
	secret := m.open(t, answer)
	if status, answer := call(a, akcert.SecretPath, akcert.SecretRequest{Secret: secret}, nil); status != http.StatusOK {
		t.Errorf("the right secret: %d %s", status, answer)
	}
	if status, _ := call(a, akcert.SecretPath, akcert.SecretRequest{Secret: secret}, nil); status != http.StatusForbidden {
		t.Errorf("the right secret again: %d", status)
	}
}

// Keys of one TPM under the endorsement key of another: the secret is for both.
func TestKeysOfTwoTPMs(t *testing.T) {
	m, other := newMachine(t), newMachine(t)
	a := newAuthority(t, nil, Device{Serial: deviceA, EK: m.hash})
	mixed := m.request
	mixed.Parameters = other.request.Parameters
	status, answer := call(a, akcert.AttestPath, mixed, nil)
	if status != http.StatusOK {
		t.Fatal(detail(t, answer))
	}
	var challenge akcert.AttestResponse
	if err := json.Unmarshal(answer, &challenge); err != nil {
		t.Fatal(err)
	}
	for name, store := range map[string]*machine{"the EK's": m, "the AK's": other} {
		if got, err := store.store.Activate(t.Context(), challenge.Credential[2:], challenge.Secret[2:]); err == nil {
			t.Errorf("%s TPM opened the secret: %x", name, got)
		}
	}
}

func TestBlockedBetweenTheCalls(t *testing.T) {
	m := newMachine(t)
	a := newAuthority(t, nil, Device{Serial: deviceA, EK: m.hash})
	status, answer := call(a, akcert.AttestPath, m.request, nil)
	if status != http.StatusOK {
		t.Fatal(detail(t, answer))
	}
	writeRegister(t, a.register.path, Device{Serial: deviceA, EK: m.hash, Blocked: true, Reason: "recalled"})
	status, answer = call(a, akcert.SecretPath, akcert.SecretRequest{Secret: m.open(t, answer)}, nil)
	if status != http.StatusForbidden || !strings.Contains(detail(t, answer), "recalled") {
		t.Errorf("%d %s", status, answer)
	}
}

// Two TPMs race for one token: the second one to bring its secret loses.
func TestTokenIsForOne(t *testing.T) {
	maker := tpmtest.NewManufacturer(t)
	const token = "for one"
	a := newAuthority(t, []*x509.Certificate{maker.Root}, Device{Serial: deviceA, Token: hexHash(sha256.Sum256([]byte(token)))})
	header := http.Header{"Authorization": {"Bearer " + token}}
	machines := []*machine{newMachine(t), newMachine(t)}
	secrets := make([][]byte, len(machines))
	for i, m := range machines {
		status, answer := call(a, akcert.AttestPath, m.with(maker.Endorse(t, int64(i+1), m.request.EK, nil), maker.Authority), header)
		if status != http.StatusOK {
			t.Fatal(detail(t, answer))
		}
		secrets[i] = m.open(t, answer)
	}
	if status, answer := call(a, akcert.SecretPath, akcert.SecretRequest{Secret: secrets[1]}, nil); status != http.StatusOK {
		t.Fatal(detail(t, answer))
	}
	status, answer := call(a, akcert.SecretPath, akcert.SecretRequest{Secret: secrets[0]}, nil)
	if status != http.StatusConflict || !strings.Contains(detail(t, answer), "another TPM") {
		t.Errorf("%d %s", status, answer)
	}
	if got := readRegister(t, a)[0]; got.EK != machines[1].hash {
		t.Errorf("the register has %+v, want the TPM %s", got, machines[1].hash)
	}
	info, err := os.Stat(a.register.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the register's file: %v, %v", info.Mode(), err)
	}
}

func TestWrongAttestationKeys(t *testing.T) {
	m, other := newMachine(t), newMachine(t)
	if _, err := m.store.Create(t.Context(), "device"); err != nil {
		t.Fatal(err)
	}
	device, err := m.store.Certify(t.Context(), "device", nil)
	if err != nil {
		t.Fatal(err)
	}
	good, foreign := m.request.Parameters, other.request.Parameters
	tests := map[string]struct {
		edit func(*akcert.Parameters)
		want string
	}{
		"unrestricted key":       {func(p *akcert.Parameters) { p.Public = device.Public }, "not a restricted signing key"},
		"no public area":         {func(p *akcert.Parameters) { p.Public = nil }, "public has 0 bytes"},
		"endless public area":    {func(p *akcert.Parameters) { p.Public = make([]byte, maxTPMArg+1) }, "public has 4097 bytes"},
		"damaged public area":    {func(p *akcert.Parameters) { p.Public = p.Public[:20] }, "public area"},
		"bytes behind":           {func(p *akcert.Parameters) { p.Public = append(bytes.Clone(p.Public), 0) }, "do not belong"},
		"another's public area":  {func(p *akcert.Parameters) { p.Public = foreign.Public }, "account of its making: signature"},
		"another's account":      {func(p *akcert.Parameters) { p.CreateAttestation = foreign.CreateAttestation }, "account of its making: signature"},
		"another's signature":    {func(p *akcert.Parameters) { p.CreateSignature = foreign.CreateSignature }, "account of its making: signature"},
		"other creation data":    {func(p *akcert.Parameters) { p.CreateData = append(bytes.Clone(p.CreateData), 0) }, "about another key"},
		"a statement about else": {func(p *akcert.Parameters) { p.CreateAttestation, p.CreateSignature = device.Attest, device.Signature }, "about the making of a key"},
		"no signature":           {func(p *akcert.Parameters) { p.CreateSignature = nil }, "createSignature has 0 bytes"},
	}
	a := newAuthority(t, nil, Device{Serial: deviceA, EK: m.hash})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			request := m.request
			request.Parameters = good
			tt.edit(&request.Parameters)
			status, answer := call(a, akcert.AttestPath, request, nil)
			if got := detail(t, answer); status != http.StatusBadRequest || !strings.Contains(got, tt.want) {
				t.Errorf("%d %q, want %q", status, got, tt.want)
			}
		})
	}
}

// Whoever knows a TPM's endorsement key can ask for secrets in its name, but
// only for so many.
func TestPendingIsBounded(t *testing.T) {
	m := newMachine(t)
	a := newAuthority(t, nil, Device{Serial: deviceA, EK: m.hash})
	for range maxPending {
		if status, answer := call(a, akcert.AttestPath, m.request, nil); status != http.StatusOK {
			t.Fatal(detail(t, answer))
		}
	}
	if status, answer := call(a, akcert.AttestPath, m.request, nil); status != http.StatusTooManyRequests {
		t.Errorf("%d %s", status, answer)
	}
}
