//go:build unix

package tpm

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sbid/attest"
)

// A signature of the TPM is one to others: an identity's certificate, a JWS,
// and go-jose's check of it.
func TestIdentity(t *testing.T) {
	store := openStore(t, startTPM(t), t.TempDir())
	signer := create(t, store, "device")
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{Organization: []string{"Acme"}, CommonName: "device"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := attest.NewIdentity(signer, []*x509.Certificate{cert})
	if err != nil {
		t.Fatal(err)
	}
	token, err := identity.Sign([]byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	if payload, err := jws.Verify(cert.PublicKey); err != nil || string(payload) != "payload" {
		t.Errorf("got %q, %v", payload, err)
	}
}

// The key file is one that other software loads: OpenSSL, through the provider
// of the package tpm2-openssl.
func TestOpenSSLSigns(t *testing.T) {
	soft, dir := startTPM(t), t.TempDir()
	k := create(t, openStore(t, soft, dir), "device").(*key)
	run := func(args ...string) ([]byte, error) {
		var complaint bytes.Buffer
		openssl := exec.Command("openssl", args...)
		openssl.Env = append(os.Environ(), "TPM2OPENSSL_TCTI=swtpm:path="+soft.socket(), "AUTH="+string(k.auth))
		openssl.Stderr = &complaint
		out, err := openssl.Output()
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, &complaint)
		}
		return out, err
	}
	// The provider is there only while it finds its TPM.
	if _, err := run("list", "-providers", "-provider", "tpm2"); err != nil {
		t.Skipf("OpenSSL with tpm2-openssl is not installed: %v", err)
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	signature, err := run("pkeyutl", "-provider", "tpm2", "-provider", "default", "-propquery", "?provider=tpm2",
		"-sign", "-rawin", "-digest", "sha256", "-inkey", filepath.Join(dir, "device.pem"), "-passin", "env:AUTH", "-in", text)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("text"))
	if err := rsa.VerifyPKCS1v15(k.public, crypto.SHA256, digest[:], signature); err != nil {
		t.Error(err)
	}
}
