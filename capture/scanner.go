package capture

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sbid/capture/internal/contain"
	"sbid/driver"
)

// A Scanner is one scanner, and the one door to it: it admits one capture at a
// time, and one preview beside it that the capture takes over.
//
// Whoever has it counts as its user only while its client is there. The driver
// may take longer to let go, and the next user waits for that.
type Scanner struct {
	drv driver.Driver

	mu      sync.Mutex
	info    driver.Info
	present bool
	arrival int   // how often it was plugged in
	trouble error // why it is not ready, as the last use or check of it showed
	changed func()
	capture *claim
	preview *preview
	visit   *visit // who is in the driver
	lastUse time.Time
}

// A claim is how a capture or a preview has the scanner. Once its client has
// gone it keeps nobody else out.
type claim struct{ gone <-chan struct{} }

func (c *claim) live() bool {
	if c == nil {
		return false
	}
	select {
	case <-c.gone:
		return false
	default:
		return true
	}
}

// releaseTime is how long anybody waits for a scanner that somebody has left.
const releaseTime = 5 * time.Second

// ErrUntried is the trouble of a scanner that was plugged in and not checked
// yet.
var ErrUntried = fmt.Errorf("%w: just plugged in, not tried yet", driver.ErrNotReady)

// NewScanner returns the scanner that a driver's Probe described, plugged in
// and ready.
func NewScanner(drv driver.Driver, info driver.Info) *Scanner {
	return &Scanner{drv: drv, info: info, present: true}
}

// Info returns what the driver said about the scanner when it was last plugged
// in.
func (s *Scanner) Info() driver.Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info
}

// A State says what a scanner is doing.
type State uint8

const (
	Absent  State = iota // unplugged
	Idle                 // ready for use
	InUse                // capturing or showing a preview
	Faulted              // plugged in, and Trouble says why it is not ready
)

// String returns the state as in logs: absent, idle, in use, faulted.
func (s State) String() string {
	return [...]string{"absent", "idle", "in use", "faulted"}[s&3]
}

// State is cheap and never waits for the scanner.
//
//	absent → faulted (untried) → idle ⇄ in use
//	              └───── check ────┴───────┘ failure
//	 any → absent (unplugged)
func (s *Scanner) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.present:
		return Absent
	case s.inUse():
		return InUse
	case s.fault() != nil:
		return Faulted
	}
	return Idle
}

// Trouble says why the scanner is not ready, nil if it is. The text is for the
// operator.
func (s *Scanner) Trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.present {
		return driver.ErrRemoved
	}
	return s.fault()
}

func (s *Scanner) inUse() bool { return s.capture.live() || s.preview.live() }

func (s *Scanner) fault() error {
	if s.visit != nil && s.visit.stuck {
		return fmt.Errorf("%w: %w", driver.ErrNotReady, errStuck)
	}
	return s.trouble
}

// LastUse returns when the last capture or preview ended; zero before that.
func (s *Scanner) LastUse() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastUse
}

// SetPresent records that the scanner was plugged in or out.
func (s *Scanner) SetPresent(present bool) {
	s.mu.Lock()
	s.present = present
	s.mu.Unlock()
}

// Arrive records that the scanner was plugged in, perhaps elsewhere than before.
// It is not ready until a Check has succeeded.
func (s *Scanner) Arrive(info driver.Info) {
	s.mu.Lock()
	s.info, s.present, s.trouble = info, true, ErrUntried
	s.arrival++
	s.mu.Unlock()
}

// Follow makes somebody responsible for the scanner: from now on it is absent
// after driver.ErrRemoved, and Faulted after a failure that needs another try or
// somebody's hand, until a use of it or Check succeeds. changed is called when
// that happens; it must not block. Without a follower a failure is forgotten,
// since nobody would come to see whether it is over.
func (s *Scanner) Follow(changed func()) {
	s.mu.Lock()
	s.changed = changed
	s.mu.Unlock()
}

func (s *Scanner) tell() {
	s.mu.Lock()
	changed := s.changed
	s.mu.Unlock()
	if changed != nil {
		changed()
	}
}

// record notes how the driver did; nil is well.
func (s *Scanner) record(v *visit, err error) {
	s.mu.Lock()
	changed := false
	switch {
	case s.changed == nil, v.arrival != s.arrival: // of the time before it was plugged in anew
	case err == nil:
		changed, s.trouble = s.trouble != nil, nil
	case errors.Is(err, driver.ErrRemoved):
		changed, s.present = s.present, false
	case errors.Is(err, driver.ErrNotReady), errors.Is(err, driver.ErrBroken), errors.Is(err, driver.ErrTampered), errors.Is(err, contain.ErrPanic):
		changed, s.trouble = true, err
	}
	s.mu.Unlock()
	if changed {
		s.tell()
	}
}

// Check tries whether the scanner can be used: it opens it and closes it again.
// A scanner in use is ErrBusy, and not disturbed.
func (s *Scanner) Check(ctx context.Context) error {
	s.mu.Lock()
	switch {
	case !s.present:
		s.mu.Unlock()
		return driver.ErrRemoved
	case s.inUse():
		s.mu.Unlock()
		return ErrBusy
	}
	s.mu.Unlock()
	v, err := s.admit(ctx)
	if err != nil {
		return err
	}
	err = s.open(ctx, v)
	s.leave(v)
	select {
	case <-v.done:
	case <-v.late:
	}
	if err != nil {
		return fmt.Errorf("check %s %s: %w", s.drv.ID(), s.Info().Addr, err)
	}
	return nil
}

// Wait returns nil once nobody is in the scanner's driver, or when ctx ends
// before that, why it did. A capture's answer does not wait for the driver to
// let go; the end of the program does.
func (s *Scanner) Wait(ctx context.Context) error {
	for {
		s.mu.Lock()
		v := s.visit
		s.mu.Unlock()
		if v == nil {
			return nil
		}
		select {
		case <-v.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
