// Package developer makes the trust set that a simulator runs on: every
// authority, key and certificate that a deployment has, made by itself on the
// first start and kept in a state directory. Nobody else trusts them, and the
// keys lie unencrypted on the disk.
//
//	STATE/lock                       held while a process works here
//	STATE/machine-id                 what serial numbers are made of
//	STATE/trust/device-root.pem      DEVICE root; issued device-provider.pem
//	STATE/trust/device-provider.pem  issued the certificates of devices
//	STATE/trust/ftm-root.pem         FTM root; issued ftm-provider.pem
//	STATE/trust/ftm-provider.pem     issued the certificate of the FTM key
//	STATE/trust/encryption.pem       whom session keys are encrypted for
//	STATE/trust/encryption-key.pem   and the key that opens them
//	STATE/certificates/*.pem         the FTM key's certificate, the devices'
//	STATE/keys/*.pem                 every other private key
//
// OpenWith keeps the keys that SBI signs with, those of the devices and the FTM
// key, in a key store that is given to it. The authorities are files always.
//
// Keys and certificates of devices carry a generation, device.NAME.3.pem. A
// generation counts from the moment its certificate is there, which is the
// last thing written: a start or a rotation that was interrupted anywhere
// leaves the old generation or the new one, and the next Open tidies up.
package developer

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"sbid/attest"
	"sbid/attest/internal/statedir"
)

// ErrInUse means that another process, or another Set, works in the state
// directory.
var ErrInUse = statedir.ErrLocked

// A Set is an open developer trust set. It is safe for concurrent use.
type Set struct {
	dir          string
	organisation string
	lock         *statedir.Lock
	keys         *attest.FileStore // of the authorities
	trustKeys    *attest.FileStore // the encryption key, beside its certificate
	signingKeys  attest.KeyStore   // of the devices, and the FTM key: may be keys

	machineID  string
	provider   authority // of devices
	trust      *attest.Trust
	ftm        *attest.Identity
	encryption *x509.Certificate

	rotating sync.Mutex // one change of the directory at a time
	made     []string   // guarded by rotating, as is closed
	closed   bool
	mu       sync.RWMutex
	devices  map[string]device // guarded by mu
}

// A device is the present generation of a device's key.
type device struct {
	generation int
	identity   *attest.Identity
}

// Open makes what is missing of the trust set in dir, or loads it. The names
// are those of the devices that need an identity: letters a-z, digits and
// hyphens, at most 40. Their certificates carry organisation as O and have at
// least a year to live; when either is not so any more, the device gets a new
// key and a new certificate. A file that is there and cannot be read is an
// error that names it. A second Open on dir fails with ErrInUse until Close.
//
// The first start takes a second or two, as RSA keys do; a later one takes
// milliseconds.
func Open(dir, organisation string, devices []string, now time.Time) (*Set, error) {
	return OpenWith(dir, organisation, devices, now, nil)
}

// OpenWith is Open with the keys of the devices and the FTM key in the key
// store keys; nil stands for files. A device whose key is lost there, as
// attest.ErrKeyLost says, gets a new key and a new certificate; that the FTM
// key is lost is an error. Identities work as long as the key store does: close
// it after the Set.
func OpenWith(dir, organisation string, devices []string, now time.Time, keys attest.KeyStore) (*Set, error) {
	s := &Set{dir: dir, organisation: organisation, signingKeys: keys, devices: map[string]device{}}
	if err := s.open(context.Background(), devices, now); err != nil {
		if s.lock != nil {
			err = errors.Join(err, s.lock.Release())
		}
		return nil, fmt.Errorf("developer trust set in %s: %w", dir, err)
	}
	return s, nil
}

func (s *Set) open(ctx context.Context, names []string, now time.Time) (err error) {
	if s.organisation == "" {
		return errors.New("no organisation given")
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	for _, name := range names {
		if !validName(name) {
			return fmt.Errorf("%q cannot name a device", name)
		}
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if s.lock, err = statedir.Acquire(s.dir); err != nil {
		return err
	}
	for _, sub := range []string{trustDir, certificateDir} {
		//nolint:gosec // certificates are public; those who may enter the state directory may read them
		if err := os.MkdirAll(filepath.Join(s.dir, sub), 0o755); err != nil {
			return err
		}
	}
	if s.keys, err = attest.NewFileStore(filepath.Join(s.dir, keyDir)); err != nil {
		return err
	}
	if s.signingKeys == nil {
		s.signingKeys = s.keys
	}
	if s.trustKeys, err = attest.NewFileStore(filepath.Join(s.dir, trustDir)); err != nil {
		return err
	}
	for _, sub := range []string{"", trustDir, certificateDir, keyDir} {
		if err := statedir.Clean(filepath.Join(s.dir, sub)); err != nil {
			return err
		}
	}
	if s.machineID, err = attest.MachineID(filepath.Join(s.dir, "machine-id")); err != nil {
		return err
	}
	generations, err := s.generations()
	if err != nil {
		return err
	}

	// Every key first, side by side: they are what takes time.
	need := []string{deviceRoot, deviceProvider, ftmRoot, ftmProvider, ftmKey, encryptionKey}
	for _, name := range names {
		need = append(need, keyName(name, max(1, generations[name])))
	}
	signers, err := s.obtain(ctx, need)
	if err != nil {
		return err
	}
	if err := s.openAuthorities(signers, now); err != nil {
		return err
	}
	return s.openDevices(ctx, names, generations, signers, now)
}

// Close lets others use the state directory. Identities go on working, Rotate
// does not.
func (s *Set) Close() error {
	s.rotating.Lock()
	defer s.rotating.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.lock.Release()
}

// Device returns the present identity of a device, nil if its name was not
// given to Open. Ask again for every use: Rotate changes it.
func (s *Set) Device(name string) *attest.Identity {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.devices[name].identity
}

// FTM returns the identity of the trust module, which signs digital IDs of
// level L1.
func (s *Set) FTM() *attest.Identity { return s.ftm }

// Encryption returns the certificate that session keys are encrypted for.
func (s *Set) Encryption() *x509.Certificate { return s.encryption }

// Trust returns the authorities of both domains, as a deployment that knows
// this set would have them.
func (s *Set) Trust() *attest.Trust { return s.trust }

// MachineID returns 16 upper-case letters and digits that were drawn when the
// state directory was made and stay the same.
func (s *Set) MachineID() string { return s.machineID }

// Made lists the certificate files that Open wrote, relative to the state
// directory: none when everything was there.
func (s *Set) Made() []string {
	s.rotating.Lock()
	defer s.rotating.Unlock()
	return slices.Clone(s.made)
}
