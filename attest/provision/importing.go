package provision

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sbid/attest"
)

// certificateFiles are the endings of the files that Import reads in a folder.
var certificateFiles = []string{".pem", ".crt", ".cer", ".der", ".p7b", ".p7c"}

// Import puts certificates in use that were asked for with WriteRequests. path
// is a file or a folder of files, of certificates in PEM, DER or PKCS #7, with
// those of their authorities, in any order. It returns the names of whom they
// are for. One certificate that is refused does not keep the others out; its
// request goes on waiting.
func (s *Set) Import(ctx context.Context, path string) ([]string, error) {
	certs, err := ReadCertificates(path)
	if err != nil {
		return nil, fmt.Errorf("import certificates: %w", err)
	}
	names, err := s.ImportCertificates(ctx, certs)
	if err != nil {
		return names, fmt.Errorf("import certificates from %s: %w", path, err)
	}
	return names, nil
}

// ImportCertificates is Import of certificates that were read already. Those
// that are in use may be there once more.
func (s *Set) ImportCertificates(ctx context.Context, certs []*x509.Certificate) ([]string, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.changing.Unlock()
	left := slices.DeleteFunc(slices.Clone(certs), s.uses)
	again := len(left) < len(certs)
	var names []string
	var errs []error
	for _, name := range s.Names() {
		key, err := s.importFor(ctx, name, left)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		} else if key != nil {
			names = append(names, name)
		}
		left = slices.DeleteFunc(left, func(c *x509.Certificate) bool { return key != nil && key.Equal(c.PublicKey) })
	}
	for _, c := range left {
		if !c.IsCA {
			errs = append(errs, fmt.Errorf("%w: %q is for a key that is unknown here, or was replaced", ErrNotRequested, c.Subject))
		}
	}
	if names == nil && errs == nil && !again {
		errs = append(errs, fmt.Errorf("%w: all %d are of authorities", ErrNotRequested, len(certs)))
	}
	return names, errors.Join(errs...)
}

// uses says whether a certificate is in use.
func (s *Set) uses(c *x509.Certificate) bool {
	return slices.ContainsFunc(s.Names(), func(name string) bool {
		h := s.holder(name)
		return h.current != nil && h.current.leaf().Equal(c)
	})
}

// importFor puts the certificate in use that a device waits for, if it is among
// certs, and returns its key.
func (s *Set) importFor(ctx context.Context, name string, certs []*x509.Certificate) (*rsa.PublicKey, error) {
	r, err := s.pending(name)
	if err != nil || r.Name == "" {
		return nil, err
	}
	signer, err := s.config.Keys.Signer(ctx, r.key())
	if err != nil {
		return nil, err
	}
	public, ok := signer.Public().(*rsa.PublicKey)
	if !ok || !slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return public.Equal(c.PublicKey) }) {
		return nil, nil
	}
	if _, err := s.adopt(r, signer, certs); err != nil {
		s.changed(r.about(Refused, err))
		return public, err
	}
	return public, nil
}

// ReadCertificates reads the certificates of a file, in PEM, DER or PKCS #7, or
// of those files of a folder that are called like certificates.
func ReadCertificates(path string) ([]*x509.Certificate, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return readFile(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for _, e := range entries {
		if !slices.Contains(certificateFiles, strings.ToLower(filepath.Ext(e.Name()))) {
			continue
		}
		certs, err := readFile(filepath.Join(path, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, certs...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no file in %s ends with one of %s", path, strings.Join(certificateFiles, ", "))
	}
	return all, nil
}

func readFile(path string) ([]*x509.Certificate, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("longer than %d bytes", maxFile)
	}
	var certs []*x509.Certificate
	if err == nil {
		certs, err = parseCertificates(b)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return certs, nil
}

// parseCertificates parses PKCS #7, or what attest.ParseCertificates does.
func parseCertificates(b []byte) ([]*x509.Certificate, error) {
	if certs, err := parsePKCS7(b); err == nil {
		return certs, nil
	}
	return attest.ParseCertificates(b)
}
