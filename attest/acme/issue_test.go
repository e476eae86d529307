//go:build unix

package acme

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sbid/attest"
	"sbid/attest/authority"
	"sbid/attest/internal/akcert"
	"sbid/attest/internal/tpmtest"
	"sbid/attest/tpm"
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

func (p *provider) issuer(t testing.TB, provisioner, dir string, with TPM) *Issuer {
	t.Helper()
	i, err := New(Config{
		Directory: p.directory(provisioner), AttestationCA: p.attestationURL,
		Roots: []*x509.Certificate{p.root.cert}, Dir: dir,
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
	p, m := startProvider(t), newMachine(t)
	p.setRegister(t, authority.Device{Serial: device, EK: m.ek}, authority.Device{Serial: neighbor, EK: m.ek})
	dir := filepath.Join(t.TempDir(), "acme")
	request := m.request(t, device, "first")
	chain := issued(t, p.issuer(t, withWebhook, dir, m), request)

	trust := new(attest.Trust)
	trust.Add(attest.DomainDevice, p.root.cert, chain[1])
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
		i := p.issuer(t, withWebhook, dir, m)
		second := m.request(t, device, "second")
		again := issued(t, i, second)
		if again[0].PublicKey.(*rsa.PublicKey).Equal(leaf.PublicKey) {
			t.Error("the certificate is for the old key")
		}
		second.Serial = neighbor
		issued(t, i, second)
		if n := p.attested.Load(); n != 1 {
			t.Errorf("the attestation CA was asked %d times, want once", n)
		}
		if now, err := os.ReadFile(filepath.Join(dir, accountFile)); err != nil || string(now) != string(account) {
			t.Errorf("the account key changed: %v", err)
		}
	})
	t.Run("in memory", func(t *testing.T) {
		before := p.attested.Load()
		i := p.issuer(t, withWebhook, "", m)
		issued(t, i, request)
		issued(t, i, request)
		if n := p.attested.Load() - before; n != 1 {
			t.Errorf("the attestation CA was asked %d times, want once", n)
		}
	})
	t.Run("open without webhook", func(t *testing.T) {
		issued(t, p.issuer(t, withoutWebhook, "", m), request)
	})
}

