//go:build unix

package acme

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-tpm/tpm2"
	"github.com/mholt/acmez/v3/acme"

	"sbid/attest/acme/acmetest"
	"sbid/attest/internal/akcert"
	"sbid/attest/tpm"
)

// A paperTPM shows keys that are not in any TPM.
type paperTPM struct{ ak tpm.AttestationKey }

func newPaperTPM(t testing.TB, key *rsa.PublicKey) paperTPM {
	t.Helper()
	area := tpm2.TPMTPublic{
		Type: tpm2.TPMAlgRSA, NameAlg: tpm2.TPMAlgSHA256,
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{KeyBits: 2048}),
		Unique:     tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: key.N.Bytes()}),
	}
	return paperTPM{tpm.AttestationKey{Public: tpm2.Marshal(area)}}
}

func (p paperTPM) Info(context.Context) (tpm.Info, error) {
	return tpm.Info{Manufacturer: "id:49465800", Model: "paper", Firmware: "id:00010002"}, nil
}
func (p paperTPM) Endorsement(context.Context) (tpm.Endorsement, error) {
	return tpm.Endorsement{Public: []byte("EK")}, nil
}
func (p paperTPM) AttestationKey(context.Context) (tpm.AttestationKey, error) { return p.ak, nil }
func (p paperTPM) Activate(context.Context, []byte, []byte) ([]byte, error) {
	return []byte("secret"), nil
}
func (p paperTPM) Certify(context.Context, string, []byte) (tpm.Statement, error) {
	return tpm.Statement{Attest: []byte("attest"), Signature: []byte("signature"), Public: []byte("public")}, nil
}

// A transport answers without a network.
type transport func(*http.Request) (int, []byte)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := f(r)
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Request: r, Header: http.Header{},
		Body: io.NopCloser(bytes.NewReader(body)),
	}, nil
}

// Whatever an attestation CA answers, a certificate is taken only when it is
// for the TPM's attestation key and names the device.
func FuzzAttestationAnswers(f *testing.F) {
	key := testKeys()[0]
	names := akcert.Names{Permanent: []string{"ABCDEF123456"}}
	good := selfIssued(f, names, key)
	secret, err := json.Marshal(akcert.SecretResponse{Chain: [][]byte{good.Raw}})
	if err != nil {
		f.Fatal(err)
	}
	challenge, err := json.Marshal(akcert.AttestResponse{Credential: []byte{0, 1, 7}, Secret: []byte{0, 1, 7}})
	if err != nil {
		f.Fatal(err)
	}
	paper := newPaperTPM(f, &key.PublicKey)
	i, err := New(Config{Directory: "https://acme.example/directory", AttestationCA: "https://ca.example", Roots: []*x509.Certificate{good}}, paper)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(200, challenge, secret)
	f.Add(403, []byte(`{"detail":"no"}`), []byte(`{}`))
	f.Add(200, []byte(`{"credential":"AAA="}`), []byte(`{"chain":[]}`))
	f.Fuzz(func(t *testing.T, status int, first, second []byte) {
		i.http.Transport = transport(func(r *http.Request) (int, []byte) {
			if strings.HasSuffix(r.URL.Path, akcert.AttestPath) {
				return status, first
			}
			return http.StatusOK, second
		})
		chain, err := i.newAttestationChain(t.Context(), "ABCDEF123456")
		if err != nil {
			return
		}
		got, err := akcert.NamesOf(chain[0])
		if err != nil || !slices.Contains(got.Permanent, "ABCDEF123456") || !key.PublicKey.Equal(chain[0].PublicKey) {
			t.Errorf("accepted a certificate of %+v, %v", got, err)
		}
	})
}

func selfIssued(t testing.TB, names akcert.Names, key *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template := akTemplate(t, names)
	return acmetest.CA{Key: key}.Issue(t, template, key.Public())
}

