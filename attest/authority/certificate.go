package authority

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"sbid/attest"
	"sbid/attest/internal/akcert"
)

const (
	// backdate lets verifiers accept a certificate whose clock is behind.
	backdate = time.Hour
	// validity of an attestation key's certificate. Nobody checks whether one
	// was revoked; a device is stopped in the register.
	validity = 365 * 24 * time.Hour
)

// An issuer signs the certificates of attestation keys.
type issuer struct {
	chain []*x509.Certificate
	key   crypto.Signer
}

func newIssuer(chain []*x509.Certificate, key crypto.Signer) (issuer, error) {
	if len(chain) == 0 || key == nil {
		return issuer{}, errors.New("no certificate or no key to issue with")
	}
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(chain[0].PublicKey) {
		return issuer{}, fmt.Errorf("%w: %s", attest.ErrKeyMismatch, chain[0].Subject)
	}
	if !chain[0].IsCA {
		return issuer{}, fmt.Errorf("%s is not the certificate of an authority", chain[0].Subject)
	}
	for i, by := range chain[1:] {
		if err := attest.CheckIssuer(chain[i], by); err != nil {
			return issuer{}, err
		}
	}
	return issuer{chain, key}, nil
}

// issue returns the certificate of an attestation key and those above it
// without the root, in DER. Its form is that of the TCG EK Credential Profile
// and of WebAuthn section 8.3.1, which step-ca insists on: an empty subject,
// the TPM's product in a critical alternative name, one extended key usage.
func (i issuer) issue(key *rsa.PublicKey, names akcert.Names) ([][]byte, error) {
	if len(names.Permanent) == 0 {
		return nil, errors.New("issue certificate: no permanent identifier, which step-ca takes for all of them")
	}
	if err := attest.CheckValidity(i.chain[0], time.Now()); err != nil {
		return nil, fmt.Errorf("issue certificate: certificate of the attestation CA itself: %w", err)
	}
	alternative, err := names.Extension(true)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	notBefore := time.Now().Add(-backdate)
	notAfter := notBefore.Add(backdate + validity)
	if end := i.chain[0].NotAfter; notAfter.After(end) {
		notAfter = end
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber:          serial.Add(serial, big.NewInt(1)), // RFC 5280 section 4.1.2.2 wants it positive
		Subject:               pkix.Name{},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		UnknownExtKeyUsage:    []asn1.ObjectIdentifier{akcert.AKUsage},
		ExtraExtensions:       []pkix.Extension{alternative},
	}, i.chain[0], key, i.key)
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	if err := checkIssued(der, names.Permanent); err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	chain := [][]byte{der}
	for _, c := range i.chain {
		if attest.CheckIssuer(c, c) != nil { // a root is known to those who trust it
			chain = append(chain, c.Raw)
		}
	}
	return chain, nil
}

// checkIssued reads a certificate again, as step-ca will: one without the
// identifiers would be a key to every device.
func checkIssued(der []byte, permanent []string) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	names, err := akcert.NamesOf(cert)
	if err != nil {
		return err
	}
	if len(names.Permanent) == 0 || !slices.Equal(names.Permanent, permanent) {
		return fmt.Errorf("it has the permanent identifiers %q, wanted %q", names.Permanent, permanent)
	}
	return nil
}