// What is kept of the attestation key is replaced when it is of no use any more.
func TestKeptCertificates(t *testing.T) {
	p, m, other := startProvider(t), newMachine(t), newMachine(t)
	p.setRegister(t, authority.Device{Serial: device, EK: m.ek})
	mine, others := attestationPublic(t, m), attestationPublic(t, other)
	names := akcert.Names{Manufacturer: "id:00000000", Model: "X", Version: "1", Permanent: []string{device}}
	formerCA := newCA(t, "former", ca{}, p256(t))
	request := m.request(t, device, "device")
	good := akTemplate(t, names)

	for name, tt := range map[string]struct {
		file []byte
		asks int32
	}{
		"good":                  {pemOf(p.attestation.issue(t, good, mine), p.attestation.cert), 0},
		"expired":               {pemOf(p.attestation.issue(t, until(akTemplate(t, names), -time.Minute), mine), p.attestation.cert), 1},
		"about to expire":       {pemOf(p.attestation.issue(t, until(akTemplate(t, names), renewBefore-time.Hour), mine), p.attestation.cert), 1},
		"of another key":        {pemOf(p.attestation.issue(t, akTemplate(t, names), others), p.attestation.cert), 1},
		"of another device":     {pemOf(p.attestation.issue(t, akTemplate(t, akcert.Names{Permanent: []string{neighbor}}), mine), p.attestation.cert), 1},
		"of nobody":             {pemOf(p.attestation.issue(t, akTemplate(t, akcert.Names{Model: "X"}), mine), p.attestation.cert), 1},
		"of a former authority": {pemOf(formerCA.issue(t, akTemplate(t, names), mine)), 1},
		"damaged":               {[]byte("-----BEGIN CERTIFICATE-----"), 1},
		"empty":                 {nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, AttestationFile), tt.file, 0o600); err != nil {
				t.Fatal(err)
			}
			before := p.attested.Load()
			issued(t, p.issuer(t, withWebhook, dir, m), request)
			if n := p.attested.Load() - before; n != tt.asks {
				t.Errorf("the attestation CA was asked %d times, want %d", n, tt.asks)
			}
		})
	}
	t.Run("about to expire, and no attestation CA", func(t *testing.T) {
		dir := t.TempDir()
		file := pemOf(p.attestation.issue(t, until(akTemplate(t, names), time.Hour), mine), p.attestation.cert)
		if err := os.WriteFile(filepath.Join(dir, AttestationFile), file, 0o600); err != nil {
			t.Fatal(err)
		}
		i := p.issuer(t, withWebhook, dir, m)
		i.config.AttestationCA = "https://" + freeAddress(t)
		issued(t, i, request)
	})
	t.Run("others may read the account key", func(t *testing.T) {
		dir := t.TempDir()
		issued(t, p.issuer(t, withWebhook, dir, m), request)
		if err := os.Chmod(filepath.Join(dir, accountFile), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := p.issuer(t, withWebhook, dir, m).Issue(t.Context(), request)
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

// A deputy changes what a TPM states.
type deputy struct {
	TPM
	certify func(ctx context.Context, key string, qualifying []byte) (tpm.Statement, error)
}

func (d deputy) Certify(ctx context.Context, key string, qualifying []byte) (tpm.Statement, error) {
	return d.certify(ctx, key, qualifying)
}

// altered returns the machine with statements that were changed.
func (m *machine) altered(edit func(*tpm.Statement)) TPM {
	return deputy{m, func(ctx context.Context, key string, qualifying []byte) (tpm.Statement, error) {
		s, err := m.Certify(ctx, key, qualifying)
		edit(&s)
		return s, err
	}}
}

// Every refusal reaches the person in the server's words, at once, and with
// what to do.
func TestRefusals(t *testing.T) {
	p, m, stranger := startProvider(t), newMachine(t), newMachine(t)
	p.setRegister(t, authority.Device{Serial: device, EK: m.ek})
	request := m.request(t, device, "device")
	foreign := stranger.request(t, device, "device")
	software, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	imported, err := m.Import(t.Context(), "imported", software)
	if err != nil {
		t.Fatal(err)
	}
	with := func(edit func(*attest.CertificateRequest)) attest.CertificateRequest {
		r := request
		edit(&r)
		return r
	}
	for name, tt := range map[string]struct {
		provisioner string
		tpm         TPM
		request     attest.CertificateRequest
		want        []string
	}{
		"TPM that nobody registered":    {withWebhook, stranger, foreign, []string{"attestation CA", "it refuses", "no device for this TPM", stranger.ek}},
		"another's serial number":       {withWebhook, m, with(func(r *attest.CertificateRequest) { r.Serial = neighbor }), []string{"knows this TPM as that of", device, "have the provider register it"}},
		"attestation root of another":   {otherRoots, m, request, []string{"x5c is not valid", "unknown authority", "must trust the root of the attestation CA"}},
		"external account binding":      {withEAB, m, request, []string{"externalAccountRequired", "requireEAB"}},
		"challenges of another kind":    {withHTTP, m, request, []string{"device-attest-01"}},
		"attestation of another format": {withApple, m, request, []string{"badAttestationStatement", "format tpm enabled"}},
		"no such provisioner":           {"absent", m, request, []string{"check the network, the URL"}},
		"exportable key":                {withWebhook, m, with(func(r *attest.CertificateRequest) { r.Key, r.Signer = "imported", imported }), []string{"provided key is exportable"}},
		"request signed by another key": {withWebhook, m, with(func(r *attest.CertificateRequest) { r.Signer = imported }), []string{"certificate request", "unauthorized"}},
		"statement for another challenge": {withWebhook, deputy{m, func(ctx context.Context, key string, _ []byte) (tpm.Statement, error) {
			return m.Certify(ctx, key, []byte("old"))
		}}, request, []string{"key authorization invalid"}},
		"public area of another key": {withWebhook, m.altered(func(s *tpm.Statement) { s.Public[len(s.Public)-1] ^= 1 }), request, []string{"certification refers to a different key"}},
		"signature without its type": {withWebhook, m.altered(func(s *tpm.Statement) { s.Signature = s.Signature[6:] }), request, []string{"unsupported signature algorithm"}},
		"signature of something else": {withWebhook, m.altered(func(s *tpm.Statement) {
			s.Signature[len(s.Signature)-1] ^= 1
		}), request, []string{"invalid certification parameters"}},
		"no statement at all": {withWebhook, m.altered(func(s *tpm.Statement) { *s = tpm.Statement{} }), request, []string{"badAttestationStatement"}},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := p.issuer(t, tt.provisioner, "", tt.tpm).Issue(t.Context(), tt.request)
			wantError(t, err, append(tt.want, tt.request.Serial)...)
			if after := time.Since(start); after > soon {
				t.Errorf("it took %s", after)
			}
		})
	}
	t.Run("blocked in the register", func(t *testing.T) {
		i := p.issuer(t, withWebhook, "", m)
		issued(t, i, request)
		p.setRegister(t, authority.Device{Serial: device, EK: m.ek, Blocked: true, Reason: "stolen"})
		// The certificate of the attestation key is good for a year still.
		_, err := i.Issue(t.Context(), request)
		wantError(t, err, "is blocked (stolen)", "unauthorized", "register")
		_, err = p.issuer(t, withWebhook, "", m).Issue(t.Context(), request)
		wantError(t, err, "it refuses", "is blocked (stolen)")
	})
}

// step-ca takes the certificate of an attestation key that names nobody for one
// that is for everybody. The attestation CA issues none; and if somebody else
// who has its key did, the webhook says no.
func TestSomebodyElse(t *testing.T) {
	p, m := startProvider(t), newMachine(t)
	p.setRegister(t, authority.Device{Serial: device, EK: m.ek}, authority.Device{Serial: neighbor, EKCertificate: "1"})
	nameless := []*x509.Certificate{
		p.attestation.issue(t, akTemplate(t, akcert.Names{Manufacturer: "id:00000000", Model: "X", Version: "1"}), attestationPublic(t, m)),
		p.attestation.cert,
	}
	request := m.request(t, device, "device")
	for name, tt := range map[string]struct {
		provisioner, serial string
		want                string // "" when it is issued
	}{
		"the hole, without the webhook":     {withoutWebhook, "SOMEBODYELSE1", ""},
		"closed by the webhook":             {withWebhook, "SOMEBODYELSE1", "not registered"},
		"closed where no TPM is known, too": {withWebhook, neighbor, "no TPM has proven"},
	} {
		t.Run(name, func(t *testing.T) {
			request.Serial = tt.serial
			_, err := p.issuer(t, tt.provisioner, "", m).order(t.Context(), request, nameless)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, tt.want, tt.serial, "unauthorized")
		})
	}
	t.Run("a kept certificate that names nobody is not used", func(t *testing.T) {
		i := p.issuer(t, withWebhook, "", m)
		i.attestation = nameless
		request.Serial = device
		issued(t, i, request)
		if names, err := akcert.NamesOf(i.attestation[0]); err != nil || !slices.Contains(names.Permanent, device) {
			t.Errorf("identifiers %q, %v", names.Permanent, err)
		}
	})
}

