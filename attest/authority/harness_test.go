package authority

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sbid/attest/internal/akcert"
	"sbid/attest/tpm"
	"sbid/attest/tpm/tpmtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	deviceA = "ABCDEF123456"
	deviceB = "ABCDEF123457"
)

// testSecret is the webhook's.
var testSecret = []byte("sixteen bytes or")

// testCA returns a certificate of an attestation CA, below a root.
func testCA(t testing.TB) ([]*x509.Certificate, crypto.Signer) {
	t.Helper()
	rootKey, key := p256(t), p256(t)
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(2, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
	}
	root := issueCertificate(t, template("AK root"), template("AK root"), rootKey.Public(), rootKey)
	return []*x509.Certificate{issueCertificate(t, template("AK authority"), root, key.Public(), rootKey), root}, key
}

func p256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func issueCertificate(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// newAuthority returns an authority with a register of these devices.
func newAuthority(t testing.TB, roots []*x509.Certificate, devices ...Device) *Authority {
	t.Helper()
	path := filepath.Join(t.TempDir(), "register.json")
	writeRegister(t, path, devices...)
	chain, key := testCA(t)
	a, err := New(Config{Register: path, Chain: chain, Key: key, EndorsementRoots: roots, WebhookSecret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func writeRegister(t testing.TB, path string, devices ...Device) {
	t.Helper()
	text, err := json.Marshal(Register{devices})
	if err != nil {
		t.Fatal(err)
	}
	// As an editor does it.
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func readRegister(t testing.TB, a *Authority) []Device {
	t.Helper()
	text, err := os.ReadFile(a.register.path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseRegister(text)
	if err != nil {
		t.Fatal(err)
	}
	return r.Devices
}

// call makes a call with a JSON body and returns the status and the answer.
func call(a *Authority, path string, body any, header http.Header) (int, []byte) {
	text, ok := body.([]byte)
	if !ok {
		var err error
		if text, err = json.Marshal(body); err != nil {
			panic(err)
		}
	}
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(text))
	maps.Copy(r.Header, header)
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w.Code, w.Body.Bytes()
}

// A machine is a TPM and what it shows.
type machine struct {
	store   *tpm.Store
	request akcert.AttestRequest
	hash    string // of the endorsement key, as the register has it
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	store, err := tpm.Open(t.Context(), tpm.Config{Device: tpmtest.Start(t), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	ek, err := store.Endorsement(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ak, err := store.AttestationKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	public, err := (endorsements{roots: x509.NewCertPool()}).parse(ek.Public, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &machine{store, akcert.AttestRequest{
		TPM:        akcert.TPM{Version: 2, Manufacturer: "1229081856", Model: "SLB9672", Firmware: "15.23"},
		EK:         ek.Public,
		Parameters: akcert.Parameters{Public: ak.Public, CreateData: ak.CreateData, CreateAttestation: ak.CreateAttestation, CreateSignature: ak.CreateSignature},
	}, public.hash}
}

// with returns the request with endorsement certificates.
func (m *machine) with(certificates ...*x509.Certificate) akcert.AttestRequest {
	request := m.request
	for _, c := range certificates {
		request.EKCertificates = append(request.EKCertificates, c.Raw)
	}
	return request
}

// open has the TPM open what the authority encrypted for it.
func (m *machine) open(t testing.TB, answer []byte) []byte {
	t.Helper()
	var challenge akcert.AttestResponse
	if err := json.Unmarshal(answer, &challenge); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	secret, err := m.store.Activate(t.Context(), challenge.Credential[2:], challenge.Secret[2:])
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// enrol goes all the way; it returns the certificate, or the refusal's text.
func (m *machine) enrol(t testing.TB, a *Authority, request akcert.AttestRequest, token string) (*x509.Certificate, string) {
	t.Helper()
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	status, answer := call(a, akcert.AttestPath, request, header)
	if status != http.StatusOK {
		return nil, detail(t, answer)
	}
	status, answer = call(a, akcert.SecretPath, akcert.SecretRequest{Secret: m.open(t, answer)}, nil)
	if status != http.StatusOK {
		return nil, detail(t, answer)
	}
	return verified(t, a, answer), ""
}

func detail(t testing.TB, answer []byte) string {
	t.Helper()
	var p akcert.Problem
	if err := json.Unmarshal(answer, &p); err != nil || p.Detail == "" {
		t.Fatalf("no problem with a detail: %s, %v", answer, err)
	}
	return p.Detail
}

// verified returns the certificate of an answer after checking it against the
// root alone.
func verified(t testing.TB, a *Authority, answer []byte) *x509.Certificate {
	t.Helper()
	var response akcert.SecretResponse
	if err := json.Unmarshal(answer, &response); err != nil {
		t.Fatal(err)
	}
	if len(response.Chain) != 2 {
		t.Fatalf("%d certificates, want leaf and authority", len(response.Chain))
	}
	leaf, err := x509.ParseCertificate(response.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	authority, err := x509.ParseCertificate(response.Chain[1])
	if err != nil {
		t.Fatal(err)
	}
	akcert.HandleAltName(leaf)
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: pool(a.issuer.chain[1:]), Intermediates: pool([]*x509.Certificate{authority}),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		t.Error(err)
	}
	return leaf
}

func hexHash(b [32]byte) string { return hex.EncodeToString(b[:]) }
