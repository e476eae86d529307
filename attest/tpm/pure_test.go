package tpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// response is one of a TPM that says nothing but a code.
func response(code tpm2.TPMRC) []byte {
	r := []byte{0x80, 0x01, 0, 0, 0, headerSize, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(r[6:], uint32(code))
	return r
}

func codeOf(r []byte) tpm2.TPMRC { return tpm2.TPMRC(binary.BigEndian.Uint32(r[6:])) }

func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		command := []byte("command")
		answers := []tpm2.TPMRC{tpm2.TPMRCRetry, tpm2.TPMRCTesting, tpm2.TPMRCYielded, tpm2.TPMRCNVRate, tpm2.TPMRCSuccess}
		p := &patient{send: func(sent []byte) ([]byte, error) {
			if !bytes.Equal(sent, command) {
				t.Errorf("sent %q", sent)
			}
			code := answers[0]
			answers = answers[1:]
			return response(code), nil
		}}
		begin := time.Now()
		got, err := p.Send(command)
		if err != nil || codeOf(got) != tpm2.TPMRCSuccess || len(answers) > 0 {
			t.Errorf("got %x, %v, with %v left", got, err, answers)
		}
		if waited := time.Since(begin); waited != 15*time.Millisecond { // 1+2+4+8
			t.Errorf("waited %v", waited)
		}
	})
}

func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		done := make(chan struct{})
		p := &patient{done: done, send: func([]byte) ([]byte, error) {
			sent++
			return response(tpm2.TPMRCRetry), nil
		}}
		begin := time.Now()
		got, err := p.Send(nil)
		if err != nil || codeOf(got) != tpm2.TPMRCRetry {
			t.Errorf("got %x, %v", got, err)
		}
		if waited := time.Since(begin); waited > busyLimit || waited < busyLimit-longestWait || sent > 320 {
			t.Errorf("gave up after %v and %d commands", waited, sent)
		}
		// Cancelled, it waits no more, but still sends: others clean up by it.
		close(done)
		begin, sent = time.Now(), 0
		if got, err := p.Send(nil); err != nil || codeOf(got) != tpm2.TPMRCRetry || sent != 1 || time.Since(begin) != 0 {
			t.Errorf("cancelled: %x, %v, after %v and %d commands", got, err, time.Since(begin), sent)
		}
	})
}

func TestPatienceStartsTheTPM(t *testing.T) {
	for _, start := range []bool{true, false} {
		var sent []string
		p := &patient{start: start, send: func(command []byte) ([]byte, error) {
			sent = append(sent, string(command))
			if bytes.Equal(command, startup) || slices.Contains(sent, string(startup)) {
				return response(tpm2.TPMRCSuccess), nil
			}
			return response(tpm2.TPMRCInitialize), nil
		}}
		got, err := p.Send([]byte("command"))
		want, code := []string{"command", string(startup), "command"}, tpm2.TPMRCSuccess
		if !start { // the kernel's business
			want, code = want[:1], tpm2.TPMRCInitialize
		}
		if err != nil || codeOf(got) != code || !slices.Equal(sent, want) {
			t.Errorf("start %v: %x, %v, sent %q", start, got, err, sent)
		}
	}
	// A TPM that wants to be started again and again is not.
	p := &patient{start: true, send: func([]byte) ([]byte, error) { return response(tpm2.TPMRCInitialize), nil }}
	if got, err := p.Send(nil); err != nil || codeOf(got) != tpm2.TPMRCInitialize {
		t.Errorf("got %x, %v", got, err)
	}
}

func TestNewAuth(t *testing.T) {
	for range 100 {
		auth, err := newAuth()
		if err != nil || len(auth) != authSize || bytes.IndexByte(auth, 0) >= 0 {
			t.Fatalf("%x, %v", auth, err)
		}
	}
}

