//go:build unix

package acme

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
	"time"

	"sbid/attest/internal/akcert"
)

// akTemplate is what an attestation CA signs for an attestation key.
func akTemplate(t testing.TB, names akcert.Names) *x509.Certificate {
	t.Helper()
	alternative, err := names.Extension(true)
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		UnknownExtKeyUsage:    []asn1.ObjectIdentifier{akcert.AKUsage},
		ExtraExtensions:       []pkix.Extension{alternative},
	}
}

// until sets the end of a certificate.
func until(template *x509.Certificate, left time.Duration) *x509.Certificate {
	template.NotAfter = time.Now().Add(left)
	return template
}
