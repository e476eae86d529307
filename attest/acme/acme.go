// Package acme gets the certificates of device keys from a certificate
// authority that speaks ACME (RFC 8555) with the challenge device-attest-01
// (draft-ietf-acme-device-attest), as step-ca does. It proves that a key is in
// the TPM of a registered machine: the TPM's attestation key, certified by the
// provider's attestation CA, signs a statement about the new key.
package acme

import (
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"sbid/attest"
	"sbid/attest/tpm"
)

// A TPM proves what it is and which keys it has. *tpm.Store is one.
type TPM interface {
	Info(ctx context.Context) (tpm.Info, error)
	Endorsement(ctx context.Context) (tpm.Endorsement, error)
	AttestationKey(ctx context.Context) (tpm.AttestationKey, error)
	Activate(ctx context.Context, credential, secret []byte) ([]byte, error)
	Certify(ctx context.Context, key string, qualifying []byte) (tpm.Statement, error)
}

// A Config says where certificates come from.
type Config struct {
	// Directory is the URL of the ACME server's directory; for step-ca
	// https://HOST/acme/PROVISIONER/directory.
	Directory string
	// AttestationCA is the URL of the CA that certifies attestation keys.
	AttestationCA string
	// Roots are the only ones that the TLS certificates of both servers may
	// chain to; those of the system do not count.
	Roots []*x509.Certificate
	// Dir keeps the key of the ACME account and the certificate of the
	// attestation key. Empty: they are kept in memory, and made again by the
	// next Issuer.
	Dir string
	// Token is the one-time token with which the provider's register knows a
	// TPM at first use; empty when it knows it already.
	Token string

	// RequestTimeout ends one request, 20 seconds unless given. Requests that
	// got no answer are repeated twice.
	RequestTimeout time.Duration
	// IssueTimeout is how long the server may take to judge a statement, and
	// again to issue a certificate: one minute unless given.
	IssueTimeout time.Duration
}

const (
	defaultRequestTimeout = 20 * time.Second
	defaultIssueTimeout   = time.Minute
	pollInterval          = 250 * time.Millisecond
	maxResponse           = 1 << 20 // bytes; a chain has about ten thousand
	userAgent             = "sbid"
)

// An Issuer is an attest.Issuer for keys that are in a TPM. It is safe for
// concurrent use, and does one order after the other: the TPM could do no more.
type Issuer struct {
	config Config
	tpm    TPM
	http   *http.Client

	turn chan struct{} // holds one token; who put it there owns state
	state
}

// state is what an Issuer remembers when there is no directory for it.
type state struct {
	account     accountKey
	attestation []*x509.Certificate // of the attestation key, and its authorities'
}

var (
	_ attest.Issuer = (*Issuer)(nil)
	_ TPM           = (*tpm.Store)(nil)
)

// New returns an issuer. It asks nobody anything yet.
func New(config Config, t TPM) (*Issuer, error) {
	for name, address := range map[string]string{"ACME directory": config.Directory, "attestation CA": config.AttestationCA} {
		u, err := url.Parse(address)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("%s: %q is not the https URL of a server", name, address)
		}
	}
	if len(config.Roots) == 0 {
		return nil, errors.New("ACME: no root that the provider's servers are known by: name the file of the provider's root certificate")
	}
	roots := x509.NewCertPool()
	for _, c := range config.Roots {
		roots.AddCert(c)
	}
	config.RequestTimeout = cmp.Or(config.RequestTimeout, defaultRequestTimeout)
	config.IssueTimeout = cmp.Or(config.IssueTimeout, defaultIssueTimeout)
	transport := &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	return &Issuer{
		config: config,
		tpm:    t,
		http:   &http.Client{Transport: bounded{transport}, Timeout: config.RequestTimeout, CheckRedirect: stay},
		turn:   make(chan struct{}, 1),
	}, nil
}

// stay follows no redirection: it could lead to where no TLS is.
func stay(r *http.Request, _ []*http.Request) error {
	return fmt.Errorf("redirected to %s, which is not followed", r.URL)
}

// bounded cuts off what no server of a provider sends.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(response.Body, maxResponse), response.Body}
	}
	return response, err
}

// CloseIdleConnections makes http.Client's method of this name work.
func (b bounded) CloseIdleConnections() {
	if t, ok := b.RoundTripper.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// Issue orders the certificate of a key in the TPM. Errors of the servers carry
// their own words. When a server cannot be reached, or is not one of the
// provider's, the error is attest.ErrManagementServer.
func (i *Issuer) Issue(ctx context.Context, request attest.CertificateRequest) ([]*x509.Certificate, error) {
	chain, err := i.issue(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("get certificate of device %s: %w", request.Serial, err)
	}
	return chain, nil
}

func (i *Issuer) issue(ctx context.Context, request attest.CertificateRequest) ([]*x509.Certificate, error) {
	if request.Serial == "" || request.Signer == nil {
		return nil, errors.New("no serial number, or no key")
	}
	select {
	case i.turn <- struct{}{}:
		defer func() { <-i.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer i.http.CloseIdleConnections()

	ak, fresh, err := i.attestationChain(ctx, request.Serial)
	if err != nil {
		return nil, err
	}
	chain, err := i.order(ctx, request, ak)
	if refused, ok := errors.AsType[*refusedError](err); ok && !fresh && refused.problem.Type == badAttestationStatement {
		// The certificate may be of an authority that does not count any more,
		// or name too few devices: one that is new is worth another order.
		if ak, err = i.newAttestationChain(ctx, request.Serial); err != nil {
			return nil, errors.Join(refused, err)
		}
		chain, err = i.order(ctx, request, ak)
	}
	return chain, err
}

// order carries out one order, from the account to the certificate.
func (i *Issuer) order(ctx context.Context, request attest.CertificateRequest, ak []*x509.Certificate) ([]*x509.Certificate, error) {
	key, err := i.accountKey()
	if err != nil {
		return nil, err
	}
	o := &order{
		Client: &acme.Client{
			Directory:    i.config.Directory,
			HTTPClient:   i.http,
			UserAgent:    userAgent,
			PollInterval: pollInterval,
			PollTimeout:  i.config.IssueTimeout,
		},
		account: acme.Account{TermsOfServiceAgreed: true, PrivateKey: key},
		request: request,
		ak:      ak,
		tpm:     i.tpm,
	}
	return o.run(ctx)
}

// checkChain makes sure that the certificate is the one that was asked for.
// Whether it is trusted and who signs with it is for the one who asked.
func checkChain(chain []*x509.Certificate, request attest.CertificateRequest) error {
	public, ok := request.Signer.Public().(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("%w: %T", attest.ErrWeakKey, request.Signer.Public())
	}
	leaf := chain[0]
	if !public.Equal(leaf.PublicKey) {
		return fmt.Errorf("%w: serial number %x", attest.ErrKeyMismatch, leaf.SerialNumber)
	}
	if leaf.Subject.CommonName != request.Serial {
		return fmt.Errorf("the server issued a certificate for %q: have its template take the common name of the request", leaf.Subject.CommonName)
	}
	for n, issuer := range chain[1:] {
		if err := attest.CheckIssuer(chain[n], issuer); err != nil {
			return err
		}
	}
	return nil
}