// testKeyFile is a key file with the given modulus.
func testKeyFile(t testing.TB, modulus []byte) []byte {
	t.Helper()
	text, err := keyFile{
		public:  tpm2.New2B(signingTemplate(signingAttributes, modulus)),
		private: tpm2.TPM2BPrivate{Buffer: []byte("encrypted by the TPM")},
	}.marshal()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A TPM would load, and sign with, keys that are weaker than ours.
func TestSigningKey(t *testing.T) {
	modulus := bytes.Repeat([]byte{0xC5}, keyBits/8)
	good := signingTemplate(signingAttributes, modulus)
	if key, err := signingKey(&good, signingAttributes); err != nil || key.N.BitLen() != keyBits || key.E != 65537 {
		t.Errorf("got %v, %v", key, err)
	}
	for name, change := range map[string]func(*tpm2.TPMTPublic){
		"may be duplicated":   func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedTPM = false },
		"other parent":        func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedParent = false },
		"made elsewhere":      func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SensitiveDataOrigin = false },
		"restricted":          func(p *tpm2.TPMTPublic) { p.ObjectAttributes.Restricted = true },
		"decrypts":            func(p *tpm2.TPMTPublic) { p.ObjectAttributes.Decrypt = true },
		"dictionary attacks":  func(p *tpm2.TPMTPublic) { p.ObjectAttributes.NoDA = false },
		"policy":              func(p *tpm2.TPMTPublic) { p.AuthPolicy.Buffer = make([]byte, 32) },
		"name by SHA-1":       func(p *tpm2.TPMTPublic) { p.NameAlg = tpm2.TPMAlgSHA1 },
		"1024 bits":           func(p *tpm2.TPMTPublic) { *p = withBits(modulus[:128], 1024) },
		"2048 bits announced": func(p *tpm2.TPMTPublic) { *p = withBits(modulus[:128], keyBits) },
		"ECC":                 func(p *tpm2.TPMTPublic) { *p = srkTemplate },
		"no scheme":           func(p *tpm2.TPMTPublic) { *p = tpm2.RSASRKTemplate },
	} {
		bad := signingTemplate(signingAttributes, modulus)
		change(&bad)
		if key, err := signingKey(&bad, signingAttributes); err == nil {
			t.Errorf("%s: taken as %d bits", name, key.N.BitLen())
		}
	}
}

func withBits(modulus []byte, bits tpm2.TPMKeyBits) tpm2.TPMTPublic {
	p := signingTemplate(signingAttributes, modulus)
	parameters, err := p.Parameters.RSADetail()
	if err != nil {
		panic(err)
	}
	parameters.KeyBits = bits
	return p
}

func FuzzParseKeyFile(f *testing.F) {
	good := testKeyFile(f, bytes.Repeat([]byte{0xC5}, keyBits/8))
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(bytes.Replace(good, []byte("MII"), []byte("MIH"), 1))
	f.Add([]byte("-----BEGIN TSS2 PRIVATE KEY-----\nMAA=\n-----END TSS2 PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		parsed, err := parseKeyFile(text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "read TSS2 key: ") {
				t.Errorf("error %v", err)
			}
			return
		}
		again, err := parsed.marshal()
		if err != nil {
			t.Fatal(err)
		}
		reparsed, err := parseKeyFile(again)
		if err != nil || !bytes.Equal(tpm2.Marshal(reparsed.public), tpm2.Marshal(parsed.public)) ||
			!bytes.Equal(reparsed.private.Buffer, parsed.private.Buffer) {
			t.Errorf("changed by writing and reading it again: %v", err)
		}
		// What Signer does with it.
		if o, err := newObject(0, parsed.public); err == nil {
			if key, err := signingKey(&o.public, signingAttributes); err == nil && key.N.BitLen() != keyBits {
				t.Errorf("took a key of %d bits", key.N.BitLen())
			}
		}
	})
}

// testRecord has every member.
func testRecord() record {
	name := bytes.Repeat([]byte{11}, nameSize)
	return record{
		Key: name, SRK: name, EK: make([]byte, 32), Created: time.Now().UTC().Truncate(time.Second),
		Origin: OriginStorage, Creation: &creation{Data: name, Attest: name, Signature: name},
	}
}

func FuzzParseRecord(f *testing.F) {
	good, err := testRecord().marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(`{"key":"0","created":"2026-01-02T03:04:05Z"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		parsed, err := parseRecord(text)
		if err != nil {
			return
		}
		again, err := parsed.marshal()
		if err != nil {
			t.Fatal(err)
		}
		reparsed, err := parseRecord(again)
		if err != nil || !bytes.Equal(reparsed.sum(), parsed.sum()) || !reparsed.Created.Equal(parsed.Created) {
			t.Errorf("%+v became %+v, %v", parsed, reparsed, err)
		}
	})
}

func TestRecordRefuses(t *testing.T) {
	good := testRecord()
	for what, change := range map[string]func(*record){
		"key":     func(r *record) { r.Key = r.Key[1:] },
		"SRK":     func(r *record) { r.SRK = nil },
		"EK":      func(r *record) { r.EK = append(bytes.Clone(r.EK), 0) },
		"origin":  func(r *record) { r.Origin = "elsewhere" },
		"created": func(r *record) { r.Created = r.Created.Add(time.Second) },
	} {
		r := good
		change(&r)
		text, err := r.marshal()
		if what == "created" { // with the sum of before
			text, err = good.marshal()
			text = bytes.Replace(text, []byte(good.Created.Format(time.RFC3339)), []byte(r.Created.Format(time.RFC3339)), 1)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseRecord(text); err == nil {
			t.Errorf("taken with a wrong %s: %s", what, text)
		}
	}
	if _, err := parseRecord(nil); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("an empty record: %v", err)
	}
}
