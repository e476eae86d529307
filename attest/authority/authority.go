// Package authority is an attestation CA for device providers: it certifies
// the attestation keys of TPMs that are in the provider's register, and tells
// the provider's certificate authority which device may have a certificate.
//
// A TPM that asks shows its endorsement key, which no other TPM has, and its
// attestation key. The authority finds the endorsement key in the register,
// encrypts a secret that only a TPM with both keys can open
// (TPM2_ActivateCredential), and who brings the secret back gets a certificate
// for the attestation key. In it stand the serial numbers of all devices that
// the register has for this TPM, as permanent identifiers; a certificate
// authority that speaks ACME with device-attest-01 (draft-ietf-acme-device-attest)
// then compares them with what is ordered.
//
// step-ca takes a certificate without any permanent identifier for one that
// fits every order. That is why the authority never issues one, and why it
// also answers step-ca's webhook, which asks about every single order.
//
// A provisioner of step-ca needs, in its configuration: type ACME; challenges
// device-attest-01 and nothing else; attestationFormats tpm; attestationRoots
// with the root of the authority's Chain alone; a webhook of kind AUTHORIZING
// and certType X509 with the URL of WebhookPath, whose TLS certificate step-ca
// trusts if its own root issued it; and a template that keeps common name and
// alternative names as they are, since the webhook refuses anything else.
package authority

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"sbid/attest/internal/akcert"
)

// WebhookPath is where step-ca asks, below the address of the authority. The
// calls of devices are POST /attest and POST /secret.
const WebhookPath = "/webhook"

// Sizes of requests in bytes.
const (
	maxAttest  = 64 << 10 // endorsement certificates with their chain have about ten thousand
	maxSecret  = 1 << 10
	maxWebhook = 256 << 10
)

// A Config says what an Authority works with.
type Config struct {
	// Register is the path of the register, a JSON file as Register describes it.
	Register string
	// Chain is the certificate of Key and those of its authorities, each issued
	// by the next. Whoever trusts its root trusts every attestation key below
	// it: use the root for nothing else.
	Chain []*x509.Certificate
	Key   crypto.Signer
	// EndorsementRoots are the manufacturers whose endorsement certificates
	// count. There may be none: then every TPM is known by the hash of its key.
	EndorsementRoots []*x509.Certificate

	// WebhookSecret is the key of step-ca's signatures. WebhookClients are
	// roots of the certificate that step-ca shows as a TLS client. A webhook
	// must pass each test that is given here, and at least one must be.
	// (step-ca can be given a secret by its administration interface only; for
	// a webhook of its configuration file it signs with an empty key.)
	WebhookSecret  []byte
	WebhookClients []*x509.Certificate

	Log *slog.Logger // nil: nothing is logged
}

// An Authority is an http.Handler for TPMs and for step-ca. Serve it over TLS
// only. It is safe for concurrent use.
type Authority struct {
	mux          http.ServeMux
	log          *slog.Logger
	register     *register
	issuer       issuer
	endorsements endorsements
	webhook      webhookGuard
	pending      pending
}

// New reads the register and returns an authority for it.
func New(config Config) (*Authority, error) {
	a := &Authority{
		log:      config.Log,
		register: &register{path: config.Register},
		webhook:  webhookGuard{secret: config.WebhookSecret},
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	a.endorsements.roots = pool(config.EndorsementRoots)
	if len(config.WebhookClients) > 0 {
		a.webhook.clients = pool(config.WebhookClients)
	}
	if len(config.WebhookSecret) == 0 && len(config.WebhookClients) == 0 {
		return nil, errors.New("attestation authority: neither a webhook secret nor client authorities: anybody could ask which devices are registered")
	}
	var err error
	if a.issuer, err = newIssuer(config.Chain, config.Key); err != nil {
		return nil, fmt.Errorf("attestation authority: %w", err)
	}
	if _, err := a.register.read(); err != nil {
		return nil, fmt.Errorf("attestation authority: %w", err)
	}
	a.mux.Handle("POST "+akcert.AttestPath, answer(a, maxAttest, a.attest))
	a.mux.Handle("POST "+akcert.SecretPath, answer(a, maxSecret, a.secret))
	a.mux.HandleFunc("POST "+WebhookPath, a.serveWebhook)
	return a, nil
}

func (a *Authority) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// A refusal is a failure whose cause is with the one who asks; its text is
// meant for the person who looks after that machine.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// answer makes a handler of a function on values.
func answer[Request, Response any](a *Authority, limit int64, f func(*http.Request, Request) (Response, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request Request
		body, err := readBody(w, r, limit)
		if err == nil {
			if jsonErr := json.Unmarshal(body, &request); jsonErr != nil {
				err = refuse(http.StatusBadRequest, "not the JSON of this call: %v", jsonErr)
			}
		}
		var response Response
		if err == nil {
			response, err = f(r, request)
		}
		if err != nil {
			a.fail(w, r, err)
			return
		}
		a.reply(w, http.StatusOK, "application/json", response)
	})
}

