package provision

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"

	"software.sslmate.com/src/go-pkcs12"

	"sbid/attest"
	"sbid/attest/tpm"
)

// A KeyImporter is a key store that takes keys from outside.
type KeyImporter interface {
	// Import keeps key under a name, as attest.KeyStore's Create does with one
	// that it makes.
	Import(ctx context.Context, name string, key *rsa.PrivateKey) (crypto.Signer, error)
}

var (
	_ KeyImporter = (*attest.FileStore)(nil)
	_ KeyImporter = (*tpm.Store)(nil)
)

// ImportPKCS12 gives a device the key and the certificate of a PKCS #12 file
// (RFC 7292) in DER, if the key store is a KeyImporter. Partners of MOSIP have
// such files. Their keys existed outside, so a device that uses one is level
// L0: Status says that it is Imported, and the FTM key cannot be. The common
// name of the certificate may be any. Have the file destroyed afterwards.
func (s *Set) ImportPKCS12(ctx context.Context, device Device, data []byte, password string) (*attest.Identity, error) {
	identity, err := s.importPKCS12(ctx, device, data, password)
	if err != nil {
		return nil, fmt.Errorf("import PKCS #12 file for %s: %w", device.Name, err)
	}
	return identity, nil
}

func (s *Set) importPKCS12(ctx context.Context, device Device, data []byte, password string) (*attest.Identity, error) {
	if err := device.check(); err != nil {
		return nil, err
	}
	if device.Name == FTM {
		return nil, errors.New("the FTM key is made in the key store and nowhere else")
	}
	store, ok := s.config.Keys.(KeyImporter)
	if !ok {
		return nil, ErrNoImport
	}
	key, certs, err := parsePKCS12(data, password)
	if err != nil {
		return nil, err
	}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.changing.Unlock()
	// First with the key as it is: one that will not do need not come in.
	if _, _, err := s.check(record{Name: device.Name, Serial: device.Serial, Origin: Imported}, key, certs); err != nil {
		return nil, err
	}
	s.tidy(ctx, device.Name)
	r, err := s.newRecord(ctx, device, Imported)
	if err != nil {
		return nil, err
	}
	var identity *attest.Identity
	signer, err := store.Import(ctx, r.key(), key)
	if err == nil {
		s.changed(r.about(KeyImported, nil))
		identity, err = s.adopt(r, signer, certs)
	}
	if err != nil {
		return nil, errors.Join(err, s.abandon(ctx, r.Name, r.Generation))
	}
	return identity, nil
}

func parsePKCS12(data []byte, password string) (*rsa.PrivateKey, []*x509.Certificate, error) {
	if len(data) > maxFile {
		return nil, nil, fmt.Errorf("longer than %d bytes", maxFile)
	}
	parsed, leaf, authorities, err := pkcs12.DecodeChain(data, password)
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return nil, nil, ErrPassword
	}
	if err != nil {
		return nil, nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("%w: %T", attest.ErrWeakKey, parsed)
	}
	return key, append([]*x509.Certificate{leaf}, authorities...), nil
}
