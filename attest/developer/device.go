package developer

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"sbid/attest"
	"sbid/attest/internal/statedir"
)

var (
	deviceName = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$`)
	// generationName is the name of a device's key, and of its certificate's
	// file without the suffix.
	generationName = regexp.MustCompile(`^device\.([a-z0-9-]+)\.([1-9][0-9]{0,8})$`)
)

func validName(name string) bool { return deviceName.MatchString(name) }

func keyName(device string, generation int) string {
	return fmt.Sprintf("device.%s.%d", device, generation)
}

func certificateFile(device string, generation int) string {
	return filepath.Join(certificateDir, keyName(device, generation)+".pem")
}

// parseGeneration is the inverse of keyName.
func parseGeneration(name string) (device string, generation int, ok bool) {
	m := generationName.FindStringSubmatch(name)
	if m == nil {
		return "", 0, false
	}
	generation, err := strconv.Atoi(m[2])
	return m[1], generation, err == nil
}

// certificateNames lists the certificate files without their suffix.
func (s *Set) certificateNames() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, certificateDir))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext == ".pem" {
			names = append(names, e.Name()[:len(e.Name())-len(ext)])
		}
	}
	return names, nil
}

// generations returns the latest generation with a certificate of every device
// that has one.
func (s *Set) generations() (map[string]int, error) {
	names, err := s.certificateNames()
	if err != nil {
		return nil, err
	}
	latest := map[string]int{}
	for _, name := range names {
		if device, generation, ok := parseGeneration(name); ok {
			latest[device] = max(latest[device], generation)
		}
	}
	return latest, nil
}

// openDevices loads the latest generation of each device, or makes the next
// where that one will not do.
func (s *Set) openDevices(ctx context.Context, names []string, generations map[string]int, signers map[string]crypto.Signer, now time.Time) error {
	old := map[string]*x509.Certificate{} // of the devices that need a new generation
	var renew, keys []string
	for _, name := range names {
		generation := generations[name]
		if generation > 0 {
			cert, err := s.readCertificate(certificateFile(name, generation))
			if err != nil {
				return err
			}
			signer := signers[keyName(name, generation)]
			if s.good(cert, signer, now) {
				identity, err := attest.NewIdentity(signer, []*x509.Certificate{cert, s.provider.cert})
				if err != nil {
					return err
				}
				s.devices[name] = device{generation, identity}
				continue
			}
			old[name] = cert
		}
		renew = append(renew, name)
		keys = append(keys, keyName(name, generation+1))
	}
	signers, err := s.obtain(ctx, keys)
	if err != nil {
		return err
	}
	for _, name := range renew {
		generation := generations[name] + 1
		identity, err := s.issueDevice(name, generation, signers[keyName(name, generation)], old[name], now)
		if err != nil {
			return err
		}
		s.devices[name] = device{generation, identity}
	}
	return s.prune(ctx)
}

// good says whether a device certificate serves as it is.
func (s *Set) good(cert *x509.Certificate, signer crypto.Signer, now time.Time) bool {
	return attest.Organisation(cert) == s.organisation &&
		matches(cert, signer) &&
		attest.CheckIssuer(cert, s.provider.cert) == nil &&
		!cert.NotAfter.Before(now.AddDate(renewYears, 0, 0))
}

// issueDevice writes the certificate of a device's new generation, which makes
// the generation the present one. Its validity begins no earlier than that of
// the old certificate, if there is one: the toolkit checks that of a rotation.
func (s *Set) issueDevice(name string, generation int, signer crypto.Signer, old *x509.Certificate, now time.Time) (*attest.Identity, error) {
	t := template(s.organisation, name, now)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.NotAfter = now.AddDate(deviceYears, 0, 0)
	if old != nil && t.NotBefore.Before(old.NotBefore) {
		t.NotBefore = old.NotBefore
	}
	cert, err := s.issue(certificateFile(name, generation), t, signer.Public(), s.provider)
	if err != nil {
		return nil, err
	}
	return attest.NewIdentity(signer, []*x509.Certificate{cert, s.provider.cert})
}

// Rotate gives a device a new key and a new certificate and destroys the old
// ones. From its return on Device gives the new identity; one that was asked
// for earlier goes on working. When the new key is in use but the old one could
// not be destroyed, it returns the new identity and an error.
func (s *Set) Rotate(name string, now time.Time) (*attest.Identity, error) {
	s.rotating.Lock()
	defer s.rotating.Unlock()
	ctx := context.Background()
	if s.closed {
		return nil, fmt.Errorf("rotate key of %s: trust set is closed", name)
	}

	s.mu.RLock()
	present, ok := s.devices[name]
	s.mu.RUnlock()
	if !ok {
		return nil, fmt.Errorf("rotate key of %q: no such device", name)
	}
	generation := present.generation + 1
	key := keyName(name, generation)
	signers, err := s.obtain(ctx, []string{key})
	if err != nil {
		return nil, fmt.Errorf("rotate key of %s: %w", name, err)
	}
	identity, err := s.issueDevice(name, generation, signers[key], present.identity.Certificate(), now)
	if err != nil {
		return nil, fmt.Errorf("rotate key of %s: %w", name, err)
	}
	s.mu.Lock()
	s.devices[name] = device{generation, identity}
	s.mu.Unlock()

	if err := s.prune(ctx); err != nil {
		return identity, fmt.Errorf("rotate key of %s: the new one is in use, but an old one is left: %w", name, err)
	}
	return identity, nil
}

// prune destroys every generation but the present one of each device that was
// opened. Devices of earlier starts keep what they have.
func (s *Set) prune(ctx context.Context) error {
	stale := func(name string) bool {
		device, generation, ok := parseGeneration(name)
		if !ok {
			return false
		}
		s.mu.RLock()
		defer s.mu.RUnlock()
		present, ok := s.devices[device]
		return ok && present.generation != generation
	}
	keys, err := s.signingKeys.List(ctx)
	if err != nil {
		return err
	}
	certificates, err := s.certificateNames()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range keys {
		if stale(name) {
			errs = append(errs, s.signingKeys.Delete(ctx, name))
		}
	}
	for _, name := range certificates {
		if stale(name) {
			errs = append(errs, statedir.Remove(filepath.Join(s.dir, certificateDir, name+".pem")))
		}
	}
	return errors.Join(errs...)
}
