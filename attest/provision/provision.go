// Package provision keeps the signing keys of a real device service with their
// certificates: it makes keys, has them certified by the device provider,
// checks what comes back, and replaces keys in time.
//
// Private keys are in a key store that is given to it. The state directory
// holds
//
//	DIR/lock                            held while a process works here
//	DIR/certificates/device.NAME.3.json the third key of a device: what was asked for, its certificates
//	DIR/certificates/ftm.1.json         the same of the FTM key
//
// A generation of a device is a key of its own, called device.NAME.3 in the key
// store. The FTM key is made once, so its generations are certificates only. A
// generation's file is written before its key is made, and again with the
// certificates:
//
//	begun ─┬───────────────→ in use ──→ key destroyed
//	       └──→ requested ─────┘
//
// The last write decides: a process that is stopped anywhere leaves the old
// generation or the new one, and the next Open destroys what was only begun. A
// key is destroyed only when its file says that it was begun and not finished,
// or when a later generation is in use.
package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"sbid/attest"
	"sbid/attest/internal/statedir"
)

// FTM is the name under which the methods of a Set know the FTM key.
const FTM = "ftm"

// What a Config that says nothing else means.
const (
	DefaultRotateAfter = 30 * 24 * time.Hour
	DefaultWarn        = 30 * 24 * time.Hour
)

// A Config says whose keys there are and where.
type Config struct {
	// Dir is the state directory, made with mode 0700 if it is not there.
	Dir string
	// Keys is where private keys are. Close it after the Set.
	Keys attest.KeyStore
	// Organisation is the O of the device provider, letter by letter.
	Organisation string
	// FTMOrganisation is the O of the FTM provider; empty: Organisation.
	FTMOrganisation string
	// Country is the C of all certificates asked for, left out if empty.
	Country string
	// Trust holds the authorities that certificates must lead to; with nil,
	// nobody asks where they lead.
	Trust *attest.Trust
	// RotateAfter is the age of a device key at which it is due for rotation; 0
	// means DefaultRotateAfter.
	RotateAfter time.Duration
	// Warn is how long before its end a certificate is worth a warning, a third
	// of its life at most; 0 means DefaultWarn.
	Warn time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Changed, if not nil, is told what happens to keys, in order. It must not
	// call the Set.
	Changed func(Event)
}

// A Device is a device of which a key is certified.
type Device struct {
	// Name is 1 to 40 of a-z, 0-9 and hyphen, beginning and ending with none; or FTM.
	Name string
	// Serial is its serialNo, at least 12 letters and digits: the common name
	// of its certificate. That of the FTM is the module's or the machine's.
	Serial string
}

// ErrInUse means that another process, or another Set, works in the state
// directory.
var ErrInUse = statedir.ErrLocked

// A Set is an open state directory. It is safe for concurrent use.
type Set struct {
	config Config
	dir    string         // of the generations' files
	lock   *statedir.Lock // nil on a read-only disk

	changing sync.Mutex // one change of the directory at a time
	closed   bool       // guarded by changing
	mu       sync.RWMutex
	holders  map[string]holder // guarded by mu; by name, FTM included
}

// Open reads the state directory and tidies up what an interruption left. A
// device whose key cannot be used does not make it fail: Device says why. A
// second Open on the directory fails with ErrInUse until Close. On a read-only
// disk identities work and nothing can be changed.
//
// Each key signs once, so that Open takes as long as the key store does for
// that.
func Open(ctx context.Context, config Config) (*Set, error) {
	config.FTMOrganisation = cmp.Or(config.FTMOrganisation, config.Organisation)
	config.RotateAfter = cmp.Or(config.RotateAfter, DefaultRotateAfter)
	config.Warn = cmp.Or(config.Warn, DefaultWarn)
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Changed == nil {
		config.Changed = func(Event) {}
	}
	s := &Set{
		config:  config,
		dir:     filepath.Join(config.Dir, "certificates"),
		holders: map[string]holder{},
	}
	if err := s.open(ctx); err != nil {
		if s.lock != nil {
			err = errors.Join(err, s.lock.Release())
		}
		return nil, fmt.Errorf("open device keys in %s: %w", config.Dir, err)
	}
	return s, nil
}

func (s *Set) open(ctx context.Context) (err error) {
	if s.config.Organisation == "" || s.config.Keys == nil {
		return errors.New("no organisation, or no key store, given")
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	s.lock, err = statedir.Acquire(s.config.Dir)
	readOnly := errors.Is(err, syscall.EROFS) // then no other process changes it either
	if err != nil && !readOnly {
		return err
	}
	files, err := s.list()
	if err != nil {
		return err
	}
	if !readOnly {
		if err := statedir.Clean(s.dir); err != nil {
			s.changed(Event{Kind: LeftBehind, Err: err})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if readOnly {
			err = s.load(ctx, name)
		} else {
			s.tidy(ctx, name)
			err = s.load(ctx, name)
			_ = s.retire(ctx, name) // what is left behind is told, and no reason not to start
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Close lets others use the state directory. Identities go on working,
// nothing can be changed any more.
func (s *Set) Close() error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.lock == nil {
		return nil
	}
	return s.lock.Release()
}

// begin waits for its turn to change the directory, and fails when there is no
// such turn. Unlock changing after success.
func (s *Set) begin(ctx context.Context) error {
	s.changing.Lock()
	err := ctx.Err()
	if s.closed {
		err = errors.New("the state directory was closed")
	}
	if err != nil {
		s.changing.Unlock()
	}
	return err
}

// Device returns the identity of a device that is in use, if its certificate
// is valid now. Ask again for every use: rotation changes it, and the time of a
// certificate ends. What was asked for earlier goes on working until Retire.
//
// Otherwise the error says why there is none: attest.ErrNoKey when the device
// was never provisioned, attest.ErrKeyLost, ErrDamaged, one of the errors that
// a certificate is refused with, or what the key store says, which may pass:
// see Reload.
func (s *Set) Device(name string) (*attest.Identity, error) {
	s.mu.RLock()
	h := s.holders[name]
	s.mu.RUnlock()
	if err := h.usable(s.config.Now()); err != nil {
		return nil, fmt.Errorf("identity of %s: %w", name, err)
	}
	return h.current.identity, nil
}

// Current is Device without a look at the time: also an identity whose
// certificate has ended or has not begun. It is nil where there is none to be
// used at any time.
func (s *Set) Current(name string) *attest.Identity {
	if h := s.holder(name); h.current != nil {
		return h.current.identity
	}
	return nil
}

// FTM is Device for the FTM key, which signs digital IDs of level L1.
func (s *Set) FTM() (*attest.Identity, error) { return s.Device(FTM) }

// Names returns, in order, who has a key or had one, the FTM key included.
func (s *Set) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.holders))
}

// Reload looks again at the keys that could not be used, since the key store may
// have been away, and at those that are named, which somebody could not use.
func (s *Set) Reload(ctx context.Context, named ...string) error {
	if err := s.begin(ctx); err != nil {
		return fmt.Errorf("look at keys again: %w", err)
	}
	defer s.changing.Unlock()
	var errs []error
	for _, name := range s.Names() {
		if s.holder(name).current == nil || slices.Contains(named, name) {
			errs = append(errs, s.load(ctx, name))
		}
	}
	return errors.Join(errs...)
}
