package attest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

// testPayloads have the lengths around which base64 and piecewise hashing
// could go wrong.
func testPayloads() [][]byte {
	var payloads [][]byte
	for _, n := range []int{0, 1, 2, 3, 4, 3071, 3072, 3073, 3074, 6144, 6145, 200_000} {
		b := make([]byte, n)
		rand.Read(b)
		payloads = append(payloads, b)
	}
	return payloads
}

// Another implementation of JWS reads our tokens as we do.
func TestSignVerifiesWithGoJOSE(t *testing.T) {
	pki := newPKI(t)
	id := pki.identity(t)
	roots := x509.NewCertPool()
	roots.AddCert(pki.root.cert)
	for _, payload := range testPayloads() {
		token, err := id.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			t.Fatalf("%d bytes: %v", len(payload), err)
		}
		chains, err := jws.Signatures[0].Protected.Certificates(x509.VerifyOptions{Roots: roots, CurrentTime: testTime})
		if err != nil {
			t.Fatalf("%d bytes: %v", len(payload), err)
		}
		if leaf := chains[0][0]; !leaf.Equal(pki.device) || len(chains[0]) != 3 {
			t.Errorf("%d bytes: chain of %d from %v", len(payload), len(chains[0]), leaf.Subject)
		}
		if typ := jws.Signatures[0].Protected.ExtraHeaders[jose.HeaderType]; typ != "JWT" {
			t.Errorf("typ is %v", typ)
		}
		got, err := jws.Verify(pki.device.PublicKey)
		if err != nil || !bytes.Equal(got, payload) {
			t.Errorf("%d bytes: payload changed, or %v", len(payload), err)
		}
		v, err := Verify(token)
		if err != nil || !bytes.Equal(v.Payload, payload) {
			t.Errorf("%d bytes: payload changed, or %v", len(payload), err)
		}
	}
}

