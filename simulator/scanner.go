package simulator

import (
	"context"
	"fmt"
	"iter"
	"time"

	"sbid/driver"
)

// A scanner is an open unit.
type scanner struct {
	sim        *Simulator
	unit       *unit
	generation int
}

// Close gives the scanner back.
func (s *scanner) Close() error { return nil }

// Frames yields what the scanner sees. A finger settles, eyes and faces come
// into focus, over the first frames of every capture.
func (s *scanner) Frames(ctx context.Context, want driver.Target) iter.Seq2[driver.Frame, error] {
	return func(yield func(driver.Frame, error) bool) {
		ticker := time.NewTicker(s.sim.interval)
		defer ticker.Stop()
		var seen view
		contact, present := -1, false
		for ctx.Err() == nil {
			now, changed := s.unit.now()
			if err := s.trouble(now); err != nil {
				yield(driver.Frame{}, fmt.Errorf("read frame of %s: %w", s.unit.info.Addr, err))
				return
			}
			if seen == nil || now.contact != contact || now.present != present {
				contact, present = now.contact, now.present
				seen = s.sim.look(s.unit, want, now)
			}
			if !yield(seen.next(), nil) || !s.wait(ctx, ticker.C, changed) {
				return
			}
		}
	}
}

// trouble returns why there will be no more frames, or nil.
func (s *scanner) trouble(now state) error {
	if !now.plugged || now.generation != s.generation {
		return driver.ErrRemoved
	}
	return now.fault
}

// wait returns at the next tick, or as soon as there is trouble. It returns
// false when ctx ends.
func (s *scanner) wait(ctx context.Context, tick <-chan time.Time, changed <-chan struct{}) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick:
			return true
		case <-changed:
			var now state
			if now, changed = s.unit.now(); s.trouble(now) != nil {
				return true
			}
		}
	}
}
