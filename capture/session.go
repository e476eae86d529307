// Package capture turns what a scanner sees into records: it opens the
// scanner, looks at its frames, cuts out fingers, eyes and faces, measures
// them, keeps the best and encodes it as ISO/IEC 19794. It knows nothing of
// keys or of the interface that asked.
package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"sbid/capture/iso19794"
	"sbid/driver"
)

// What a capture fails with, besides the errors of package driver.
var (
	// ErrBusy: another capture or preview has the scanner.
	ErrBusy = errors.New("scanner is busy")
	// ErrNothing: the time ran out and nothing was on the scanner.
	ErrNothing = errors.New("nothing was on the scanner in time")
	// ErrUnusable: the time ran out and what was on the scanner could not be
	// used: fingers missing or touching, an eye without an iris.
	ErrUnusable = errors.New("what was on the scanner could not be used")
	// ErrOrientation: the time ran out and the hand or face was turned too far,
	// or it was the other hand.
	ErrOrientation = errors.New("hand or face is turned")
)

var (
	errTimeout = errors.New("capture time is over")
	errTaken   = errors.New("a capture takes the scanner over")
)

// A Scanner is one scanner, and the one door to it: it admits one capture at a
// time, and one preview beside it that the capture takes over.
type Scanner struct {
	drv  driver.Driver
	info driver.Info

	mu      sync.Mutex
	present bool
	capture *hold
	preview *preview
	lastUse time.Time
}

// A hold is how a capture or a preview has the scanner. Once its client has gone
// it keeps nobody else out, who then only waits until the driver has let go.
type hold struct {
	gone     <-chan struct{} // closed when the client has hung up
	released chan struct{}   // closed when the driver has let go
}

func newHold(ctx context.Context) *hold {
	return &hold{gone: ctx.Done(), released: make(chan struct{})}
}

func (h *hold) live() bool {
	if h == nil {
		return false
	}
	select {
	case <-h.gone:
		return false
	default:
		return true
	}
}

// releaseTime is how long it may take until a scanner is free that somebody has
// left: a second for the driver, and what a frame under way takes to look at on a
// slow machine.
const releaseTime = 5 * time.Second

// wait returns nil when the driver has let go, or else why not.
func (h *hold) wait(ctx context.Context) error {
	select {
	case <-h.released:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(releaseTime):
		return ErrBusy
	}
}

// NewScanner returns the scanner that a driver's Probe described.
func NewScanner(drv driver.Driver, info driver.Info) *Scanner {
	return &Scanner{drv: drv, info: info, present: true}
}

// Info returns what the driver said about the scanner.
func (s *Scanner) Info() driver.Info { return s.info }

// A State says what a scanner is doing.
type State uint8

const (
	Absent State = iota // unplugged
	Idle
	InUse // capturing or showing a preview
)

// State is cheap and never waits for the scanner.
func (s *Scanner) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.present:
		return Absent
	case s.capture.live(), s.preview.live():
		return InUse
	}
	return Idle
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

// A Request says what to capture and when to stop.
type Request struct {
	Sensor driver.Sensor
	// Positions are what to capture: all at once, or one after the other where
	// Sensor is Single.
	Positions  []driver.Position
	Exceptions []driver.Position // see driver.Target
	// Score, 0 to 100, ends the capture when the mean over a frame's samples
	// reaches it. 100 asks for the best that the whole time brings.
	Score   float64
	Timeout time.Duration
	Profile iso19794.Profile
}

