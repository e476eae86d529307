package encryption

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sbid/attest"
)

// A Pin names certificates that are expected: themselves, or who issues them.
// The zero value is no pin, and any certificate passes.
type Pin struct {
	Thumbprints []string            // SHA-256 of the DER in hex, of either case, colons allowed
	Issuers     []*x509.Certificate // each signed the certificate directly
}

func (p Pin) empty() bool { return len(p.Thumbprints) == 0 && len(p.Issuers) == 0 }

// check returns an error unless cert is one of those expected.
func (p Pin) check(cert *x509.Certificate) error {
	if p.empty() {
		return nil
	}
	thumbprint := attest.Thumbprint(cert)
	if slices.ContainsFunc(p.Thumbprints, func(t string) bool {
		return strings.EqualFold(strings.ReplaceAll(t, ":", ""), thumbprint)
	}) {
		return nil
	}
	var errs []error
	for _, issuer := range p.Issuers {
		err := attest.CheckIssuer(cert, issuer)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("certificate with thumbprint %s is not the one expected: check the reference id, or pin this one: %w",
		thumbprint, errors.Join(append(errs, attest.ErrUntrusted)...))
}
