//go:build unix

// Package acmetest has a device provider for tests: the real step-ca, an
// attestation CA with its register, and the authorities behind them. No program
// imports it.
package acmetest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"

	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sbid/attest/authority"
	"sbid/attest/internal/akcert"
)

// program builds step-ca, at the version of .ci/step-ca.mod, or finds it in the
// Go command's cache. Its package for smart cards calls C and can be left out.
var program = sync.OnceValues(func() (string, error) {
	cmd := exec.CommandContext(context.Background(), "go", "tool", "-modfile=.ci/step-ca.mod", "-n", "step-ca")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	path, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build step-ca: %w\n%s", err, &stderr)
	}
	return strings.TrimSpace(string(path)), nil
})

// A CA is a certificate of an authority with its key.
type CA struct {
	Cert *x509.Certificate
	Key  crypto.Signer
}

// Issue certifies a public key, for two years from an hour ago unless the
// template says otherwise.
func (by CA) Issue(t testing.TB, template *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().AddDate(2, 0, 0)
	}
	if by.Cert == nil {
		by.Cert = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Cert, public, by.Key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// NewCA makes an authority that another one vouches for, or itself where by is
// empty.
func NewCA(t testing.TB, name string, by CA, key crypto.Signer) CA {
	t.Helper()
	if by.Key == nil {
		by.Key = key
	}
	return CA{by.Issue(t, &x509.Certificate{
		Subject: pkix.Name{Organization: []string{"Acme"}, CommonName: name},
		IsCA:    true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, key.Public()), key}
}

// P256 makes a key.
func P256(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A Provider is a device provider: step-ca, an attestation CA with its
// register, and one root for both.
type Provider struct {
	Root, AttestationRoot, Attestation CA
	Address                            string // of step-ca
	AttestationURL                     string
	Register                           string                        // its file
	Attested                           atomic.Int32                  // attestations that were begun
	Hold                               atomic.Pointer[chan struct{}] // set, an attestation closes it and waits for its client to hang up

	process *exec.Cmd
	log     bytes.Buffer
}

// The provisioners, the same but for what their names say.
const (
	WithWebhook    = "device"
	WithoutWebhook = "open"
	OtherRoots     = "stranger" // other attestation roots
	WithEAB        = "eab"
	WithHTTP       = "http" // no device-attest-01
	WithApple      = "apple"
)

// Directory returns the URL of a provisioner's ACME directory.
func (p *Provider) Directory(provisioner string) string {
	return "https://" + p.Address + "/acme/" + provisioner + "/directory"
}

// partner is the provider's key, made once, because RSA keys take their time.
var partner = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// Start runs a provider until the test ends, whose organisation is Acme. Where
// step-ca cannot be built, the test is skipped, and on CI fails.
func Start(t testing.TB) *Provider {
	t.Helper()
	path, err := program()
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skipf("these tests need step-ca: %v", err)
	}
	dir := t.TempDir()
	p := &Provider{Register: filepath.Join(dir, "register.json")}
	p.Root = NewCA(t, "Acme root", CA{}, P256(t))
	issuing := NewCA(t, "Acme devices", p.Root, partner())
	p.AttestationRoot = NewCA(t, "Acme TPMs root", CA{}, P256(t))
	p.Attestation = NewCA(t, "Acme TPMs", p.AttestationRoot, P256(t))
	p.SetRegister(t)
	p.serveAuthority(t)

	p.Address = FreeAddress(t)
	config := p.writeConfig(t, dir, issuing)
	p.process = exec.CommandContext(context.Background(), path, config) //nolint:gosec // a test's own program
	p.process.Dir = dir
	p.process.Env = append(os.Environ(), "STEPPATH="+dir)
	p.process.Stdout, p.process.Stderr = &p.log, &p.log
	if err := p.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("step-ca:\n%s", &p.log)
		}
	})
	p.await(t)
	return p
}

// Stop kills step-ca, as a power cut would.
func (p *Provider) Stop() {
	if p.process.ProcessState == nil {
		_ = p.process.Process.Kill() // it may have ended by itself
		_ = p.process.Wait()         // and was killed
	}
}

