package gt511

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"sbid/driver"
	"sbid/driver/internal/serialport"
)

const (
	// grace is how long a cancelled capture waits for what it asked for, so that
	// the next command finds a quiet line.
	grace = 500 * time.Millisecond
	// parting is how long Close waits for the same, to leave the module as it was.
	parting = 2 * time.Second
)

// A scanner is an open module.
//
//	light on → asking for a finger → capturing → reading the image → asking …
//	                  └──────── cancelled ┴───────────────┴──→ late → quiet
//
// Late means that the module still sends an answer that nobody waits for. It is
// read to its end before the next command.
type scanner struct {
	driver  *Driver
	module  *module
	path    string
	release func()
}

// prepare makes the module fast. One that cannot be is used as it is.
func (s *scanner) prepare(ctx context.Context) error {
	fast := s.driver.config.FastRate
	if fast <= 0 || fast == s.module.baud {
		return nil
	}
	err := s.module.setBaud(ctx, fast)
	if f := fault(0); errors.As(err, &f) {
		return nil
	}
	return err
}

// Frames yields an image whenever a finger is there; with Config.Raw, always.
func (s *scanner) Frames(ctx context.Context, _ driver.Target) iter.Seq2[driver.Frame, error] {
	return func(yield func(driver.Frame, error) bool) {
		err := s.scan(ctx, yield)
		s.quiet(ctx)
		if err != nil && ctx.Err() == nil {
			if errors.Is(err, serialport.ErrSilent) { // it may come back
				err = fmt.Errorf("%w: %w", driver.ErrNotReady, err)
			}
			yield(driver.Frame{}, fmt.Errorf("scan at %s: %w", s.path, err))
		}
	}
}

// scan returns nil when the consumer wants no more.
func (s *scanner) scan(ctx context.Context, yield func(driver.Frame, error) bool) error {
	m := s.module
	if !m.late.IsZero() {
		if err := m.settle(ctx); err != nil {
			return err
		}
		// An answer to what was cancelled may still be in between.
		if _, err := m.open(ctx, m.patient, repeats); err != nil {
			return err
		}
	}
	// Without its light the module sees no finger.
	if _, err := m.command(ctx, cmdCmosLed, 1); err != nil {
		return err
	}
	for {
		ready, err := s.finger(ctx)
		if err != nil {
			return err
		}
		if ready {
			kind := s.driver.image
			pixels := make([]byte, kind.bytes())
			r := request{command: kind.command, patient: m.patient, data: pixels}
			if _, err := m.ask(ctx, r, repeats); err != nil {
				return err
			}
			if !yield(kind.frame(pixels), nil) {
				return nil
			}
			continue
		}
		if err := serialport.Pause(ctx, s.driver.config.Poll); err != nil {
			return err
		}
	}
}

// finger reports whether an image can be read: raw ones always, others once a
// finger is there and was captured.
func (s *scanner) finger(ctx context.Context) (bool, error) {
	if s.driver.config.Raw {
		return true, nil
	}
	m := s.module
	absent, err := m.command(ctx, cmdIsPressFinger, 0)
	if absent != 0 || isNoFinger(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	best := uint32(1)
	if s.driver.config.Fast {
		best = 0
	}
	_, err = m.ask(ctx, request{command: cmdCaptureFinger, parameter: best, patient: captureTime}, 0)
	if isNoFinger(err) || errors.Is(err, errFraming) {
		return false, nil // lifted, or lost on the way: it is looked for again
	}
	return err == nil, err
}

func isNoFinger(err error) bool {
	return errors.Is(err, faultNoFinger) || errors.Is(err, faultBadFinger)
}

// quiet ends a scan: what was asked is waited for briefly, and the light goes
// out. What fails here fails again where it matters.
func (s *scanner) quiet(ctx context.Context) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer stop()
	if m := s.module; m.settle(ctx) == nil && m.late.IsZero() {
		_, _ = m.ask(ctx, request{command: cmdCmosLed, patient: grace / 2}, 0)
	}
}

// Close restores the factory rate, if the module can be reached soon, and closes
// the port.
func (s *scanner) Close() error {
	defer s.release()
	ctx, stop := context.WithTimeout(context.Background(), parting)
	defer stop()
	m := s.module
	if m.settle(ctx) == nil {
		if m.baud != factoryRate && s.driver.config.FastRate > 0 {
			_ = m.setBaud(ctx, factoryRate)
		}
		_, _ = m.ask(ctx, request{command: cmdClose, patient: grace}, 0)
	}
	s.driver.remember(s.path, memory{baud: m.baud, late: m.late})
	return m.line.Close()
}
