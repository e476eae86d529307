//go:build unix

package acme

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"sbid/attest"
	"sbid/attest/acme/acmetest"
	"sbid/attest/authority"
	"sbid/attest/internal/akcert"
	"sbid/attest/tpm"
	"sbid/attest/tpm/tpmtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	device   = "ABCDEF123456"
	neighbor = "ABCDEF123457"
	// soon is long enough for anything that must not wait, on a busy machine.
	soon = 20 * time.Second
)

// A machine is a TPM with its keys.
type machine struct {
	*tpm.Store
	ek string // as the register has it
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
	hash := sha256.Sum256(ek.Public)
	return &machine{store, hex.EncodeToString(hash[:])}
}

// request makes a key and asks for its certificate.
func (m *machine) request(t testing.TB, serial, key string) attest.CertificateRequest {
	t.Helper()
	signer, err := m.Create(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return attest.CertificateRequest{
		Key: key, Signer: signer, Domain: attest.DomainDevice, Serial: serial, Organisation: "Acme", Country: "IN",
	}
}

func issuerOf(t testing.TB, p *acmetest.Provider, provisioner, dir string, with TPM) *Issuer {
	t.Helper()
	i, err := New(Config{
		Directory: p.Directory(provisioner), AttestationCA: p.AttestationURL,
		Roots: []*x509.Certificate{p.Root.Cert}, Dir: dir,
	}, with)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func issued(t testing.TB, i *Issuer, request attest.CertificateRequest) []*x509.Certificate {
	t.Helper()
	chain, err := i.Issue(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func wantError(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Error("a certificate was issued")
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

// From a new TPM to a certificate that chains to the provider's root and whose
// key is in the TPM; then the rotation to a new key.
func TestIssue(t *testing.T) {
	p, m := acmetest.Start(t), newMachine(t)
	p.SetRegister(t, authority.Device{Serial: device, EK: m.ek}, authority.Device{Serial: neighbor, EK: m.ek})
	dir := filepath.Join(t.TempDir(), "acme")
	request := m.request(t, device, "first")
	chain := issued(t, issuerOf(t, p, acmetest.WithWebhook, dir, m), request)

	trust := new(attest.Trust)
	trust.Add(attest.DomainDevice, p.Root.Cert, chain[1])
	if err := trust.Check(attest.DomainDevice, chain[0], time.Now()); err != nil {
		t.Error(err)
	}
	leaf := chain[0]
	if leaf.Subject.String() != "CN="+device+",O=Acme,C=IN" {
		t.Errorf("subject %s", leaf.Subject)
	}
	if leaf.KeyUsage != x509.KeyUsageDigitalSignature || len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 || leaf.IsCA {
		t.Errorf("key usage %d, extended %v, authority %v", leaf.KeyUsage, leaf.ExtKeyUsage, leaf.IsCA)
	}
	if names, err := akcert.NamesOf(leaf); err != nil || !slices.Equal(names.Permanent, []string{device}) {
		t.Errorf("identifiers %q, %v", names.Permanent, err)
	}
	digest := sha256.Sum256([]byte("text"))
	signature, err := request.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPKCS1v15(leaf.PublicKey.(*rsa.PublicKey), crypto.SHA256, digest[:], signature); err != nil {
		t.Error(err)
	}

	t.Run("files", func(t *testing.T) {
		for _, name := range []string{accountFile, AttestationFile} {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", name, info, err)
			}
		}
	})
	t.Run("rotation and a second device", func(t *testing.T) {
		account, err := os.ReadFile(filepath.Join(dir, accountFile))
		if err != nil {
			t.Fatal(err)
		}
		// Another Issuer, as after a restart.
		i := issuerOf(t, p, acmetest.WithWebhook, dir, m)
		second := m.request(t, device, "second")
		again := issued(t, i, second)
		if again[0].PublicKey.(*rsa.PublicKey).Equal(leaf.PublicKey) {
			t.Error("the certificate is for the old key")
		}
		second.Serial = neighbor
		issued(t, i, second)
		if n := p.Attested.Load(); n != 1 {
			t.Errorf("the attestation CA was asked %d times, want once", n)
		}
		if now, err := os.ReadFile(filepath.Join(dir, accountFile)); err != nil || string(now) != string(account) {
			t.Errorf("the account key changed: %v", err)
		}
	})
	t.Run("in memory", func(t *testing.T) {
		before := p.Attested.Load()
		i := issuerOf(t, p, acmetest.WithWebhook, "", m)
		issued(t, i, request)
		issued(t, i, request)
		if n := p.Attested.Load() - before; n != 1 {
			t.Errorf("the attestation CA was asked %d times, want once", n)
		}
	})
	t.Run("two at once", func(t *testing.T) {
		i := issuerOf(t, p, acmetest.WithWebhook, t.TempDir(), m)
		other := request
		other.Serial = neighbor
		var group errgroup.Group
		for _, r := range []attest.CertificateRequest{request, other} {
			group.Go(func() error {
				_, err := i.Issue(t.Context(), r)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Run("open without webhook", func(t *testing.T) {
		issued(t, issuerOf(t, p, acmetest.WithoutWebhook, "", m), request)
	})
}

// What is kept of the attestation key is replaced when it is of no use any more.
func TestKeptCertificates(t *testing.T) {
	p, m, other := acmetest.Start(t), newMachine(t), newMachine(t)
	p.SetRegister(t, authority.Device{Serial: device, EK: m.ek})
	mine, others := attestationPublic(t, m), attestationPublic(t, other)
	names := akcert.Names{Manufacturer: "id:00000000", Model: "X", Version: "1", Permanent: []string{device}}
	formerCA := acmetest.NewCA(t, "former", acmetest.CA{}, acmetest.P256(t))
	request := m.request(t, device, "device")
	good := akTemplate(t, names)

	for name, tt := range map[string]struct {
		file []byte
		asks int32
	}{
		"good":                  {acmetest.PEM(p.Attestation.Issue(t, good, mine), p.Attestation.Cert), 0},
		"expired":               {acmetest.PEM(p.Attestation.Issue(t, until(akTemplate(t, names), -time.Minute), mine), p.Attestation.Cert), 1},
		"about to expire":       {acmetest.PEM(p.Attestation.Issue(t, until(akTemplate(t, names), renewBefore-time.Hour), mine), p.Attestation.Cert), 1},
		"of another key":        {acmetest.PEM(p.Attestation.Issue(t, akTemplate(t, names), others), p.Attestation.Cert), 1},
		"of another device":     {acmetest.PEM(p.Attestation.Issue(t, akTemplate(t, akcert.Names{Permanent: []string{neighbor}}), mine), p.Attestation.Cert), 1},
		"of nobody":             {acmetest.PEM(p.Attestation.Issue(t, akTemplate(t, akcert.Names{Model: "X"}), mine), p.Attestation.Cert), 1},
		"of a former authority": {acmetest.PEM(formerCA.Issue(t, akTemplate(t, names), mine)), 1},
		"damaged":               {[]byte("-----BEGIN CERTIFICATE-----"), 1},
		"empty":                 {nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, AttestationFile), tt.file, 0o600); err != nil {
				t.Fatal(err)
			}
			before := p.Attested.Load()
			issued(t, issuerOf(t, p, acmetest.WithWebhook, dir, m), request)
			if n := p.Attested.Load() - before; n != tt.asks {
				t.Errorf("the attestation CA was asked %d times, want %d", n, tt.asks)
			}
		})
	}
	t.Run("about to expire, and no attestation CA", func(t *testing.T) {
		dir := t.TempDir()
		file := acmetest.PEM(p.Attestation.Issue(t, until(akTemplate(t, names), time.Hour), mine), p.Attestation.Cert)
		if err := os.WriteFile(filepath.Join(dir, AttestationFile), file, 0o600); err != nil {
			t.Fatal(err)
		}
		i := issuerOf(t, p, acmetest.WithWebhook, dir, m)
		i.config.AttestationCA = "https://" + acmetest.FreeAddress(t)
		issued(t, i, request)
	})
	t.Run("others may read the account key", func(t *testing.T) {
		dir := t.TempDir()
		issued(t, issuerOf(t, p, acmetest.WithWebhook, dir, m), request)
		if err := os.Chmod(filepath.Join(dir, accountFile), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := issuerOf(t, p, acmetest.WithWebhook, dir, m).Issue(t.Context(), request)
		wantError(t, err, "mode 0644", "chmod 600")
	})
}

func attestationPublic(t testing.TB, m *machine) *rsa.PublicKey {
	t.Helper()
	ak, err := m.AttestationKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	public, err := ak.Key()
	if err != nil {
		t.Fatal(err)
	}
	return public
}
