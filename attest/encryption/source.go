// Package encryption keeps the certificate at hand that records for
// authentication are encrypted to: the adopter's, fetched from one of MOSIP's
// services or read from a file, checked, remembered over restarts and renewed in
// time.
package encryption

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"sbid/attest"
	"sbid/attest/internal/statedir"
)

// A Fetcher gets the certificate from where it comes from.
type Fetcher interface {
	Fetch(ctx context.Context) (*x509.Certificate, error)
}

// Options say where a certificate comes from and which one may come.
type Options struct {
	// Name is for messages: the environment and the domain that the certificate
	// is for.
	Name    string
	Fetcher Fetcher
	// Pin may be empty for a File only: a key manager answers a request for a
	// key that there is not by making one, which nobody decrypts with.
	Pin Pin
	// Cache is a file that remembers the certificates, public as they are; ""
	// for none.
	Cache string
	Now   func() time.Time // time.Now if nil
	Log   *slog.Logger     // slog.Default() if nil
}

// When a source looks for a new certificate.
const (
	daily       = 24 * time.Hour
	firstRetry  = time.Minute
	lastRetry   = time.Hour
	fetchWithin = 30 * time.Second
)

// A Source has the current certificate and the one before. It is safe for
// concurrent use.
type Source struct {
	opts  Options
	every time.Duration

	mu      sync.RWMutex
	certs   []*x509.Certificate // current, previous
	trouble error               // of the last fetch
}

// New returns a source that knows what its cache and, if it is one, its file
// hold. A cache that cannot be read is logged and otherwise like none.
func New(ctx context.Context, o Options) (*Source, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Source{opts: o, every: daily, trouble: errors.New("it was not fetched yet")}
	f, isFile := o.Fetcher.(File)
	if !isFile && o.Pin.empty() {
		return nil, fmt.Errorf("encryption certificate for %s: give the thumbprint of the certificate or the certificate of its issuer: "+
			"a key manager makes a new certificate for a wrong reference id", o.Name)
	}
	if o.Cache != "" {
		s.remember()
	}
	if isFile {
		s.every = f.every()
		s.refresh(ctx)
	}
	return s, nil
}

// Certificate returns the certificate to encrypt to now, from memory: the last
// one fetched, or the one before while the last one is not valid. Without
// either it returns attest.ErrNoEncryptionCertificate and says why and what to
// do.
func (s *Source) Certificate() (*x509.Certificate, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := s.opts.Now()
	why := error(nil)
	for _, cert := range s.certs {
		err := attest.CheckEncryptionCertificate(cert, now)
		if err == nil {
			return cert, nil
		}
		if why == nil {
			why = err
		}
	}
	if why == nil {
		return nil, fmt.Errorf("%w for %s: %w", attest.ErrNoEncryptionCertificate, s.opts.Name, s.trouble)
	}
	if s.trouble != nil {
		return nil, fmt.Errorf("%w; no newer one for %s: %w", why, s.opts.Name, s.trouble)
	}
	return nil, fmt.Errorf("%w; its owner has no newer one for %s: ask the adopter", why, s.opts.Name)
}

// Run fetches the certificate at once and then daily, more often shortly before
// it expires and, with growing pauses, while fetching fails. It returns when
// ctx ends.
func (s *Source) Run(ctx context.Context) {
	retry := firstRetry
	for {
		pause := min(s.every, retry)
		if s.refresh(ctx) {
			pause, retry = s.pause(), firstRetry
		} else {
			retry = min(2*retry, lastRetry)
		}
		// Between a half and all of it, so that not everyone comes at once.
		timer := time.NewTimer(pause/2 + rand.N(pause/2+1)) //nolint:gosec // no secret
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// pause returns how long the certificate, which is there, may be left alone at
// most.
func (s *Source) pause() time.Duration {
	s.mu.RLock()
	defer s.mu.RUnlock()
	left := s.certs[0].NotAfter.Sub(s.opts.Now())
	return min(s.every, max(left/2, firstRetry))
}

// refresh fetches the certificate and says whether that went well.
func (s *Source) refresh(ctx context.Context) bool {
	limited, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	cert, err := s.opts.Fetcher.Fetch(limited)
	if ctx.Err() != nil {
		return false // not the fetcher's fault
	}
	if err == nil {
		err = s.acceptable(cert)
	}
	if err != nil {
		s.failed(err)
		return false
	}
	s.succeeded(cert)
	return true
}

// acceptable checks a certificate that was fetched.
func (s *Source) acceptable(cert *x509.Certificate) error {
	if err := s.opts.Pin.check(cert); err != nil {
		return err
	}
	return attest.CheckEncryptionCertificate(cert, s.opts.Now())
}

func (s *Source) failed(err error) {
	s.mu.Lock()
	// A file is looked at every few seconds.
	again := s.trouble != nil && s.trouble.Error() == err.Error()
	s.trouble = err
	s.mu.Unlock()
	if !again {
		s.opts.Log.Warn("no new encryption certificate", "for", s.opts.Name, "error", err)
	}
}

func (s *Source) succeeded(cert *x509.Certificate) {
	s.mu.Lock()
	s.trouble = nil
	known := len(s.certs) > 0 && s.certs[0].Equal(cert)
	if !known {
		s.certs = append([]*x509.Certificate{cert}, s.certs...)
		s.certs = s.certs[:min(2, len(s.certs))]
	}
	certs := s.certs
	s.mu.Unlock()
	if known {
		return
	}
	s.opts.Log.Info("new encryption certificate", "for", s.opts.Name, "thumbprint", attest.Thumbprint(cert), "until", cert.NotAfter.UTC())
	if s.opts.Cache == "" {
		return
	}
	var text bytes.Buffer
	for _, c := range certs {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	if err := statedir.WriteFile(s.opts.Cache, text.Bytes(), 0o600); err != nil {
		s.opts.Log.Warn("the encryption certificate will be forgotten at the next start", "error", err)
	}
}

// remember reads the cache. What is in it was checked once, but the pin may
// have been changed since.
func (s *Source) remember() {
	certs, err := attest.ReadCertificates(s.opts.Cache)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	for _, cert := range certs {
		if pinErr := s.opts.Pin.check(cert); pinErr != nil {
			err = pinErr
			continue
		}
		s.certs = append(s.certs, cert)
	}
	if err != nil {
		s.opts.Log.Warn("the encryption certificate of the last time is not used", "for", s.opts.Name, "error", err)
	}
}
