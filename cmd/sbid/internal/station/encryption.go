package station

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"sbid/attest"
	"sbid/attest/encryption"
	"sbid/attest/provision"
	"sbid/cmd/sbid/internal/config"
)

// An encryptionSource has the certificate that auth captures are encrypted to.
type encryptionSource interface {
	Certificate() (*x509.Certificate, error)
	Run(ctx context.Context)
}

// openEncryption makes the source that the configuration names.
func (s *Station) openEncryption(ctx context.Context) (encryptionSource, error) {
	c := s.config.Encryption
	options := encryption.Options{
		Name: s.config.Environment, Cache: filepath.Join(s.config.State, "encryption.pem"), Log: s.log,
	}
	switch {
	case c.File != "":
		options.Fetcher = encryption.File(c.File)
		options.Cache = "" // the file is there at the next start, too
	case c.Fetch != nil:
		var err error
		if options.Fetcher, err = s.fetcher(*c.Fetch); err != nil {
			return nil, err
		}
		options.Pin.Thumbprints = c.Fetch.Thumbprints
		if options.Pin.Issuers, err = readAll(c.Fetch.Issuers); err != nil {
			return nil, err
		}
	default:
		return noEncryption{}, nil
	}
	return encryption.New(ctx, options)
}

func (s *Station) fetcher(f config.Fetch) (encryption.Fetcher, error) {
	roots, err := readAll(f.Roots)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if len(roots) > 0 {
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		for _, root := range roots {
			transport.TLSClientConfig.RootCAs.AddCert(root)
		}
	}
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	caller := encryption.Client{ID: f.ClientID, SecretFile: f.SecretFile}
	var tokens encryption.TokenSource = encryption.Keycloak{URL: f.TokenURL, Client: caller, HTTP: client}
	if f.TokenKind == "authmanager" {
		tokens = encryption.AuthManager{URL: f.TokenURL, AppID: f.AppID, Client: caller, HTTP: client}
	}
	if f.Kind == "keymanager" {
		return encryption.KeyManager{URL: f.URL, ApplicationID: f.Application, ReferenceID: f.Reference, Tokens: tokens, HTTP: client}, nil
	}
	signers, err := readAll(f.Signers)
	if err != nil {
		return nil, err
	}
	return encryption.MasterData{
		URL: f.URL, Env: s.config.Environment, DomainURI: f.DomainURI, Identity: s.anyIdentity,
		Signer: encryption.Pin{Issuers: signers}, Tokens: tokens, HTTP: client,
	}, nil
}

// anyIdentity returns that of the first device which has one: master data wants
// to know that a registered device asks.
func (s *Station) anyIdentity() (*attest.Identity, error) {
	if s.set == nil {
		return nil, errNoProvider
	}
	for _, name := range s.set.Names() {
		if id, err := s.set.Device(name); err == nil && name != provision.FTM {
			return id, nil
		}
	}
	return nil, fmt.Errorf("%w: no device of this machine has a certificate yet", attest.ErrNoKey)
}

func readAll(files []string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, file := range files {
		certs, err := attest.ReadCertificates(file)
		if err != nil {
			return nil, err
		}
		all = append(all, certs...)
	}
	return all, nil
}

// noEncryption is the source where the configuration names none.
type noEncryption struct{}

func (noEncryption) Certificate() (*x509.Certificate, error) {
	return nil, fmt.Errorf("%w: the configuration names no source of it (encryption: {file: ...} or {fetch: ...})", attest.ErrNoEncryptionCertificate)
}

func (noEncryption) Run(context.Context) {}