func TestServersThatFail(t *testing.T) {
	p, m := startProvider(t), newMachine(t)
	p.setRegister(t, authority.Device{Serial: device, EK: m.ek})
	request := m.request(t, device, "device")

	t.Run("another root", func(t *testing.T) {
		i, err := New(Config{
			Directory: p.directory(withWebhook), AttestationCA: p.attestationURL,
			Roots: []*x509.Certificate{p.attestationRoot.cert},
		}, m)
		if err != nil {
			t.Fatal(err)
		}
		_, err = i.Issue(t.Context(), request)
		wantError(t, err, "not one of the provider's")
		if !errors.Is(err, attest.ErrManagementServer) {
			t.Errorf("%v is not ErrManagementServer", err)
		}
	})
	t.Run("nobody at the attestation CA", func(t *testing.T) {
		i := p.issuer(t, withWebhook, "", m)
		i.config.AttestationCA = "https://" + freeAddress(t)
		_, err := i.Issue(t.Context(), request)
		wantError(t, err, i.config.AttestationCA, "check the network")
		if !errors.Is(err, attest.ErrManagementServer) {
			t.Errorf("%v is not ErrManagementServer", err)
		}
	})
	t.Run("not an attestation CA", func(t *testing.T) {
		i := p.issuer(t, withWebhook, "", m)
		i.config.AttestationCA = "https://" + p.address
		_, err := i.Issue(t.Context(), request)
		wantError(t, err, "404")
	})
	t.Run("cancelled while the attestation CA thinks", func(t *testing.T) {
		arrived := make(chan struct{})
		p.hold.Store(&arrived)
		defer p.hold.Store(nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		go func() {
			<-arrived
			cancel(errStopped)
		}()
		wantStopped(t, p.issuer(t, withWebhook, "", m), ctx, request)
	})
	t.Run("cancelled while the TPM works", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		slow := deputy{m, func(ctx context.Context, _ string, _ []byte) (tpm.Statement, error) {
			cancel(errStopped)
			<-ctx.Done()
			return tpm.Statement{}, context.Cause(ctx)
		}}
		wantStopped(t, p.issuer(t, withWebhook, "", slow), ctx, request)
	})
	t.Run("cancelled while another order is under way", func(t *testing.T) {
		i := p.issuer(t, withWebhook, "", m)
		i.turn <- struct{}{}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errStopped)
		wantStopped(t, i, ctx, request)
	})
	t.Run("stopped in the middle of an order", func(t *testing.T) {
		start := time.Now()
		last := deputy{m, func(ctx context.Context, key string, qualifying []byte) (tpm.Statement, error) {
			p.stop()
			return m.Certify(ctx, key, qualifying)
		}}
		_, err := p.issuer(t, withWebhook, "", last).Issue(t.Context(), request)
		wantError(t, err, "attestation", "check the network")
		if !errors.Is(err, attest.ErrManagementServer) {
			t.Errorf("%v is not ErrManagementServer", err)
		}
		if after := time.Since(start); after > soon {
			t.Errorf("it took %s", after)
		}
	})
}

//nolint:revive // the issuer is what is tested, the context what it is tested with
func wantStopped(t *testing.T, i *Issuer, ctx context.Context, request attest.CertificateRequest) {
	t.Helper()
	start := time.Now()
	_, err := i.Issue(ctx, request)
	if !errors.Is(err, errStopped) {
		t.Errorf("got %v, want %v", err, errStopped)
	}
	if after := time.Since(start); after > soon {
		t.Errorf("it took %s", after)
	}
}
