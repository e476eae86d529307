package attest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// testTime is when the tests happen; test certificates are valid a year before
// and after.
var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// testKeys are made once, because RSA keys take their time.
var testKeys = sync.OnceValue(func() (keys [5]*rsa.PrivateKey) {
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
				panic(err)
			}
		})
	}
	wg.Wait()
	return keys
})

func rootKey() *rsa.PrivateKey     { return testKeys()[0] }
func providerKey() *rsa.PrivateKey { return testKeys()[1] }
func deviceKey() *rsa.PrivateKey   { return testKeys()[2] }
func ftmKey() *rsa.PrivateKey      { return testKeys()[3] }
func otherKey() *rsa.PrivateKey    { return testKeys()[4] }

// An issuer of test certificates.
type issuer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// certificate issues a certificate for public; a nil by makes it self-signed
// by key. edit changes the template, which is a leaf's.
func certificate(t testing.TB, cn string, public crypto.PublicKey, by *issuer, key crypto.Signer, edit func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{Organization: []string{"Acme"}, CommonName: cn},
		NotBefore:             testTime.AddDate(-1, 0, 0),
		NotAfter:              testTime.AddDate(1, 0, 0),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
	}
	if edit != nil {
		edit(template)
	}
	if by == nil {
		by = &issuer{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, public, by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func asAuthority(t *x509.Certificate) {
	t.IsCA = true
	t.KeyUsage = x509.KeyUsageCertSign
}

// A testPKI is a root with a provider below and two leaves below that.
type testPKI struct {
	root, provider *issuer
	device, ftm    *x509.Certificate
}

func newPKI(t testing.TB) testPKI {
	t.Helper()
	root := &issuer{certificate(t, "root", rootKey().Public(), nil, rootKey(), asAuthority), rootKey()}
	provider := &issuer{certificate(t, "provider", providerKey().Public(), root, nil, asAuthority), providerKey()}
	return testPKI{
		root, provider,
		certificate(t, "device", deviceKey().Public(), provider, nil, nil),
		certificate(t, "ftm", ftmKey().Public(), provider, nil, nil),
	}
}

// identity is the device's, with the whole chain given.
func (p testPKI) identity(t testing.TB) *Identity {
	t.Helper()
	id, err := NewIdentity(deviceKey(), []*x509.Certificate{p.device, p.provider.cert, p.root.cert})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// trust has the authorities in domain DEVICE.
func (p testPKI) trust() *Trust {
	trust := new(Trust)
	trust.Add(DomainDevice, p.root.cert, p.provider.cert)
	return trust
}

func pemOf(certs ...*x509.Certificate) []byte {
	var text []byte
	for _, c := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

func writeFile(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeKey(t testing.TB, dir, name string, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, dir, name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
