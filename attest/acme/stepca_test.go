//go:build unix

package acme

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
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

// A ca is a certificate of an authority with its key.
type ca struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func (by ca) issue(t testing.TB, template *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().AddDate(2, 0, 0)
	}
	if by.cert == nil {
		by.cert = template
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

func newCA(t testing.TB, name string, by ca, key crypto.Signer) ca {
	t.Helper()
	if by.key == nil {
		by.key = key
	}
	return ca{by.issue(t, &x509.Certificate{
		Subject: pkix.Name{Organization: []string{"Acme"}, CommonName: name},
		IsCA:    true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, key.Public()), key}
}

func p256(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A provider is a device provider: step-ca, an attestation CA with its
// register, and one root for both.
type provider struct {
	root, attestationRoot, attestation ca
	address                            string // of step-ca
	attestationURL                     string
	register                           string
	attested                           atomic.Int32 // attestations that were begun
	hold                               atomic.Pointer[chan struct{}]

	process *exec.Cmd
	log     bytes.Buffer
}

// The provisioners, the same but for what their names say.
const (
	withWebhook    = "device"
	withoutWebhook = "open"
	otherRoots     = "stranger" // other attestation roots
	withEAB        = "eab"
	withHTTP       = "http" // no device-attest-01
	withApple      = "apple"
)

func (p *provider) directory(provisioner string) string {
	return "https://" + p.address + "/acme/" + provisioner + "/directory"
}

func startProvider(t testing.TB) *provider {
	t.Helper()
	path, err := program()
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skipf("these tests need step-ca: %v", err)
	}
	dir := t.TempDir()
	p := &provider{register: filepath.Join(dir, "register.json")}
	p.root = newCA(t, "Acme root", ca{}, p256(t))
	issuing := newCA(t, "Acme devices", p.root, testKeys()[2])
	p.attestationRoot = newCA(t, "Acme TPMs root", ca{}, p256(t))
	p.attestation = newCA(t, "Acme TPMs", p.attestationRoot, p256(t))
	p.setRegister(t)
	p.serveAuthority(t)

	p.address = freeAddress(t)
	config := p.writeConfig(t, dir, issuing)
	p.process = exec.CommandContext(context.Background(), path, config)
	p.process.Dir = dir
	p.process.Env = append(os.Environ(), "STEPPATH="+dir)
	p.process.Stdout, p.process.Stderr = &p.log, &p.log
	if err := p.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("step-ca:\n%s", &p.log)
		}
	})
	p.await(t)
	return p
}

// stop kills step-ca, as a power cut would.
func (p *provider) stop() {
	if p.process.ProcessState == nil {
		p.process.Process.Kill()
		p.process.Wait()
	}
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (p *provider) await(t testing.TB) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		if conn, err := net.Dial("tcp", p.address); err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			p.stop()
			t.Fatalf("step-ca does not listen:\n%s", &p.log)
		}
	}
}

// serveAuthority serves the attestation CA over TLS.
func (p *provider) serveAuthority(t testing.TB) {
	t.Helper()
	a, err := authority.New(authority.Config{
		Register:       p.register,
		Chain:          []*x509.Certificate{p.attestation.cert, p.attestationRoot.cert},
		Key:            p.attestation.key,
		WebhookClients: []*x509.Certificate{p.root.cert},
	})
	if err != nil {
		t.Fatal(err)
	}
	key := p256(t)
	cert := p.root.issue(t, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "attestation"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, key.Public())
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == akcert.AttestPath {
			p.attested.Add(1)
			if hold := p.hold.Load(); hold != nil {
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
	p.attestationURL = server.URL
}

func (p *provider) setRegister(t testing.TB, devices ...authority.Device) {
	t.Helper()
	text, err := json.Marshal(authority.Register{Devices: devices})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.register, text, 0o600); err != nil {
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
func (p *provider) writeConfig(t testing.TB, dir string, issuing ca) string {
	t.Helper()
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := x509.MarshalPKCS8PrivateKey(issuing.key)
	if err != nil {
		t.Fatal(err)
	}
	template := write("leaf.tpl", []byte(leafTemplate))
	stranger := newCA(t, "Stranger", ca{}, p256(t))
	provisioner := func(name string, edit func(map[string]any)) map[string]any {
		options := map[string]any{"x509": map[string]any{"templateFile": template}}
		if name != withoutWebhook {
			options["webhooks"] = []any{map[string]any{
				"name": "register", "kind": "AUTHORIZING", "certType": "X509", "url": p.attestationURL + authority.WebhookPath,
			}}
		}
		made := map[string]any{
			"type": "ACME", "name": name,
			"challenges": []string{"device-attest-01"}, "attestationFormats": []string{"tpm"},
			"attestationRoots": pemOf(p.attestationRoot.cert),
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
		"root":    write("root.pem", pemOf(p.root.cert)),
		"crt":     write("issuing.pem", pemOf(issuing.cert)),
		"key":     write("issuing.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"address": p.address, "dnsNames": []string{"127.0.0.1"},
		"db": map[string]any{"type": "bbolt", "dataSource": filepath.Join(dir, "db")},
		"authority": map[string]any{"backdate": "1h", "provisioners": []any{
			provisioner(withWebhook, nil),
			provisioner(withoutWebhook, nil),
			provisioner(otherRoots, func(m map[string]any) { m["attestationRoots"] = pemOf(stranger.cert) }),
			provisioner(withEAB, func(m map[string]any) { m["requireEAB"] = true }),
			provisioner(withHTTP, func(m map[string]any) { m["challenges"] = []string{"http-01"} }),
			provisioner(withApple, func(m map[string]any) { m["attestationFormats"] = []string{"apple"} }),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return write("ca.json", text)
}

func pemOf(certs ...*x509.Certificate) []byte {
	var text []byte
	for _, c := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

// errStopped ends what a test stopped.
var errStopped = errors.New("the test stops it")
