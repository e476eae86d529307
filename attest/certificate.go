package attest

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const (
	maxFileSize     = 1 << 20 // bytes of a PEM file; a chain has about ten thousand
	certificateType = "CERTIFICATE"
)

// readSmall reads all of r and fails when that is more than any key or chain
// can be.
func readSmall(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxFileSize+1))
	if err == nil && len(b) > maxFileSize {
		return nil, fmt.Errorf("longer than %d bytes", maxFileSize)
	}
	return b, err
}

// ReadCertificates reads the certificates of a file that ParseCertificates
// accepts.
func ReadCertificates(path string) ([]*x509.Certificate, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	defer f.Close()
	b, err := readSmall(f)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", path, err)
	}
	certs, err := ParseCertificates(b)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", path, err)
	}
	return certs, nil
}

// ParseCertificates parses one or more certificates in PEM, or one in DER or
// in bare standard base64 of DER: the forms in which MOSIP's services and
// tools hand them out. Line ends and white space around do not matter.
func ParseCertificates(b []byte) ([]*x509.Certificate, error) {
	if cert, err := x509.ParseCertificate(b); err == nil {
		return []*x509.Certificate{cert}, nil
	}
	b = bytes.TrimSpace(b)
	if !bytes.Contains(b, []byte("-----BEGIN")) {
		// The decoder skips line ends inside.
		der, err := base64.StdEncoding.DecodeString(string(b))
		if err != nil || len(der) == 0 {
			return nil, errors.New("neither PEM nor DER nor base64 of a certificate")
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		return []*x509.Certificate{cert}, nil
	}
	var certs []*x509.Certificate
	for len(b) > 0 {
		var block *pem.Block
		block, b = pem.Decode(b)
		if block == nil {
			return nil, errors.New("damaged PEM block")
		}
		if block.Type != certificateType {
			return nil, fmt.Errorf("PEM block of a %s, not of a certificate", strings.ToLower(block.Type))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
		b = bytes.TrimSpace(b)
	}
	return certs, nil
}

// CheckValidity returns ErrExpired or ErrNotYetValid unless cert is valid at
// the given time.
func CheckValidity(cert *x509.Certificate, at time.Time) error {
	switch {
	case at.Before(cert.NotBefore):
		return fmt.Errorf("%w: %s, from %s", ErrNotYetValid, title(cert), cert.NotBefore.UTC().Format(time.RFC3339))
	case at.After(cert.NotAfter):
		return fmt.Errorf("%w: %s, on %s", ErrExpired, title(cert), cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// Organisation returns the first O of the certificate's subject, "" if it has
// none.
func Organisation(cert *x509.Certificate) string {
	if o := cert.Subject.Organization; len(o) > 0 {
		return o[0]
	}
	return ""
}

// CheckOrganisation returns ErrOrganisation unless the first O of the
// certificate's subject is name, letter case aside. A certificate without O
// always fails.
func CheckOrganisation(cert *x509.Certificate, name string) error {
	if o := Organisation(cert); o == "" || !strings.EqualFold(o, name) {
		return fmt.Errorf("%w: %s has O %q, wanted %q", ErrOrganisation, title(cert), o, name)
	}
	return nil
}

// Thumbprint returns the SHA-256 of the certificate's DER in upper-case hex,
// 64 characters.
func Thumbprint(cert *x509.Certificate) string {
	return upperHex(sha256.Sum256(cert.Raw))
}

func upperHex(b [32]byte) string { return strings.ToUpper(hex.EncodeToString(b[:])) }

// title is how messages call a certificate.
func title(cert *x509.Certificate) string {
	if cn := cert.Subject.CommonName; cn != "" {
		return fmt.Sprintf("%q", cn)
	}
	return fmt.Sprintf("serial number %x", cert.SerialNumber)
}

// selfSigned says whether cert is a root: issued under its own name and by its
// own key.
func selfSigned(cert *x509.Certificate) bool {
	return bytes.Equal(cert.RawIssuer, cert.RawSubject) &&
		cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
}
