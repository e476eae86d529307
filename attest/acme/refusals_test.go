//go:build unix

package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"testing"
	"time"

	"sbid/attest"
	"sbid/attest/acme/acmetest"
	"sbid/attest/authority"
	"sbid/attest/internal/akcert"
	"sbid/attest/tpm"
)

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
	p, m, stranger := acmetest.Start(t), newMachine(t), newMachine(t)
	p.SetRegister(t, authority.Device{Serial: device, EK: m.ek})
	request := m.request(t, device, "device")
	foreign := stranger.request(t, device, "device")
	imported, err := m.Import(t.Context(), "imported", testKeys()[0])
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
		"TPM that nobody registered":    {acmetest.WithWebhook, stranger, foreign, []string{"attestation CA", "it refuses", "no device for this TPM", stranger.ek}},
		"another's serial number":       {acmetest.WithWebhook, m, with(func(r *attest.CertificateRequest) { r.Serial = neighbor }), []string{"knows this TPM as that of", device, "have the provider register it"}},
		"attestation root of another":   {acmetest.OtherRoots, m, request, []string{"x5c is not valid", "unknown authority", "must trust the root of the attestation CA"}},
		"external account binding":      {acmetest.WithEAB, m, request, []string{"externalAccountRequired", "requireEAB"}},
		"challenges of another kind":    {acmetest.WithHTTP, m, request, []string{"device-attest-01"}},
		"attestation of another format": {acmetest.WithApple, m, request, []string{"badAttestationStatement", "format tpm enabled"}},
		"no such provisioner":           {"absent", m, request, []string{"check the network, the URL"}},
		"exportable key":                {acmetest.WithWebhook, m, with(func(r *attest.CertificateRequest) { r.Key, r.Signer = "imported", imported }), []string{"provided key is exportable"}},
		"request signed by another key": {acmetest.WithWebhook, m, with(func(r *attest.CertificateRequest) { r.Signer = imported }), []string{"certificate request", "unauthorized"}},
		"statement for another challenge": {acmetest.WithWebhook, deputy{m, func(ctx context.Context, key string, _ []byte) (tpm.Statement, error) {
			return m.Certify(ctx, key, []byte("old"))
		}}, request, []string{"key authorization invalid"}},
		"public area of another key": {acmetest.WithWebhook, m.altered(func(s *tpm.Statement) { s.Public[len(s.Public)-1] ^= 1 }), request, []string{"certification refers to a different key"}},
		"signature without its type": {acmetest.WithWebhook, m.altered(func(s *tpm.Statement) { s.Signature = s.Signature[6:] }), request, []string{"unsupported signature algorithm"}},
		"signature of something else": {acmetest.WithWebhook, m.altered(func(s *tpm.Statement) {
			s.Signature[len(s.Signature)-1] ^= 1
		}), request, []string{"invalid certification parameters"}},
		"no statement at all": {acmetest.WithWebhook, m.altered(func(s *tpm.Statement) { *s = tpm.Statement{} }), request, []string{"badAttestationStatement"}},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := issuerOf(t, p, tt.provisioner, "", tt.tpm).Issue(t.Context(), tt.request)
			wantError(t, err, append(tt.want, tt.request.Serial)...)
			if after := time.Since(start); after > soon {
				t.Errorf("it took %s", after)
			}
		})
	}
	t.Run("expired attestation certificate", func(t *testing.T) {
		// The clock of the server decides, whatever ours says.
		names := akcert.Names{Manufacturer: "id:00000000", Model: "X", Version: "1", Permanent: []string{device}}
		expired := p.Attestation.Issue(t, until(akTemplate(t, names), -time.Minute), attestationPublic(t, m))
		_, err := issuerOf(t, p, acmetest.WithWebhook, "", m).order(t.Context(), request, []*x509.Certificate{expired, p.Attestation.Cert})
		wantError(t, err, "x5c is not valid", "expired")
	})
	t.Run("blocked in the register", func(t *testing.T) {
		i := issuerOf(t, p, acmetest.WithWebhook, "", m)
		issued(t, i, request)
		p.SetRegister(t, authority.Device{Serial: device, EK: m.ek, Blocked: true, Reason: "stolen"})
		// The certificate of the attestation key is good for a year still.
		_, err := i.Issue(t.Context(), request)
		wantError(t, err, "is blocked (stolen)", "unauthorized", "register")
		_, err = issuerOf(t, p, acmetest.WithWebhook, "", m).Issue(t.Context(), request)
		wantError(t, err, "it refuses", "is blocked (stolen)")
	})
}

