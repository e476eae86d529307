package provision

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"sbid/attest"
)

// identify joins a key and its certificates, if everything is right with them
// but the time: a certificate that is not valid now may be so later. Whether it
// leads to a root is asked for the moment of its life that is nearest to now.
func (s *Set) identify(r record, signer crypto.Signer, chain []*x509.Certificate, now time.Time) (*attest.Identity, error) {
	identity, err := attest.NewIdentity(signer, chain)
	if err != nil {
		return nil, err
	}
	leaf := chain[0]
	if err := checkProfile(leaf); err != nil {
		return nil, err
	}
	if got, want := attest.Organisation(leaf), s.organisation(r.Name); got != want {
		return nil, fmt.Errorf("%w: its O is %q, it must be %q letter by letter", attest.ErrOrganisation, got, want)
	}
	// Nobody asked for the name of one that was there before its key came here.
	if got := leaf.Subject.CommonName; got != r.Serial && r.Origin != Imported {
		return nil, fmt.Errorf("%w: its common name is %q, the serial number %q", ErrName, got, r.Serial)
	}
	if s.config.Trust == nil {
		return identity, nil
	}
	if now.Before(leaf.NotBefore) {
		now = leaf.NotBefore
	}
	if now.After(leaf.NotAfter) {
		now = leaf.NotAfter
	}
	return identity, s.config.Trust.CheckChain(domainOf(r.Name), chain, now)
}

func (s *Set) organisation(name string) string {
	if name == FTM {
		return s.config.FTMOrganisation
	}
	return s.config.Organisation
}

// checkProfile checks what does not depend on whom the certificate is for. The
// rules are RFC 5280's, narrowed to what all of MOSIP's verifiers take.
func checkProfile(leaf *x509.Certificate) error {
	switch leaf.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256:
	default:
		return fmt.Errorf("%w, but with %s", ErrAlgorithm, leaf.SignatureAlgorithm)
	}
	if leaf.IsCA {
		return ErrAuthority
	}
	// Without the extension every usage is allowed, section 4.2.1.3.
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return ErrUsage
	}
	if unknown := leaf.UnhandledCriticalExtensions; len(unknown) > 0 {
		return fmt.Errorf("%w: %v", ErrCritical, unknown)
	}
	return nil
}

// checkTime says whether a certificate is valid now, and what the clock has to
// do with it.
func checkTime(leaf *x509.Certificate, now time.Time) error {
	err := attest.CheckValidity(leaf, now)
	switch text := now.UTC().Format(time.RFC3339); {
	case errors.Is(err, attest.ErrNotYetValid):
		return fmt.Errorf("%w; the clock says %s: if it is behind, set it", err, text)
	case err != nil:
		return fmt.Errorf("%w; the clock says %s: have a new key certified, unless it is ahead", err, text)
	}
	return nil
}

// arrange picks the certificate of a key from certs, the youngest if there are
// several, and puts its issuers behind it, each behind what it issued. Others
// are left out.
func arrange(public crypto.PublicKey, certs []*x509.Certificate) ([]*x509.Certificate, error) {
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: %T", attest.ErrWeakKey, public)
	}
	var leaf *x509.Certificate
	for _, c := range certs {
		if key.Equal(c.PublicKey) && (leaf == nil || c.NotBefore.After(leaf.NotBefore)) {
			leaf = c
		}
	}
	if leaf == nil {
		return nil, fmt.Errorf("%w: none of %d is for the key", attest.ErrKeyMismatch, len(certs))
	}
	chain := []*x509.Certificate{leaf}
	for len(chain) < maxChain {
		last := chain[len(chain)-1]
		i := slices.IndexFunc(certs, func(c *x509.Certificate) bool {
			return !slices.ContainsFunc(chain, c.Equal) && attest.CheckIssuer(last, c) == nil
		})
		if i < 0 {
			break
		}
		chain = append(chain, certs[i])
	}
	return chain, nil
}
