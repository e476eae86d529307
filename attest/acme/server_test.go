//go:build unix

package acme

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sbid/attest"
	"sbid/attest/acme/acmetest"
	"sbid/attest/internal/akcert"
)

// testKeys are made once, because RSA keys take their time: of a device, of
// another.
var testKeys = sync.OnceValue(func() (keys [2]*rsa.PrivateKey) {
	for i := range keys {
		var err error
		if keys[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			panic(err)
		}
	}
	return keys
})

// A server speaks as much ACME as one order needs. It lets everything pass,
// and answers otherwise where a test says so.
type server struct {
	*httptest.Server
	issuing acmetest.CA

	mu     sync.Mutex
	calls  map[string]int // so far, by path
	answer map[string]func(call int) any
	chain  func(csr *x509.CertificateRequest) []byte // PEM
	csr    *x509.CertificateRequest
}

type object = map[string]any

func startServer(t *testing.T) *server {
	t.Helper()
	s := &server{issuing: acmetest.NewCA(t, "Odd devices", acmetest.CA{}, acmetest.P256(t)), calls: map[string]int{}, answer: map[string]func(int) any{}}
	s.chain = func(csr *x509.CertificateRequest) []byte {
		return acmetest.PEM(s.issuing.Issue(t, &x509.Certificate{Subject: csr.Subject}, csr.PublicKey), s.issuing.Cert)
	}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *server) challenge(status string, more ...any) object {
	c := object{"type": "device-attest-01", "url": s.URL + "/challenge", "token": "token", "status": status}
	for i := 0; i < len(more); i += 2 {
		c[more[i].(string)] = more[i+1]
	}
	return c
}

func (s *server) authorization(status string, challenge object) object {
	return object{
		"status": status, "identifier": object{"type": identifierType, "value": device}, "challenges": []any{challenge},
	}
}