// Capture returns a sample for each position asked for, in that order: those of
// the first frame that reaches the score or, when time runs out, of the best
// frame seen. A scanner in use is ErrBusy at once, since a queue would hide
// trouble from the operator.
//
//	idle → opening → looking → done
//	          └─────────┴────→ failed   (hang-up, unplugging, driver fault, nothing usable in time)
//
// A preview of the same sensor is taken over: it goes on showing what the
// capture sees, and stays until EndPreview.
func (s *Scanner) Capture(ctx context.Context, req Request) ([]Sample, error) {
	h, err := s.begin(ctx, req.Sensor)
	if err != nil {
		return nil, err
	}
	defer s.end(h)
	ctx, cancel := context.WithTimeoutCause(ctx, req.Timeout, errTimeout)
	defer cancel()

	rounds := [][]driver.Position{req.Positions}
	if req.Sensor == driver.Single {
		rounds = rounds[:0]
		for i := range req.Positions {
			rounds = append(rounds, req.Positions[i:i+1])
		}
	}
	var samples []Sample
	for i, positions := range rounds {
		// A round that never reaches the score still leaves the others a share of the time.
		deadline, _ := ctx.Deadline()
		share := time.Until(deadline) / time.Duration(len(rounds)-i)
		best, err := s.best(ctx, req, positions, share)
		if err != nil {
			return nil, fmt.Errorf("capture from %s %s: %w", s.drv.ID(), s.info.Addr, err)
		}
		samples = append(samples, best...)
	}
	return samples, nil
}

// best looks at frames until one reaches the score. After share it is content
// with any usable frame, and ctx ends the search.
func (s *Scanner) best(ctx context.Context, req Request, positions []driver.Position, share time.Duration) ([]Sample, error) {
	target := driver.Target{Sensor: req.Sensor, Positions: positions, Exceptions: req.Exceptions}
	var best View
	enough := time.Now().Add(share)
	problem := ErrNothing
	err := s.look(ctx, target, req.Profile, func(v View) bool {
		s.show(v)
		if v.Usable() && (!best.Usable() || v.Score > best.Score) {
			best = v
		}
		if v.Problem != nil {
			problem = v.Problem
		}
		reached := best.Usable() && best.Score >= req.Score && req.Score < 100
		return !reached && (!best.Usable() || time.Now().Before(enough))
	})
	switch {
	case err != nil && !errors.Is(err, errTimeout):
		return nil, err
	case !best.Usable():
		return nil, problem
	}
	return best.Samples, nil
}

// look opens the scanner and hands each frame, cut and measured, to use, until
// use returns false (nil), ctx ends (its cause) or the driver gives up.
func (s *Scanner) look(ctx context.Context, target driver.Target, profile iso19794.Profile, use func(View) bool) error {
	dev, err := s.drv.Open(ctx, s.info.Addr)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer dev.Close()
	for frame, err := range dev.Frames(ctx, target) {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			return err
		}
		if !use(analyse(frame, target, profile)) {
			return nil
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return io.ErrUnexpectedEOF // the driver stopped without saying why
}

// begin takes the scanner for a capture, also from a preview of the same sensor.
func (s *Scanner) begin(ctx context.Context, sensor driver.Sensor) (*hold, error) {
	h := newHold(ctx)
	for {
		s.mu.Lock()
		before, p := s.capture, s.preview
		if before.live() || p.live() && p.target.Sensor != sensor {
			s.mu.Unlock()
			return nil, ErrBusy
		}
		if before == nil {
			s.capture = h
			if p != nil {
				p.taken = true
				p.stop(errTaken)
			}
			s.mu.Unlock()
			if p == nil {
				return h, nil
			}
			if err := p.wait(ctx); err != nil {
				s.end(h)
				return nil, err
			}
			return h, nil
		}
		s.mu.Unlock()
		if err := before.wait(ctx); err != nil {
			return nil, err
		}
	}
}

func (s *Scanner) end(h *hold) {
	s.mu.Lock()
	s.capture = nil
	s.lastUse = time.Now()
	s.mu.Unlock()
	close(h.released)
}

// show hands a view of the capture to the preview, if there is one.
func (s *Scanner) show(v View) {
	s.mu.Lock()
	p := s.preview
	s.mu.Unlock()
	if p != nil {
		p.show(v)
	}
}