// FreeAddress returns an address of 127.0.0.1 on which nobody listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (p *Provider) await(t testing.TB) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.Address); err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			p.Stop()
			t.Fatalf("step-ca does not listen:\n%s", &p.log)
		}
	}
}

// serveAuthority serves the attestation CA over TLS.
func (p *Provider) serveAuthority(t testing.TB) {
	t.Helper()
	a, err := authority.New(authority.Config{
		Register:       p.Register,
		Chain:          []*x509.Certificate{p.Attestation.Cert, p.AttestationRoot.Cert},
		Key:            p.Attestation.Key,
		WebhookClients: []*x509.Certificate{p.Root.Cert},
	})
	if err != nil {
		t.Fatal(err)
	}
	key := P256(t)
	cert := p.Root.Issue(t, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "attestation"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, key.Public())
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == akcert.AttestPath {
			p.Attested.Add(1)
			if hold := p.Hold.Load(); hold != nil {
				close(*hold) // somebody waits for the request to be here
				// Before the body was read, the server does not notice a hang-up.
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
				return
			}
		}
		a.ServeHTTP(w, r)
	}))
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}},
		ClientAuth:   tls.RequestClientCert,
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	p.AttestationURL = server.URL
}

// SetRegister writes the register of devices.
func (p *Provider) SetRegister(t testing.TB, devices ...authority.Device) {
	t.Helper()
	text, err := json.Marshal(authority.Register{Devices: devices})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Register, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

const leafTemplate = `{
	"subject": {"country": "IN", "organization": "Acme", "commonName": {{ toJson .Subject.CommonName }}},
	"sans": {{ toJson .SANs }},
	"keyUsage": ["digitalSignature"],
	"basicConstraints": {"isCA": false}
}`

// writeConfig writes what step-ca needs, and returns the path of its
// configuration.
func (p *Provider) writeConfig(t testing.TB, dir string, issuing CA) string {
	t.Helper()
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := x509.MarshalPKCS8PrivateKey(issuing.Key)
	if err != nil {
		t.Fatal(err)
	}
	template := write("leaf.tpl", []byte(leafTemplate))
	stranger := NewCA(t, "Stranger", CA{}, P256(t))
	provisioner := func(name string, edit func(map[string]any)) map[string]any {
		options := map[string]any{"x509": map[string]any{"templateFile": template}}
		if name != WithoutWebhook {
			options["webhooks"] = []any{map[string]any{
				"name": "register", "kind": "AUTHORIZING", "certType": "X509", "url": p.AttestationURL + authority.WebhookPath,
			}}
		}
		made := map[string]any{
			"type": "ACME", "name": name,
			"challenges": []string{"device-attest-01"}, "attestationFormats": []string{"tpm"},
			"attestationRoots": PEM(p.AttestationRoot.Cert),
			"claims": map[string]any{
				"minTLSCertDuration": "24h", "defaultTLSCertDuration": "1440h", "maxTLSCertDuration": "2400h", "disableSmallstepExtensions": true,
			},
			"options": options,
		}
		if edit != nil {
			edit(made)
		}
		return made
	}
	text, err := json.Marshal(map[string]any{
		"root":    write("root.pem", PEM(p.Root.Cert)),
		"crt":     write("issuing.pem", PEM(issuing.Cert)),
		"key":     write("issuing.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"address": p.Address, "dnsNames": []string{"127.0.0.1"},
		"db": map[string]any{"type": "bbolt", "dataSource": filepath.Join(dir, "db")},
		"authority": map[string]any{"backdate": "1h", "provisioners": []any{
			provisioner(WithWebhook, nil),
			provisioner(WithoutWebhook, nil),
			provisioner(OtherRoots, func(m map[string]any) { m["attestationRoots"] = PEM(stranger.Cert) }),
			provisioner(WithEAB, func(m map[string]any) { m["requireEAB"] = true }),
			provisioner(WithHTTP, func(m map[string]any) { m["challenges"] = []string{"http-01"} }),
			provisioner(WithApple, func(m map[string]any) { m["attestationFormats"] = []string{"apple"} }),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return write("ca.json", text)
}

// PEM returns certificates as text.
func PEM(certs ...*x509.Certificate) []byte {
	var text []byte
	for _, c := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}
