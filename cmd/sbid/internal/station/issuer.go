package station

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sbid/attest"
	"sbid/attest/acme"
	"sbid/attest/provision"
)

// issuer returns who certifies a key; nil where certificates go by file.
func (s *Station) issuer(name string) (attest.Issuer, error) {
	c := s.config.Certificates.ACME
	if c == nil {
		return nil, nil
	}
	directory, folder := c.Directory, "device"
	if name == provision.FTM {
		directory, folder = c.FTMDirectory, "ftm"
	}
	if directory == "" {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if issuer := s.issuers[directory]; issuer != nil {
		return issuer, nil
	}
	if s.chip == nil {
		return nil, errors.New("the configuration names an ACME server, which certifies keys in a TPM only (keys: {store: tpm})")
	}
	roots, err := readAll(c.Roots)
	if err != nil {
		return nil, fmt.Errorf("read roots of the ACME server: %w", err)
	}
	token, err := readToken(c.Token)
	if err != nil {
		return nil, err
	}
	issuer, err := acme.New(acme.Config{
		Directory: directory, AttestationCA: c.Attestation, Roots: roots, Token: token,
		Dir: filepath.Join(s.config.State, acmeFolder, folder),
	}, s.chip)
	if err != nil {
		return nil, err
	}
	s.issuers[directory] = issuer
	return issuer, nil
}

const acmeFolder = "acme"

func readToken(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil // it was for the first time, and may be gone
	}
	if err != nil {
		return "", fmt.Errorf("read one-time token: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// AttestationFile returns where the certificate of the TPM's attestation key is,
// in a state folder, once it was certified.
func AttestationFile(state string) string {
	return filepath.Join(state, acmeFolder, "device", acme.AttestationFile)
}

// attestationCertificates returns those of the TPM's attestation key, if it was
// ever certified.
func (s *Station) attestationCertificates() []*x509.Certificate {
	certs, err := attest.ReadCertificates(AttestationFile(s.config.State))
	if err != nil {
		return nil
	}
	return certs
}