// We read the tokens of another implementation.
func TestVerifyReadsGoJOSE(t *testing.T) {
	pki := newPKI(t)
	x5c := []string{base64.StdEncoding.EncodeToString(pki.device.Raw)}
	options := new(jose.SignerOptions).WithType("JWT").WithHeader("x5c", x5c)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: deviceKey()}, options)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign([]byte(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	v, err := Verify(token)
	if err != nil || string(v.Payload) != `{"a":1}` || !v.Leaf().Equal(pki.device) {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestSignHeader(t *testing.T) {
	pki := newPKI(t)
	id := pki.identity(t)
	first, err := id.Sign([]byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := id.Sign([]byte("another"))
	if err != nil {
		t.Fatal(err)
	}
	header, _, _ := strings.Cut(first, ".")
	if h, _, _ := strings.Cut(second, "."); h != header {
		t.Error("two tokens of one identity have different headers")
	}
	raw, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	std := base64.StdEncoding.EncodeToString
	want := map[string]any{
		"alg": "RS256",
		"typ": "JWT",
		"x5c": []any{std(pki.device.Raw), std(pki.provider.cert.Raw)}, // and not the root
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWithExtraCertificates(t *testing.T) {
	pki := newPKI(t)
	device := pki.identity(t)
	ftm, err := NewIdentity(ftmKey(), []*x509.Certificate{pki.ftm, pki.provider.cert})
	if err != nil {
		t.Fatal(err)
	}
	verified := func(id *Identity) *Verified {
		t.Helper()
		token, err := id.Sign([]byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		v, err := Verify(token)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	both := device.With(ftm.Chain()...).With(pki.ftm)
	// The provider is there already, so one certificate is new.
	want := []*x509.Certificate{pki.device, pki.provider.cert, pki.ftm}
	if got := verified(both).Chain; !slices.EqualFunc(got, want, (*x509.Certificate).Equal) {
		t.Errorf("x5c has %d certificates, wanted device, provider, FTM", len(got))
	}
	if len(both.Chain()) != 2 {
		t.Error("extra certificates are no part of the identity's own chain")
	}
	digitalID := verified(ftm)
	if !verified(both).Covers(digitalID) {
		t.Error("the extended x5c does not cover the FTM key's")
	}
	if verified(device).Covers(digitalID) {
		t.Error("With changed the identity it was called on")
	}
}

func TestNewIdentityRejects(t *testing.T) {
	pki := newPKI(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		signer crypto.Signer
		chain  []*x509.Certificate
		want   error
	}{
		"another key":        {otherKey(), []*x509.Certificate{pki.device}, ErrKeyMismatch},
		"elliptic curve":     {ec, []*x509.Certificate{pki.device}, ErrWeakKey},
		"short key":          {shortKey(t), []*x509.Certificate{pki.device}, ErrWeakKey},
		"wrong order":        {deviceKey(), []*x509.Certificate{pki.device, pki.root.cert, pki.provider.cert}, ErrUntrusted},
		"unrelated issuer":   {deviceKey(), []*x509.Certificate{pki.device, pki.ftm}, ErrUntrusted},
		"same name, no sign": {deviceKey(), []*x509.Certificate{pki.device, impostor(t, pki)}, ErrUntrusted},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := NewIdentity(tt.signer, tt.chain); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if _, err := NewIdentity(deviceKey(), nil); err == nil {
		t.Error("an identity without a certificate")
	}
}

// impostor has the provider's name and another key.
func impostor(t *testing.T, pki testPKI) *x509.Certificate {
	t.Helper()
	return certificate(t, "provider", otherKey().Public(), pki.root, nil, asAuthority)
}

func shortKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A brokenSigner has a good key and returns what it is told to.
type brokenSigner struct {
	crypto.Signer
	signature []byte
	err       error
}

func (s brokenSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return s.signature, s.err
}

func TestSignReportsItsKey(t *testing.T) {
	pki := newPKI(t)
	lost := errors.New("module unplugged")
	for _, signer := range []brokenSigner{{deviceKey(), nil, lost}, {deviceKey(), []byte("short"), nil}} {
		id, err := NewIdentity(signer, []*x509.Certificate{pki.device})
		if err != nil {
			t.Fatal(err)
		}
		token, err := id.Sign([]byte("{}"))
		if token != "" || err == nil || !strings.Contains(err.Error(), "device") {
			t.Errorf("got %q, %v", token, err)
		}
		if signer.err != nil && !errors.Is(err, lost) {
			t.Errorf("%v hides its cause", err)
		}
	}
}

func TestIdentityValidity(t *testing.T) {
	pki := newPKI(t)
	id := pki.identity(t)
	from, to := pki.device.NotBefore, pki.device.NotAfter
	for _, tt := range []struct {
		at   time.Time
		want error
	}{
		{from.Add(-time.Second), ErrNotYetValid},
		{from, nil},
		{to, nil},
		{to.Add(time.Second), ErrExpired},
	} {
		if err := id.CheckValidity(tt.at); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.at, err, tt.want)
		}
	}
}

func TestSignConcurrently(t *testing.T) {
	id := newPKI(t).identity(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			payload := bytes.Repeat([]byte{byte(i)}, 5000)
			token, err := id.With().Sign(payload)
			if err != nil {
				t.Error(err)
				return
			}
			if v, err := Verify(token); err != nil || !bytes.Equal(v.Payload, payload) {
				t.Errorf("payload changed, or %v", err)
			}
		})
	}
	wg.Wait()
}

// OpenSSL, when there is one, verifies our signature over the same bytes.
func TestSignVerifiesWithOpenSSL(t *testing.T) {
	openssl := findOpenSSL(t)
	if openssl == "" {
		return
	}
	pki := newPKI(t)
	token, err := pki.identity(t).Sign([]byte(`{"bioType":"Finger"}`))
	if err != nil {
		t.Fatal(err)
	}
	i := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(pki.device.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	public := writeFile(t, dir, "public.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	run(t, openssl, "dgst", "-sha256", "-verify", public,
		"-signature", writeFile(t, dir, "signature", signature), writeFile(t, dir, "signed", []byte(token[:i])))
}

func findOpenSSL(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Log("no openssl to compare with")
		return ""
	}
	return path
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// Sign beside its two operations alone: hashing what is signed, and the key.
func BenchmarkSign(b *testing.B) {
	id := newPKI(b).identity(b)
	for _, size := range []int{1_000, 200_000} {
		payload := make([]byte, size)
		rand.Read(payload)
		b.Run(fmt.Sprintf("Sign/%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := id.Sign(payload); err != nil {
					b.Fatal(err)
				}
			}
		})
		signed := make([]byte, len(id.header)+base64.RawURLEncoding.EncodedLen(size))
		b.Run(fmt.Sprintf("bare/%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				digest := sha256.Sum256(signed)
				if _, err := deviceKey().Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	// Without the key, what is left is encoding and hashing.
	fast, err := NewIdentity(brokenSigner{deviceKey(), make([]byte, 256), nil}, id.Chain())
	if err != nil {
		b.Fatal(err)
	}
	payload := make([]byte, 200_000)
	b.Run("keyless/200000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := fast.Sign(payload); err != nil {
				b.Fatal(err)
			}
		}
	})
}