func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return nil, refuse(http.StatusRequestEntityTooLarge, "more than %d bytes", limit)
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "request broke off: %v", err)
	}
	return body, nil
}

func (a *Authority) reply(w http.ResponseWriter, status int, mediaType string, value any) {
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(value); err != nil {
		panic("authority: an answer does not marshal: " + err.Error())
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if _, err := w.Write(text.Bytes()); err != nil {
		a.log.Warn("the answer was not taken", "error", err)
	}
}

// fail answers with a problem. What is not the client's fault stays in the log.
func (a *Authority) fail(w http.ResponseWriter, r *http.Request, err error) {
	problem := akcert.Problem{Title: "attestation failed", Status: http.StatusInternalServerError, Detail: "the attestation CA has a fault of its own: look into its log"}
	if refused, ok := errors.AsType[*refusal](err); ok {
		problem.Status, problem.Detail = refused.status, refused.text
		a.log.Warn("refused", "call", r.URL.Path, "from", r.RemoteAddr, "reason", refused.text)
	} else {
		a.log.Error("failed", "call", r.URL.Path, "from", r.RemoteAddr, "error", err)
	}
	a.reply(w, problem.Status, akcert.ProblemType, problem)
}

// attest finds a TPM in the register and returns a secret that it alone can
// open.
func (a *Authority) attest(r *http.Request, request akcert.AttestRequest) (akcert.AttestResponse, error) {
	var none akcert.AttestResponse
	ek, err := a.endorsements.parse(request.EK, request.EKCertificates)
	if err != nil {
		return none, refuse(http.StatusBadRequest, "endorsement key: %v", err)
	}
	ak, err := parseAttestationKey(request.Parameters)
	if err != nil {
		return none, refuse(http.StatusBadRequest, "attestation key: %v", err)
	}
	devices, err := a.register.read()
	if err != nil {
		return none, err
	}
	found, err := find(devices, ek, token(r))
	if err != nil {
		return none, err
	}
	secret := make([]byte, sha256.Size)
	if _, err := rand.Read(secret); err != nil {
		return none, fmt.Errorf("draw secret: %w", err)
	}
	credential, encrypted, err := makeCredential(ek.public, ak.name, secret)
	if err != nil {
		return none, fmt.Errorf("make credential: %w", err)
	}
	err = a.pending.add(secret, candidate{
		ek: ek.hash, devices: found, key: ak.public, names: productNames(ek, request.TPM),
	})
	if err != nil {
		return none, err
	}
	a.log.Info("attestation begun", "ek", ek.hash, "devices", found, "from", r.RemoteAddr)
	return akcert.AttestResponse{Credential: credential, Secret: encrypted}, nil
}

// token is the one-time token of a request, "" if it has none.
func token(r *http.Request) string {
	text, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return text
}

// secret certifies the attestation key of the TPM that opened a secret.
func (a *Authority) secret(r *http.Request, request akcert.SecretRequest) (akcert.SecretResponse, error) {
	var none akcert.SecretResponse
	c, ok := a.pending.take(request.Secret)
	if !ok {
		return none, refuse(http.StatusForbidden, "this secret is not, or not any more, waited for: attest again")
	}
	serials, err := a.register.enrol(c.devices, c.ek)
	if err != nil {
		return none, err
	}
	c.names.Permanent = serials
	chain, err := a.issuer.issue(c.key, c.names)
	if err != nil {
		return none, err
	}
	a.log.Info("attestation key certified", "ek", c.ek, "devices", serials, "from", r.RemoteAddr)
	return akcert.SecretResponse{Chain: chain}, nil
}

func pool(certs []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}