// What goes to the attestation CA is what its other clients send.
func TestAttestRequest(t *testing.T) {
	key := testKeys()[0]
	var sent map[string]json.RawMessage
	var authorization string
	root := selfIssued(t, akcert.Names{Permanent: []string{"X"}}, key)
	i, err := New(Config{Directory: "https://acme.example/directory", AttestationCA: "https://ca.example/tpm/", Roots: []*x509.Certificate{root}, Token: "token"}, newPaperTPM(t, &key.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	i.http.Transport = transport(func(r *http.Request) (int, []byte) {
		if r.URL.String() != "https://ca.example/tpm/attest" || r.Method != http.MethodPost {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		authorization = r.Header.Get("Authorization")
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			t.Error(err)
		}
		return http.StatusForbidden, []byte(`{"detail":"not today"}`)
	})
	_, err = i.newAttestationChain(t.Context(), "X")
	if err == nil || !strings.Contains(err.Error(), "it refuses: not today") {
		t.Error(err)
	}
	if authorization != "Bearer token" {
		t.Errorf("authorization %q", authorization)
	}
	if got := string(sent["tpmInfo"]); got != `{"version":2,"manufacturer":"1229346816","model":"paper","firmwareVersion":"id:00010002"}` {
		t.Errorf("tpmInfo %s", got)
	}
	if got := string(sent["ek"]); got != `"RUs="` {
		t.Errorf("ek %s", got)
	}
}

// The CBOR is that of WebAuthn's format tpm, with nothing besides.
func TestAttestationObject(t *testing.T) {
	key := testKeys()[0]
	cert := selfIssued(t, akcert.Names{Permanent: []string{"X"}}, key)
	object, err := encodeObject([]*x509.Certificate{cert, cert}, tpm.Statement{Attest: []byte("A"), Signature: []byte("S"), Public: []byte("P")})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := cbor.Unmarshal(object, &got); err != nil {
		t.Fatal(err)
	}
	statement, ok := got["attStmt"].(map[any]any)
	if !ok || got["fmt"] != "tpm" || len(got) != 2 {
		t.Fatalf("got %v", got)
	}
	want := map[any]any{
		"ver": "2.0", "alg": int64(-257), "x5c": []any{cert.Raw, cert.Raw},
		"sig": []byte("S"), "certInfo": []byte("A"), "pubArea": []byte("P"),
	}
	if !reflect.DeepEqual(statement, want) {
		t.Errorf("got %v, want %v", statement, want)
	}
}

func TestNewRefuses(t *testing.T) {
	good := Config{Directory: "https://acme.example/directory", AttestationCA: "https://ca.example", Roots: []*x509.Certificate{{}}}
	for name, tt := range map[string]struct {
		edit func(*Config)
		want string
	}{
		"directory in clear":      {func(c *Config) { c.Directory = "http://acme.example/directory" }, "ACME directory"},
		"no directory":            {func(c *Config) { c.Directory = "" }, "ACME directory"},
		"attestation CA in clear": {func(c *Config) { c.AttestationCA = "http://ca.example" }, "attestation CA"},
		"URL that is none":        {func(c *Config) { c.AttestationCA = "https://ca.example:port" }, "attestation CA"},
		"no roots":                {func(c *Config) { c.Roots = nil }, "root certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good
			tt.edit(&config)
			if _, err := New(config, paperTPM{}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v does not say %q", err, tt.want)
			}
		})
	}
}

func TestRefusalsInWords(t *testing.T) {
	problem := func(name, detail string, subs ...acme.Subproblem) *refusedError {
		return &refusedError{acme.Problem{Type: acme.ProblemTypeNamespace + name, Detail: detail, Subproblems: subs}, "order"}
	}
	for want, err := range map[string]error{
		"order: the ACME server said: no (unauthorized): have the provider look at the device's entry in the register":               problem("unauthorized", "no"),
		"order: the ACME server said: badCSR: compare serial number, organisation and country with the provider's":                   problem("badCSR", ""),
		"order: the ACME server said: slow down (rateLimited)":                                                                       problem("rateLimited", "slow down"),
		"order: the ACME server said: oops (serverInternal): the reason is in the log of the ACME server":                            problem("serverInternal", "oops"),
		"order: the ACME server said: not yours (rejectedIdentifier): the provisioner of the directory URL must do device-attest-01": problem("rejectedIdentifier", "not yours"),
		"order: the ACME server said: no match (badAttestationStatement); A is not B (rejectedIdentifier): have the provider register the device for this TPM, then try again": problem("badAttestationStatement", "no match",
			acme.Subproblem{Problem: acme.Problem{Type: acme.ProblemTypeRejectedIdentifier, Detail: "A is not B"}}),
	} {
		if got := err.Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
