package developer

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sbid/attest"
	"sbid/attest/internal/statedir"
)

// Folders of the state directory.
const (
	keyDir         = "keys"
	trustDir       = "trust"
	certificateDir = "certificates"
)

// Names of keys that do not belong to a device.
const (
	deviceRoot     = "device-root"
	deviceProvider = "device-provider"
	ftmRoot        = "ftm-root"
	ftmProvider    = "ftm-provider"
	ftmKey         = "ftm"
	encryptionKey  = "encryption-key"
)

// developerOrganisation is the O of what the set does not issue in the name of
// the device provider.
const developerOrganisation = "Developer trust set"

const (
	authorityYears = 20 // also the longest life that SBI allows for the FTM key's certificate
	deviceYears    = 2
	renewYears     = 1 // a device certificate with less than this left is replaced by Open

	// backdate lets clients verify whose clock is behind.
	backdate = time.Hour
)

// An authority is a key with its certificate.
type authority struct {
	cert   *x509.Certificate
	signer crypto.Signer
}

// store returns where a key is kept.
func (s *Set) store(name string) attest.KeyStore {
	switch _, _, device := parseGeneration(name); {
	case device || name == ftmKey:
		return s.signingKeys
	case name == encryptionKey:
		return s.trustKeys
	}
	return s.keys
}

// obtain loads keys and makes those that were never made. The key of a device
// that is lost is made again: it then does not match its certificate, as if the
// certificate had been exchanged.
func (s *Set) obtain(ctx context.Context, names []string) (map[string]crypto.Signer, error) {
	var mu sync.Mutex
	signers := make(map[string]crypto.Signer, len(names))
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		group.Go(func() error {
			store := s.store(name)
			signer, err := store.Signer(ctx, name)
			if _, _, device := parseGeneration(name); device && errors.Is(err, attest.ErrKeyLost) {
				if err := store.Delete(ctx, name); err != nil {
					return err
				}
				err = attest.ErrNoKey
			}
			if errors.Is(err, attest.ErrNoKey) {
				signer, err = store.Create(ctx, name)
			}
			mu.Lock()
			defer mu.Unlock()
			signers[name] = signer
			return err
		})
	}
	return signers, group.Wait()
}

// openAuthorities loads or issues every certificate but those of devices.
func (s *Set) openAuthorities(signers map[string]crypto.Signer, now time.Time) error {
	root := func(key, name string) (authority, error) {
		t := template(developerOrganisation, name, now)
		makeAuthority(t, 1)
		return s.certify(filepath.Join(trustDir, key+".pem"), t, signers[key], authority{})
	}
	provider := func(key, organisation, name string, issuer authority) (authority, error) {
		t := template(organisation, name, now)
		makeAuthority(t, 0)
		return s.certify(filepath.Join(trustDir, key+".pem"), t, signers[key], issuer)
	}

	devRoot, err := root(deviceRoot, "Developer DEVICE root")
	if err != nil {
		return err
	}
	// MOSIP takes a partner's certificate only with the partner's own O.
	s.provider, err = provider(deviceProvider, s.organisation, "Developer device provider", devRoot)
	if err != nil {
		return err
	}
	chipRoot, err := root(ftmRoot, "Developer FTM root")
	if err != nil {
		return err
	}
	chipProvider, err := provider(ftmProvider, developerOrganisation, "Developer FTM provider", chipRoot)
	if err != nil {
		return err
	}
	s.trust = new(attest.Trust)
	s.trust.Add(attest.DomainDevice, devRoot.cert, s.provider.cert)
	s.trust.Add(attest.DomainFTM, chipRoot.cert, chipProvider.cert)

	t := template(developerOrganisation, s.machineID, now)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	chip, err := s.certify(filepath.Join(certificateDir, ftmKey+".pem"), t, signers[ftmKey], chipProvider)
	if err != nil {
		return err
	}
	s.ftm, err = attest.NewIdentity(chip.signer, []*x509.Certificate{chip.cert, chipProvider.cert})
	if err != nil {
		return err
	}

	t = template(developerOrganisation, "Developer encryption", now)
	t.KeyUsage = x509.KeyUsageKeyEncipherment
	encryption, err := s.certify(filepath.Join(trustDir, "encryption.pem"), t, signers[encryptionKey], authority{})
	s.encryption = encryption.cert
	return err
}

// certify loads the certificate of a key from a file. It issues a new one when
// there is none, or when it is not for this key, issuer and organisation. An
// empty issuer means that the key certifies itself.
func (s *Set) certify(file string, t *x509.Certificate, signer crypto.Signer, issuer authority) (authority, error) {
	self := issuer.cert == nil
	cert, err := s.readCertificate(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return authority{}, err
	case attest.Organisation(cert) == t.Subject.Organization[0] &&
		matches(cert, signer) &&
		(self || attest.CheckIssuer(cert, issuer.cert) == nil):
		return authority{cert, signer}, nil
	}
	if self {
		issuer = authority{t, signer}
	}
	cert, err = s.issue(file, t, signer.Public(), issuer)
	return authority{cert, signer}, err
}

// issue signs a certificate and writes it to a file.
func (s *Set) issue(file string, t *x509.Certificate, public crypto.PublicKey, issuer authority) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("issue %s: %w", file, err)
	}
	t.SerialNumber = serial.Add(serial, big.NewInt(1)) // RFC 5280 section 4.1.2.2 wants it positive
	if key, ok := public.(*rsa.PublicKey); ok {
		id := sha256.Sum256(x509.MarshalPKCS1PublicKey(key)) // RFC 7093 section 2, method 1
		t.SubjectKeyId = id[:20]
	}
	der, err := x509.CreateCertificate(rand.Reader, t, issuer.cert, public, issuer.signer)
	if err != nil {
		return nil, fmt.Errorf("issue %s: %w", file, err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := statedir.WriteFile(filepath.Join(s.dir, file), text, 0o644); err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	s.made = append(s.made, file)
	return x509.ParseCertificate(der)
}

// readCertificate reads a file with exactly one certificate.
func (s *Set) readCertificate(file string) (*x509.Certificate, error) {
	path := filepath.Join(s.dir, file)
	certs, err := attest.ReadCertificates(path)
	if err != nil {
		return nil, err
	}
	if len(certs) != 1 {
		return nil, fmt.Errorf("read certificate %s: %d certificates, expected one", path, len(certs))
	}
	return certs[0], nil
}

func matches(cert *x509.Certificate, signer crypto.Signer) bool {
	public, ok := signer.Public().(*rsa.PublicKey)
	return ok && public.Equal(cert.PublicKey)
}

// template returns what all certificates of the set have in common. Two
// subject attributes in this order are what MOSIP keeps when it signs a
// partner's certificate again, so that names still chain afterwards.
func template(organisation, commonName string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{organisation}, CommonName: commonName},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(-backdate).AddDate(authorityYears, 0, 0),
		BasicConstraintsValid: true,
	}
}

// makeAuthority turns a template into one of an authority with at most below
// authorities between itself and a leaf.
func makeAuthority(t *x509.Certificate, below int) {
	t.IsCA = true
	t.MaxPathLen = below
	t.MaxPathLenZero = below == 0
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
}
