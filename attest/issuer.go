package attest

import (
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
)

// A CertificateRequest asks for the certificate of a key.
type CertificateRequest struct {
	// Key is the name of the key in its key store.
	Key string
	// Signer is that key.
	Signer crypto.Signer
	// Domain says whose key it is: a device's, or the FTM's.
	Domain Domain
	// Serial is the serialNo of the device, 12 or more letters and digits: the
	// common name, and the permanent identifier of RFC 4043.
	Serial string
	// Organisation and Country go into the subject; an empty Country is left out.
	Organisation, Country string
}

// Subject returns the subject's name in the one order of attributes that is
// left after MOSIP has signed a certificate again: C, O, CN.
func (r CertificateRequest) Subject() pkix.Name {
	name := pkix.Name{Organization: []string{r.Organisation}, CommonName: r.Serial}
	if r.Country != "" {
		name.Country = []string{r.Country}
	}
	return name
}

// An Issuer gets certificates from a provider.
type Issuer interface {
	// Issue returns the certificate of the request's key and those of its
	// authorities, each issued by the next; the root may be left out.
	Issue(ctx context.Context, request CertificateRequest) ([]*x509.Certificate, error)
}
