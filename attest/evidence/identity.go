package evidence

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"

	"sbid/attest"
	"sbid/attest/internal/akcert"
)

// endorsement checks whose TPM it is. It does not tie the attestation key to
// it: that is what the attestation authority did before it issued.
func (v *verifier) endorsement() (string, error) {
	ek, ok := v.parts[labelEK]
	if !ok {
		return "", v.absent(labelEK)
	}
	public, err := x509.ParsePKIXPublicKey(ek)
	if err != nil {
		return "", err
	}
	if slices.Contains(v.options.EKDigests, sha256.Sum256(ek)) {
		return "It is one of those that are known.", nil
	}
	pem, certified := v.parts[labelEKCertificates]
	switch {
	case len(v.options.EKRoots) == 0 && len(v.options.EKDigests) == 0:
		return "", impossible{"No manufacturers' roots were given, and no endorsement keys that are known."}
	case len(v.options.EKRoots) == 0:
		return "", errors.New("it is none of those that are known")
	case !certified:
		return "", impossible{"There is no certificate of a manufacturer: " + v.Claims.Absent[labelEKCertificates] + "."}
	}
	leaf, err := v.chain(pem, v.options.EKRoots, akcert.EKUsage)
	if err != nil {
		return "", err
	}
	key, ok := public.(*rsa.PublicKey)
	if !ok || !key.Equal(leaf.PublicKey) {
		return "", errors.New("its certificate is of another key")
	}
	return "A manufacturer of TPMs issued its certificate.", nil
}

// attestation checks that the attestation key is in a TPM, which is the word
// of the authority that saw it open a credential.
func (v *verifier) attestation() (string, error) {
	if slices.ContainsFunc(v.options.AKNames, func(name []byte) bool { return bytes.Equal(name, v.akName) }) {
		return "It is known from before to be in its TPM.", nil
	}
	pem, certified := v.parts[labelAKCertificates]
	switch {
	case len(v.options.AKRoots) == 0 && len(v.options.AKNames) == 0:
		return "", impossible{"No attestation authority's roots were given, and no attestation keys that are known."}
	case len(v.options.AKRoots) == 0:
		return "", errors.New("it is none of those that are known")
	case !certified:
		return "", impossible{"It has no certificate: ask the machine to activate a credential for it."}
	}
	leaf, err := v.chain(pem, v.options.AKRoots, akcert.AKUsage)
	if err != nil {
		return "", err
	}
	if leaf.IsCA {
		return "", errors.New("its certificate is one of an authority")
	}
	if !v.ak.Equal(leaf.PublicKey) {
		return "", errors.New("its certificate is of another key")
	}
	names, err := akcert.NamesOf(leaf)
	if err != nil {
		return "", fmt.Errorf("alternative names of its certificate: %w", err)
	}
	for _, key := range v.Claims.Keys {
		if slices.Contains(names.Permanent, key.Serial) {
			return fmt.Sprintf("The attestation authority vouches for it, and for the serial number %s.", key.Serial), nil
		}
	}
	return "", fmt.Errorf("its certificate is for %q, which is no serial number of the claims", names.Permanent)
}

// chain builds a path from the first of some certificates to a root.
func (v *verifier) chain(pem []byte, roots []*x509.Certificate, usage asn1.ObjectIdentifier) (*x509.Certificate, error) {
	certificates, err := attest.ParseCertificates(pem)
	if err != nil {
		return nil, err
	}
	leaf := certificates[0]
	options := x509.VerifyOptions{
		Roots:         x509.NewCertPool(),
		Intermediates: x509.NewCertPool(),
		CurrentTime:   v.options.Now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, // the one that matters is unknown to Go
	}
	for _, root := range roots {
		options.Roots.AddCert(root)
	}
	for _, other := range certificates[1:] {
		options.Intermediates.AddCert(other)
	}
	if _, err := akcert.NamesOf(leaf); err != nil {
		return nil, err
	}
	akcert.HandleAltName(leaf)
	if _, err := leaf.Verify(options); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(leaf.UnknownExtKeyUsage, usage.Equal) {
		return nil, fmt.Errorf("its certificate is for another usage than %s", usage)
	}
	return leaf, nil
}
