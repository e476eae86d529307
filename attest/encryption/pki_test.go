package encryption

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var keys = sync.OnceValue(func() (keys [3]*rsa.PrivateKey) {
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

func adopterKey() *rsa.PrivateKey { return keys()[0] } // decrypts records
func issuerKey() *rsa.PrivateKey  { return keys()[1] } // of MOSIP's certificates
func otherKey() *rsa.PrivateKey   { return keys()[2] }

// certificate issues one that is valid around the given time. A nil issuer
// makes it self-signed.
func certificate(t testing.TB, cn string, key, by *rsa.PrivateKey, issuer *x509.Certificate, at time.Time, edit func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: cn},
		NotBefore: at.Add(-time.Hour), NotAfter: at.Add(30 * 24 * time.Hour),
		BasicConstraintsValid: true, IsCA: issuer == nil, KeyUsage: x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
	}
	public := key.Public()
	if edit != nil {
		edit(template)
		if template.PublicKey != nil {
			public, template.PublicKey = template.PublicKey, nil
		}
	}
	if issuer == nil {
		issuer = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// An adopter has a key manager's root.
type adopter struct{ root *x509.Certificate }

func newAdopter(t testing.TB, at time.Time) adopter {
	return adopter{certificate(t, "keymanager", issuerKey(), issuerKey(), nil, at, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = at.AddDate(-1, 0, 0), at.AddDate(9, 0, 0)
	})}
}

func (a adopter) pin() Pin { return Pin{Issuers: []*x509.Certificate{a.root}} }

func (a adopter) issue(t testing.TB, at time.Time, edit func(*x509.Certificate)) *x509.Certificate {
	return certificate(t, "IDA-FIR", adopterKey(), issuerKey(), a.root, at, edit)
}

func elliptic256(c *x509.Certificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c.PublicKey = key.Public()
}

func pemOf(certs ...*x509.Certificate) string {
	var text strings.Builder
	for _, c := range certs {
		pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return text.String()
}

func writeFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A fetcher that does what the test says.
type fetcher func(context.Context) (*x509.Certificate, error)

func (f fetcher) Fetch(ctx context.Context) (*x509.Certificate, error) { return f(ctx) }

// logTo returns a logger and what it says.
func logTo() (*slog.Logger, *lockedText) {
	var text lockedText
	return slog.New(slog.NewTextHandler(&text, nil)), &text
}

type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// resign gives a certificate a negative serial number, which Go does not make:
// the byte 7F becomes 81, and the root signs again.
func resign(t testing.TB, cert *x509.Certificate) *x509.Certificate {
	t.Helper()
	tbs := bytes.Replace(cert.RawTBSCertificate, []byte{2, 1, 0x7F}, []byte{2, 1, 0x81}, 1)
	sum := sha256.Sum256(tbs)
	signature, err := rsa.SignPKCS1v15(rand.Reader, issuerKey(), crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{
		asn1.RawValue{FullBytes: tbs},
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue},
		asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	})
	if err != nil {
		t.Fatal(err)
	}
	negative, err := x509.ParseCertificate(der)
	if err != nil || negative.SerialNumber.Sign() >= 0 {
		t.Fatalf("%v, %v", negative, err)
	}
	return negative
}

// A fixedToken is always the same.
type fixedToken string

// Token returns it.
func (f fixedToken) Token(context.Context) (string, error) { return string(f), nil }
