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
	"slices"
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

// A Request says what to capture and when to stop.
type Request struct {
	Sensor driver.Sensor
	// Positions are what to capture: all at once, or one after the other where
	// Sensor is Single or OneByOne is set.
	Positions  []driver.Position
	Exceptions []driver.Position // see driver.Target
	// OneByOne makes a scanner for single fingers serve a sensor that it does not
	// have, such as a slap: the fingers come one after the other, each is asked for
	// by name, and none counts before the one before it was lifted.
	OneByOne bool
	// Score, 0 to 100, ends the capture when the mean over a frame's samples
	// reaches it. 100 asks for the best that the whole time brings.
	Score   float64
	Timeout time.Duration
	Profile iso19794.Profile
}

// rounds are the positions that are captured at a time.
func (r *Request) rounds() [][]driver.Position {
	if r.Sensor != driver.Single && !r.OneByOne {
		return [][]driver.Position{r.Positions}
	}
	return slices.Collect(slices.Chunk(r.Positions, 1))
}

// Capture returns a sample for each position asked for, in that order: those of
// the first frame that reaches the score or, when time runs out, of the best
// frame seen. A scanner in use is ErrBusy at once, since a queue would hide
// trouble from the operator. Capture returns in time, also from a driver that
// hangs.
//
//	idle → opening → looking → done
//	          └─────────┴────→ failed   (hang-up, unplugging, driver fault, nothing usable in time)
//
// A preview of the same sensor is taken over: it goes on showing what the
// capture sees, and stays until EndPreview.
func (s *Scanner) Capture(ctx context.Context, req Request) ([]Sample, error) {
	c, err := s.begin(ctx, req.Sensor)
	if err != nil {
		return nil, err
	}
	defer s.end(c)
	v, err := s.admit(ctx)
	if err != nil {
		return nil, err
	}
	defer s.leave(v)
	ctx, cancel := context.WithTimeoutCause(ctx, req.Timeout, errTimeout)
	defer cancel()

	samples, err := s.samples(ctx, v, req)
	if err != nil {
		v.show(driver.SignalRejected)
		return nil, fmt.Errorf("capture from %s %s: %w", s.drv.ID(), s.Info().Addr, err)
	}
	return samples, nil
}

// samples takes round after round.
func (s *Scanner) samples(ctx context.Context, v *visit, req Request) ([]Sample, error) {
	v.show(driver.SignalWaiting)
	err := s.open(ctx, v)
	if errors.Is(err, errTimeout) {
		err = ErrNothing
	}
	if err != nil {
		return nil, err
	}
	var samples []Sample
	var before turn
	rounds := req.rounds()
	for i, positions := range rounds {
		// A round that never reaches the score still leaves the others a share of the time.
		deadline, _ := ctx.Deadline()
		share := time.Until(deadline) / time.Duration(len(rounds)-i)
		if req.OneByOne && i > 0 {
			before.begin(&samples[i-1], s.Info().Abilities.Selects)
		}
		best, err := s.best(ctx, v, req, positions, share, &before)
		if err != nil {
			return nil, err
		}
		v.show(driver.SignalAccepted)
		samples = append(samples, best...)
	}
	return samples, nil
}

// best looks at frames until one reaches the score. After share it is content
// with any usable frame, and ctx ends the search. The turn before has to be over
// first.
func (s *Scanner) best(ctx context.Context, v *visit, req Request, positions []driver.Position, share time.Duration, before *turn) ([]Sample, error) {
	target := s.reachable(driver.Target{Sensor: req.Sensor, Positions: positions, Exceptions: req.Exceptions})
	var best View
	enough := time.Now().Add(share)
	problem := ErrNothing
	ask := View{Hint: prompt(target)}
	shown := screen{show: s.show, last: ask}
	if before.waiting() {
		shown.last.Hint = LiftFinger
	}
	err := s.look(ctx, v, target, req.Profile, func(view View) bool {
		if !before.over(&view) {
			view.Hint = LiftFinger
			shown.view(view)
			return true
		}
		v.show(driver.SignalWaiting)
		shown.view(view)
		if view.Usable() && (!best.Usable() || view.Score > best.Score) {
			best = view
		}
		if view.Problem != nil {
			problem = view.Problem
		}
		reached := best.Usable() && best.Score >= req.Score && req.Score < 100
		return !reached && (!best.Usable() || time.Now().Before(enough))
	}, func() {
		if before.pause() {
			shown.last = ask
		}
		shown.again()
	})
	switch {
	case err != nil && !errors.Is(err, errTimeout):
		return nil, err
	case !best.Usable():
		return nil, problem
	}
	return best.Samples, nil
}

// reachable is what the scanner can do for a target: a scanner without the
// sensor takes the first finger alone.
func (s *Scanner) reachable(target driver.Target) driver.Target {
	sensors := s.Info().Sensors
	if !slices.Contains(sensors, target.Sensor) && slices.Contains(sensors, driver.Single) {
		target.Sensor, target.Positions = driver.Single, target.Positions[:1]
	}
	return target
}

// look hands each frame, cut and measured, to use, until use returns false
// (nil), ctx ends (its cause) or the driver gives up. idle is called several
// times a second while a scanner that does not stream has no frame.
func (s *Scanner) look(ctx context.Context, v *visit, target driver.Target, profile iso19794.Profile, use func(View) bool, idle func()) error {
	for frame, err := range v.frames(ctx, s.Info().Abilities.Streams, target, idle) {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			s.record(v, err)
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
func (s *Scanner) begin(ctx context.Context, sensor driver.Sensor) (*claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.preview
	if s.capture.live() || p.live() && p.target.Sensor != sensor {
		return nil, ErrBusy
	}
	if p != nil {
		p.taken = true
		p.stop(errTaken)
	}
	s.capture = &claim{gone: ctx.Done()}
	return s.capture, nil
}

func (s *Scanner) end(c *claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.capture == c {
		s.capture = nil
	}
	s.lastUse = time.Now()
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
