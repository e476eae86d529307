// Package station puts a machine's service together: scanners, keys,
// certificates, the audit log and the endpoints, as the configuration says.
// What is missing (a TPM, a library, a permission, a server) keeps the rest from
// nothing; the station says what it lacks and goes on looking for it.
package station

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sbid/attest"
	"sbid/attest/audit"
	"sbid/attest/provision"
	"sbid/attest/tpm"
	"sbid/capture/inventory"
	"sbid/cmd/internal/daemon"
	"sbid/cmd/sbid/internal/config"
	"sbid/driver"
)

// ErrInUse means that another sbid works on the state folder.
var ErrInUse = provision.ErrInUse

// A Station is the service of one machine, or a look at it.
type Station struct {
	config  config.Config
	log     *slog.Logger
	machine string

	chip     *chip           // nil when keys are in files
	keys     attest.KeyStore // never nil
	set      *provision.Set  // nil while the configuration names no provider
	audit    *audit.Log      // nil where it cannot be written at all, and deaf says why
	deaf     error
	scanners *inventory.Inventory
	auth     encryptionSource // whom auth captures are encrypted to

	refusals refusals
	look     chan struct{} // wakes care
	arrived  chan struct{} // wakes welcome

	mu      sync.Mutex
	daemon  *daemon.Daemon           // nil unless it serves
	devices map[string]*device       // by name
	fresh   []*device                // that welcome has not served yet
	suspect map[string]bool          // whose key could not sign, by name
	retire  map[string]time.Time     // whose old keys are destroyed, and when
	issuers map[string]attest.Issuer // by directory
	early   []audit.Event            // what happened before there was a log
}

// Open opens the state folder and whatever is in it. Nothing is looked for and
// nobody is served before Serve. A second Open on the folder fails with
// ErrInUse until Close.
func Open(ctx context.Context, c config.Config, drivers driver.Registry, log *slog.Logger) (*Station, error) {
	s := newStation(c, drivers, log)
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func newStation(c config.Config, drivers driver.Registry, log *slog.Logger) *Station {
	s := &Station{
		config: c, log: log,
		devices: map[string]*device{}, suspect: map[string]bool{}, retire: map[string]time.Time{}, issuers: map[string]attest.Issuer{},
		look: make(chan struct{}, 1), arrived: make(chan struct{}, 1),
	}
	s.scanners = inventory.New(drivers, s.changed)
	return s
}

func (s *Station) open(ctx context.Context) (err error) {
	if err := os.MkdirAll(s.config.State, 0o700); err != nil {
		return fmt.Errorf("make the state folder: %w; name another one in the configuration (state), or run as the service's user", err)
	}
	s.cleanUp()
	if s.machine, err = attest.MachineID(filepath.Join(s.config.State, "machine-id")); err != nil {
		return fmt.Errorf("read the machine's identifier: %w", err)
	}
	if err := s.openKeys(); err != nil {
		return err
	}
	if s.config.Provider.Organisation != "" {
		if err := s.openSet(ctx); err != nil {
			return err
		}
	}
	if err := s.openAudit(ctx); err != nil {
		return err
	}
	s.auth, err = s.openEncryption(ctx)
	return err
}

// openKeys chooses the key store.
func (s *Station) openKeys() (err error) {
	folder := filepath.Join(s.config.State, "keys")
	if s.config.Keys.Store == "tpm" {
		s.chip = newChip(tpm.Config{Device: s.config.Keys.TPM, Dir: folder})
		s.keys = s.chip
		return nil
	}
	s.log.Warn("signing keys are in files: for development only, level L0", "folder", folder)
	passphrase := cmp.Or(s.config.Keys.Passphrase, filepath.Join(s.config.State, "passphrase"))
	s.keys, err = attest.NewEncryptedFileStore(folder, passphrase)
	return err
}

// openSet opens the keys and certificates of the devices.
func (s *Station) openSet(ctx context.Context) (err error) {
	trust, err := roots(s.config.Certificates)
	if err != nil {
		return err
	}
	s.set, err = provision.Open(ctx, provision.Config{
		Dir: s.config.State, Keys: s.keys, Trust: trust,
		Organisation: s.config.Provider.Organisation, Country: s.config.Provider.Country,
		RotateAfter: s.config.Certificates.RotateAfter, Changed: s.keyChanged,
	})
	return err
}

// roots reads what chains must lead to; nil where the configuration names none.
func roots(c config.Certificates) (*attest.Trust, error) {
	if len(c.DeviceRoots)+len(c.FTMRoots) == 0 {
		return nil, nil // the doctor says so
	}
	trust := new(attest.Trust)
	for domain, files := range map[attest.Domain][]string{attest.DomainDevice: c.DeviceRoots, attest.DomainFTM: c.FTMRoots} {
		for _, file := range files {
			certs, err := attest.ReadCertificates(file)
			if err != nil {
				return nil, fmt.Errorf("read roots: %w", err)
			}
			trust.Add(domain, certs...)
		}
	}
	return trust, nil
}

// cleanUp removes what an operation that was killed left.
func (s *Station) cleanUp() {
	left, err := filepath.Glob(filepath.Join(s.config.State, requestFolder+"*"))
	for _, folder := range left {
		err = errors.Join(err, os.RemoveAll(folder))
	}
	if err != nil {
		s.log.Warn("folders of old requests are left", "err", err)
	}
}

// Close gives the state folder back. Call it after Serve has returned.
func (s *Station) Close() error {
	var errs []error
	if s.audit != nil {
		errs = append(errs, s.audit.Close())
	}
	if s.set != nil {
		errs = append(errs, s.set.Close())
	}
	if s.chip != nil {
		errs = append(errs, s.chip.close())
	}
	return errors.Join(errs...)
}

var errNoProvider = fmt.Errorf("%w: the configuration names no provider (provider: {organisation: ..., id: ...})", attest.ErrNoKey)