// step-ca takes the certificate of an attestation key that names nobody for one
// that is for everybody. The attestation CA issues none; and if somebody else
// who has its key did, the webhook says no.
func TestSomebodyElse(t *testing.T) {
	p, m := acmetest.Start(t), newMachine(t)
	p.SetRegister(t, authority.Device{Serial: device, EK: m.ek}, authority.Device{Serial: neighbor, EKCertificate: "1"})
	nameless := []*x509.Certificate{
		p.Attestation.Issue(t, akTemplate(t, akcert.Names{Manufacturer: "id:00000000", Model: "X", Version: "1"}), attestationPublic(t, m)),
		p.Attestation.Cert,
	}
	request := m.request(t, device, "device")
	for name, tt := range map[string]struct {
		provisioner, serial string
		want                string // "" when it is issued
	}{
		"the hole, without the webhook":     {acmetest.WithoutWebhook, "SOMEBODYELSE1", ""},
		"closed by the webhook":             {acmetest.WithWebhook, "SOMEBODYELSE1", "not registered"},
		"closed where no TPM is known, too": {acmetest.WithWebhook, neighbor, "no TPM has proven"},
	} {
		t.Run(name, func(t *testing.T) {
			request.Serial = tt.serial
			_, err := issuerOf(t, p, tt.provisioner, "", m).order(t.Context(), request, nameless)
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
		i := issuerOf(t, p, acmetest.WithWebhook, "", m)
		i.attestation = nameless
		request.Serial = device
		issued(t, i, request)
		if names, err := akcert.NamesOf(i.attestation[0]); err != nil || !slices.Contains(names.Permanent, device) {
			t.Errorf("identifiers %q, %v", names.Permanent, err)
		}
	})
}

func TestServersThatFail(t *testing.T) {
	p, m := acmetest.Start(t), newMachine(t)
	p.SetRegister(t, authority.Device{Serial: device, EK: m.ek})
	request := m.request(t, device, "device")

	t.Run("another root", func(t *testing.T) {
		i, err := New(Config{
			Directory: p.Directory(acmetest.WithWebhook), AttestationCA: p.AttestationURL,
			Roots: []*x509.Certificate{p.AttestationRoot.Cert},
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
		i := issuerOf(t, p, acmetest.WithWebhook, "", m)
		i.config.AttestationCA = "https://" + acmetest.FreeAddress(t)
		_, err := i.Issue(t.Context(), request)
		wantError(t, err, i.config.AttestationCA, "check the network")
		if !errors.Is(err, attest.ErrManagementServer) {
			t.Errorf("%v is not ErrManagementServer", err)
		}
	})
	t.Run("not an attestation CA", func(t *testing.T) {
		i := issuerOf(t, p, acmetest.WithWebhook, "", m)
		i.config.AttestationCA = "https://" + p.Address
		_, err := i.Issue(t.Context(), request)
		wantError(t, err, "404")
	})
	t.Run("cancelled while the attestation CA thinks", func(t *testing.T) {
		arrived := make(chan struct{})
		p.Hold.Store(&arrived)
		defer p.Hold.Store(nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		go func() {
			<-arrived
			cancel(errStopped)
		}()
		wantStopped(t, issuerOf(t, p, acmetest.WithWebhook, "", m), ctx, request)
	})
	t.Run("cancelled while the TPM works", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		slow := deputy{m, func(ctx context.Context, _ string, _ []byte) (tpm.Statement, error) {
			cancel(errStopped)
			<-ctx.Done()
			return tpm.Statement{}, context.Cause(ctx)
		}}
		wantStopped(t, issuerOf(t, p, acmetest.WithWebhook, "", slow), ctx, request)
	})
	t.Run("cancelled while another order is under way", func(t *testing.T) {
		i := issuerOf(t, p, acmetest.WithWebhook, "", m)
		i.turn <- struct{}{}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errStopped)
		wantStopped(t, i, ctx, request)
	})
	t.Run("stopped in the middle of an order", func(t *testing.T) {
		start := time.Now()
		last := deputy{m, func(ctx context.Context, key string, qualifying []byte) (tpm.Statement, error) {
			p.Stop()
			return m.Certify(ctx, key, qualifying)
		}}
		_, err := issuerOf(t, p, acmetest.WithWebhook, "", last).Issue(t.Context(), request)
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
