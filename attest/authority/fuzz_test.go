package authority

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"sbid/attest/internal/akcert"
)

// Whatever is sent to whichever call, there is one well-formed answer, and
// never a certificate.
func FuzzCalls(f *testing.F) {
	m := newMachine(f)
	attest, err := json.Marshal(m.request)
	if err != nil {
		f.Fatal(err)
	}
	webhook, err := json.Marshal(question(f, deviceA))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(akcert.AttestPath, attest)
	f.Add(akcert.SecretPath, []byte(`{"secret":"AAAA"}`))
	f.Add(WebhookPath, webhook)
	a := newAuthority(f, nil, Device{Serial: deviceA, EK: strings.Repeat("ab", 32)})
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		switch path {
		case akcert.AttestPath, akcert.SecretPath, WebhookPath:
		default:
			return
		}
		status, answer := call(a, path, body, signed(body, testSecret))
		if !json.Valid(answer) || path != WebhookPath && status == http.StatusOK {
			t.Errorf("%d %q", status, answer)
		}
	})
}

// A public area that is accepted is a restricted RSA-2048 signing key; its name
// follows from it.
func FuzzAttestationKey(f *testing.F) {
	p := newMachine(f).request.Parameters
	f.Add(p.Public, p.CreateData, p.CreateAttestation, p.CreateSignature)
	f.Fuzz(func(t *testing.T, public, data, attestation, signature []byte) {
		ak, err := parseAttestationKey(akcert.Parameters{Public: public, CreateData: data, CreateAttestation: attestation, CreateSignature: signature})
		if err == nil && (ak.public.N.BitLen() != keyBits || len(ak.name) != 34) {
			t.Errorf("accepted %d bits, name %x", ak.public.N.BitLen(), ak.name)
		}
		area, err := parseArea(public)
		if err == nil && area.public.N.BitLen() != keyBits {
			t.Errorf("accepted %d bits", area.public.N.BitLen())
		}
	})
}

// A certificate that nobody we trust has signed never counts.
func FuzzEndorsement(f *testing.F) {
	m := newMachine(f)
	f.Add(m.request.EK, []byte("certificate"))
	judge := endorsements{roots: pool(nil)}
	f.Fuzz(func(t *testing.T, key, certificate []byte) {
		e, err := judge.parse(key, [][]byte{certificate})
		if err == nil && (e.certificate != nil || e.reason == nil || len(e.hash) != 64 || e.public.N.BitLen() != keyBits) {
			t.Errorf("accepted %+v", e)
		}
	})
}