// usual is the answer of a server that all is well with.
func (s *server) usual(path string, call int) any {
	switch path {
	case "/directory":
		return object{"newNonce": s.URL + "/nonce", "newAccount": s.URL + "/account", "newOrder": s.URL + "/order"}
	case "/order":
		if call > 0 {
			return object{"status": "valid", "certificate": s.URL + "/certificate"}
		}
		return object{"status": "pending", "authorizations": []string{s.URL + "/authorization"}, "finalize": s.URL + "/finalize"}
	case "/authorization":
		if call > 0 {
			return s.authorization("valid", s.challenge("valid"))
		}
		return s.authorization("pending", s.challenge("pending"))
	case "/challenge":
		return s.challenge("valid")
	case "/finalize":
		return object{"status": "valid", "certificate": s.URL + "/certificate"}
	}
	return object{"status": "valid"}
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	call := s.calls[r.URL.Path]
	s.calls[r.URL.Path]++
	w.Header().Set("Replay-Nonce", strconv.Itoa(len(s.calls)*1000+call))
	switch r.URL.Path {
	case "/account", "/order":
		w.Header().Set("Location", s.URL+r.URL.Path)
	case "/finalize":
		s.csr = requestOf(body)
	}
	if r.URL.Path == "/certificate" {
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		w.Write(s.chain(s.csr))
		return
	}
	answer := s.usual(r.URL.Path, call)
	if f := s.answer[r.URL.Path]; f != nil {
		answer = f(call)
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

// requestOf takes the certificate request out of a JWS.
func requestOf(body []byte) *x509.CertificateRequest {
	var jws struct{ Payload string }
	var payload struct{ CSR string }
	if json.Unmarshal(body, &jws) != nil {
		return nil
	}
	text, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
	if json.Unmarshal(text, &payload) != nil {
		return nil
	}
	der, _ := base64.RawURLEncoding.DecodeString(payload.CSR)
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil || csr.CheckSignature() != nil {
		return nil
	}
	return csr
}

// order orders a certificate, with a TPM and an attestation key of paper.
func (s *server) order(t *testing.T, ctx context.Context) ([]*x509.Certificate, error) { //nolint:revive // t comes first in helpers
	t.Helper()
	key := testKeys()[0]
	i, err := New(Config{
		Directory: s.URL + "/directory", AttestationCA: s.URL, Roots: []*x509.Certificate{s.Certificate()},
		IssueTimeout: time.Second,
	}, newPaperTPM(t, &key.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	defer i.http.CloseIdleConnections()
	return i.order(ctx, attest.CertificateRequest{
		Key: "device", Signer: key, Serial: device, Organisation: "Acme", Country: "IN",
	}, []*x509.Certificate{selfIssued(t, akcert.Names{Permanent: []string{device}}, key)})
}

func TestServersOfOthers(t *testing.T) {
	refused := object{"type": badAttestationStatement, "detail": "not this TPM"}
	issueFor := func(s *server, public crypto.PublicKey, cn string) func(*x509.CertificateRequest) []byte {
		cert := s.issuing.Issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: cn}}, public)
		return func(*x509.CertificateRequest) []byte { return acmetest.PEM(cert) }
	}
	tests := map[string]struct {
		edit func(*server)
		want string // "" when a certificate is issued
	}{
		"all is well": {func(s *server) {}, ""},
		"judges later": {func(s *server) {
			s.answer["/challenge"] = func(int) any { return s.challenge("processing") }
			s.answer["/authorization"] = func(call int) any {
				if call < 2 {
					return s.authorization("pending", s.challenge("processing"))
				}
				return s.authorization("valid", s.challenge("valid"))
			}
		}, ""},
		"issues later": {func(s *server) {
			s.answer["/finalize"] = func(int) any { return object{"status": "processing"} }
		}, ""},
		"has authorized before": {func(s *server) {
			s.answer["/authorization"] = func(int) any { return s.authorization("valid", s.challenge("valid")) }
			s.answer["/challenge"] = func(int) any { t.Error("the challenge was answered again"); return nil }
		}, ""},
		"fails, and leaves the authorization pending": {func(s *server) {
			s.answer["/challenge"] = func(int) any { return s.challenge("invalid", "error", refused) }
			s.answer["/authorization"] = func(call int) any { return s.authorization("pending", s.challenge("pending")) }
		}, "not this TPM"},
		"fails later": {func(s *server) {
			s.answer["/challenge"] = func(int) any { return s.challenge("processing") }
			s.answer["/authorization"] = func(call int) any {
				return s.authorization("pending", s.challenge([]string{"pending", "invalid"}[min(call, 1)]))
			}
		}, "gives no reason"},
		"never judges": {func(s *server) {
			s.answer["/challenge"] = func(int) any { return s.challenge("processing") }
			s.answer["/authorization"] = func(int) any { return s.authorization("pending", s.challenge("processing")) }
		}, "no judgement after 1s"},
		"authorization is over": {func(s *server) {
			s.answer["/authorization"] = func(call int) any {
				return s.authorization([]string{"pending", "expired"}[min(call, 1)], s.challenge("pending"))
			}
		}, "authorization is expired"},
		"order is over": {func(s *server) {
			s.answer["/finalize"] = func(int) any { return object{"status": "invalid", "error": object{"detail": "closed today"}} }
		}, "closed today"},
		"order is over for no reason": {func(s *server) {
			s.answer["/finalize"] = func(int) any { return object{"status": "invalid"} }
		}, "certificate request"},
		"challenge without a token": {func(s *server) {
			s.answer["/authorization"] = func(int) any { return s.authorization("pending", s.challenge("pending", "token", "")) }
		}, "offers no device-attest-01"},
		"challenge without a URL": {func(s *server) {
			s.answer["/authorization"] = func(int) any { return s.authorization("pending", s.challenge("pending", "url", "")) }
		}, "offers no device-attest-01"},
		"certificate of another key":  {func(s *server) { s.chain = issueFor(s, &testKeys()[1].PublicKey, device) }, "another key"},
		"certificate of another name": {func(s *server) { s.chain = issueFor(s, &testKeys()[0].PublicKey, neighbor) }, neighbor},
		"no common name":              {func(s *server) { s.chain = issueFor(s, &testKeys()[0].PublicKey, "") }, "common name"},
		"chain of strangers": {func(s *server) {
			good, other := s.chain, acmetest.NewCA(t, "other", acmetest.CA{}, acmetest.P256(t))
			s.chain = func(csr *x509.CertificateRequest) []byte { return append(good(csr), acmetest.PEM(other.Cert)...) }
		}, "not by"},
		"empty chain":      {func(s *server) { s.chain = func(*x509.CertificateRequest) []byte { return nil } }, "certificate: "},
		"damaged chain":    {func(s *server) { s.chain = func(*x509.CertificateRequest) []byte { return []byte("-----BEGIN") } }, "damaged"},
		"directory of air": {func(s *server) { s.answer["/directory"] = func(int) any { return object{} } }, "check the network, the URL"},
		"endless directory": {func(s *server) {
			s.answer["/directory"] = func(int) any { return object{"newOrder": strings.Repeat("x", 2*maxResponse)} }
		}, "check the network, the URL"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			tt.edit(s)
			chain, err := s.order(t, t.Context())
			if tt.want != "" {
				wantError(t, err, tt.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := chain[0].Subject.String(); got != "CN="+device+",O=Acme,C=IN" {
				t.Errorf("subject %s", got)
			}
		})
	}
}

// A server that takes requests and answers none is given up, in the end.
func TestNoAnswer(t *testing.T) {
	s := startServer(t)
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the hang-up goes unnoticed
		<-r.Context().Done()
	})
	key := testKeys()[0]
	i, err := New(Config{
		Directory: s.URL + "/directory", AttestationCA: s.URL, Roots: []*x509.Certificate{s.Certificate()},
		RequestTimeout: 50 * time.Millisecond,
	}, newPaperTPM(t, &key.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	request := attest.CertificateRequest{Key: "device", Signer: key, Serial: device}
	_, err = i.Issue(t.Context(), request)
	wantError(t, err, "attestation CA")
	if !errors.Is(err, attest.ErrManagementServer) {
		t.Errorf("%v is not ErrManagementServer", err)
	}
	_, err = i.order(t.Context(), request, []*x509.Certificate{selfIssued(t, akcert.Names{Permanent: []string{device}}, key)})
	wantError(t, err, "account")
	if !errors.Is(err, attest.ErrManagementServer) {
		t.Errorf("%v is not ErrManagementServer", err)
	}
	i.http.CloseIdleConnections()
}

// Nobody leads us away from the servers whose roots are pinned.
func TestRedirection(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s was followed", r.Method, r.URL)
	}))
	defer elsewhere.Close()
	s := startServer(t)
	s.Config.Handler = http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect)
	key := testKeys()[0]
	i, err := New(Config{
		Directory: s.URL + "/directory", AttestationCA: s.URL, Roots: []*x509.Certificate{s.Certificate()}, Token: "secret",
	}, newPaperTPM(t, &key.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	_, err = i.Issue(t.Context(), attest.CertificateRequest{Key: "device", Signer: key, Serial: device})
	wantError(t, err, "attestation CA", elsewhere.URL, "not followed")
}

// The request has the name of the device twice, and asks for nothing else.
func TestCertificateRequest(t *testing.T) {
	key := testKeys()[0]
	der, err := certificateRequest(attest.CertificateRequest{Signer: key, Serial: device, Organisation: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil || csr.CheckSignature() != nil {
		t.Fatal(err, csr.CheckSignature())
	}
	if csr.Subject.String() != "CN="+device+",O=Acme" || csr.SignatureAlgorithm != x509.SHA256WithRSA || len(csr.Extensions) != 1 {
		t.Errorf("subject %s, %s, %d extensions", csr.Subject, csr.SignatureAlgorithm, len(csr.Extensions))
	}
	if !bytes.Contains(csr.Extensions[0].Value, []byte(device)) || csr.Extensions[0].Critical {
		t.Errorf("extension %v", csr.Extensions[0])
	}
}

func TestCancelledAtOnce(t *testing.T) {
	for _, path := range []string{"/directory", "/order", "/challenge", "/finalize", "/certificate"} {
		t.Run(path, func(t *testing.T) {
			s := startServer(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			arrived := make(chan struct{}, 8)
			inner := s.Config.Handler
			s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != path {
					inner.ServeHTTP(w, r)
					return
				}
				_, _ = io.Copy(io.Discard, r.Body) // else the hang-up goes unnoticed
				arrived <- struct{}{}
				<-r.Context().Done()
			})
			go func() {
				<-arrived
				cancel(errStopped)
			}()
			start := time.Now()
			if _, err := s.order(t, ctx); !errors.Is(err, errStopped) {
				t.Errorf("got %v, want %v", err, errStopped)
			}
			if after := time.Since(start); after > soon {
				t.Errorf("it took %s", after)
			}
		})
	}
}

// errStopped ends what a test stopped.
var errStopped = errors.New("the test stops it")
