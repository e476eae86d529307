package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "sixteen bytes or more"

// A site is the files that sbidca needs, and their root.
type site struct {
	dir  string
	root *x509.Certificate
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	rootKey := key(t)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	s.root = s.certificate(t, "root.pem", root, root, rootKey.Public(), rootKey)
	serverKey, issuerKey := key(t), key(t)
	server := &x509.Certificate{SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	s.certificate(t, "server.pem", server, s.root, serverKey.Public(), rootKey)
	s.writeKey(t, "server.key", serverKey)
	issuer := &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "TPMs"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	s.certificate(t, "issuer.pem", issuer, s.root, issuerKey.Public(), rootKey)
	s.writeKey(t, "issuer.key", issuerKey)
	s.write(t, "register.json", []byte(`{"devices":[]}`))
	s.write(t, "secret", []byte(secret+"\n"))
	return s
}

func key(t *testing.T) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(s.path(name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *site) writeKey(t *testing.T, name string, k crypto.Signer) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func (s *site) certificate(t *testing.T, name string, template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// flags are those of a service that works, but for those that are given.
func (s *site) flags(other ...string) []string {
	flags := other
	for _, f := range []string{
		"--listen=127.0.0.1:0",
		"--tls-certificate=" + s.path("server.pem"), "--tls-key=" + s.path("server.key"),
		"--certificate=" + s.path("issuer.pem"), "--key=" + s.path("issuer.key"),
		"--register=" + s.path("register.json"), "--webhook-secret=" + s.path("secret"),
	} {
		name, _, _ := strings.Cut(f, "=")
		if !slices.ContainsFunc(other, func(o string) bool { return strings.HasPrefix(o, name+"=") }) {
			flags = append(flags, f)
		}
	}
	return flags
}

// start runs sbidca and returns its address. When the test ends it has stopped
// without an error.
func (s *site) start(t *testing.T, args []string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	var stderr bytes.Buffer
	done := make(chan error, 1)
	go func() {
		err := run(ctx, args, w, &stderr)
		w.CloseWithError(io.ErrUnexpectedEOF)
		done <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("it ended with %v\n%s", err, &stderr)
		}
	})
	line, err := bufio.NewReader(r).ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if err != nil || !ok {
		t.Fatalf("it said %q, %v\n%s", line, err, &stderr)
	}
	return address
}

func TestServes(t *testing.T) {
	s := newSite(t)
	address := s.start(t, s.flags("--endorsement-roots="+s.path("root.pem")))
	roots := x509.NewCertPool()
	roots.AddCert(s.root)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()

	post := func(path, body, signature string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, address+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Smallstep-Signature", signature)
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	if status, text := post("/secret", `{"secret":"AAAA"}`, ""); status != http.StatusForbidden || !strings.Contains(text, "attest again") {
		t.Errorf("%d %s", status, text)
	}
	const question = `{}`
	mac := hmac.New(sha256.New, []byte(secret)) // without the line end of the file
	mac.Write([]byte(question))
	if status, text := post("/webhook", question, hex.EncodeToString(mac.Sum(nil))); status != http.StatusOK || !strings.Contains(text, `"allow":false`) {
		t.Errorf("%d %s", status, text)
	}
	if status, text := post("/webhook", question, "00"); status != http.StatusUnauthorized {
		t.Errorf("%d %s", status, text)
	}
}

func TestWillNotStart(t *testing.T) {
	s := newSite(t)
	s.write(t, "broken.json", []byte(`{"devices":[{}]}`))
	s.write(t, "short", []byte("short"))
	s.write(t, "open.key", nil)
	if err := os.Chmod(s.path("open.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	without := func(flag string) []string {
		return slices.DeleteFunc(s.flags(), func(f string) bool { return strings.HasPrefix(f, flag) })
	}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no register":               {without("--register"), "--register"},
		"register that is damaged":  {s.flags("--register=" + s.path("broken.json")), "broken.json"},
		"webhook that anybody asks": {without("--webhook-secret"), "webhook secret"},
		"short secret":              {s.flags("--webhook-secret=" + s.path("short")), "at least 16"},
		"key that others may read":  {s.flags("--key=" + s.path("open.key")), "chmod 600"},
		"key of another":            {s.flags("--key=" + s.path("server.key")), "does not match"},
		"certificate of a server":   {s.flags("--certificate="+s.path("server.pem"), "--key="+s.path("server.key")), "not the certificate of an authority"},
		"address that is taken":     {s.flags("--listen=" + taken.Addr().String()), "in use"},
		"unknown flag":              {s.flags("--what"), "--help lists the flags"},
	} {
		t.Run(name, func(t *testing.T) {
			// Should it start, it is stopped at once.
			ctx, cancel := context.WithCancel(t.Context())
			err := run(ctx, tt.args, onWrite(cancel), io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v does not say %q", err, tt.want)
			}
		})
	}
}

// onWrite is a Writer that does something when it is written to.
type onWrite func()

func (w onWrite) Write(p []byte) (int, error) {
	w()
	return len(p), nil
}

func TestToken(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"token"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(out.String())
	token := fields[slices.Index(fields, "once:")+1]
	hash := sha256.Sum256([]byte(token))
	if len(token) < 20 || !strings.Contains(out.String(), hex.EncodeToString(hash[:])) {
		t.Errorf("said %q", &out)
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, &out, io.Discard); err != nil || !strings.Contains(out.String(), "attestation CA") {
		t.Errorf("%v, %s", err, &out)
	}
}
