package capture

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"sbid/capture/internal/contain"
	"sbid/driver"
)

// How long a driver may take until its caller carries on without it.
const (
	openTime  = 15 * time.Second // to open: some load firmware, some try all baud rates
	frameTime = 10 * time.Second // from frame to frame, of a scanner that streams
	stopTime  = 3 * time.Second  // to come back once told to: a second from Frames, one from Close, and the signals
)

const (
	// pulse is how often a preview gets a picture from a scanner that has none.
	pulse = 300 * time.Millisecond
	// signalTime bounds one signal to the person, and is how long the last one of a
	// capture stays on when nobody wants the scanner.
	signalTime = 500 * time.Millisecond
)

var errSlow = fmt.Errorf("%w after %v", driver.ErrNotReady, openTime)

var errStuck = errors.New("the driver has not come back from its last call; if it stays so, unplug the scanner and restart the service")

// A visit is one stay in a driver: a goroutine opens the scanner, reads frames
// as often as it is told to, and closes it. It alone calls the driver, and
// whoever began the visit waits for it only as long as the bounds allow. A
// driver that hangs keeps its goroutine; nobody else enters meanwhile.
//
//	admitted → opening → open ⇄ reading frames → leaving → gone
//	              └───────┴────────────┴───────────→ stuck → gone
type visit struct {
	arrival int // of Scanner, when the visit began
	calls   chan func(driver.Scanner)
	left    chan struct{} // closed when the goroutine shall come back
	wanted  chan struct{} // closed when somebody waits for that
	late    chan struct{} // closed when it should have come back
	done    chan struct{} // closed when it has
	signal  atomic.Uint32 // the driver.Signal to show
	shown   driver.Signal // by the goroutine

	// Guarded by Scanner.mu.
	alarm *time.Timer // closes late
	stuck bool
}

// admit lets the caller into the driver as soon as nobody else is there.
func (s *Scanner) admit(ctx context.Context) (*visit, error) {
	patience := time.After(releaseTime)
	for {
		s.mu.Lock()
		before := s.visit
		if before == nil {
			v := &visit{
				arrival: s.arrival, calls: make(chan func(driver.Scanner)),
				left: make(chan struct{}), wanted: make(chan struct{}), late: make(chan struct{}), done: make(chan struct{}),
			}
			s.visit = v
			s.mu.Unlock()
			return v, nil
		}
		select {
		case <-before.wanted:
		default:
			close(before.wanted)
		}
		s.mu.Unlock()
		select {
		case <-before.done:
		case <-before.late:
			return nil, fmt.Errorf("%w: %w", ErrBusy, errStuck)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-patience:
			return nil, ErrBusy
		}
	}
}

// open begins the visit. The caller leaves it in any case.
func (s *Scanner) open(ctx context.Context, v *visit) error {
	addr := s.Info().Addr
	opened := make(chan error, 1)
	go s.stay(ctx, v, addr, opened)
	var err error
	select {
	case err = <-opened:
	case <-ctx.Done():
	case <-time.After(openTime + time.Second): // the driver's own word comes first
		err = fmt.Errorf("%w: %w", driver.ErrNotReady, errStuck)
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		err = fmt.Errorf("open: %w", err)
	}
	s.record(v, err)
	return err
}

// stay is the goroutine of a visit.
func (s *Scanner) stay(ctx context.Context, v *visit, addr string, opened chan<- error) {
	defer s.gone(v)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slow := time.AfterFunc(openTime, func() { cancel(errSlow) }) // no deadline: the scanner may live by this context
	var dev driver.Scanner
	err := contain.Call(func() (err error) {
		dev, err = s.drv.Open(ctx, addr)
		return err
	})
	slow.Stop()
	if err != nil && errors.Is(context.Cause(ctx), errSlow) {
		err = fmt.Errorf("%w: %w", errSlow, err)
	}
	opened <- err
	if err != nil {
		return
	}
	defer func() { _ = contain.Call(dev.Close) }() // what fails here fails again where it matters
	for {
		select {
		case call := <-v.calls:
			call(dev)
		case <-v.left:
			v.farewell(ctx, dev)
			return
		}
	}
}

// leave ends the visit. It does not wait for the driver.
func (s *Scanner) leave(v *visit) {
	close(v.left)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.visit != v {
		return
	}
	v.alarm = time.AfterFunc(stopTime, func() {
		s.mu.Lock()
		v.stuck = s.visit == v
		if v.stuck {
			close(v.late)
		}
		s.mu.Unlock()
		s.tell()
	})
}

// gone opens the door to the next.
func (s *Scanner) gone(v *visit) {
	s.mu.Lock()
	s.visit = nil
	if v.alarm != nil {
		v.alarm.Stop()
	}
	was := v.stuck
	s.mu.Unlock()
	close(v.done)
	if was {
		s.tell()
	}
}

// A reading is what a driver yields.
type reading struct {
	frame driver.Frame
	err   error
}

// frames yields what the driver's Frames does, and ends in time whatever that
// does. idle is called while a scanner that does not stream has no frame.
func (v *visit) frames(ctx context.Context, streams bool, target driver.Target, idle func()) iter.Seq2[driver.Frame, error] {
	return func(yield func(driver.Frame, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		read, seen := make(chan reading), make(chan struct{})
		select {
		case v.calls <- func(dev driver.Scanner) { v.read(ctx, dev, target, read, seen) }:
		case <-ctx.Done():
			return
		case <-time.After(stopTime): // not back from the frames before
			yield(driver.Frame{}, fmt.Errorf("%w: %w", driver.ErrNotReady, errStuck))
			return
		}
		patience := pulse
		if streams {
			patience = frameTime
		}
		timer := time.NewTimer(patience)
		defer timer.Stop()
		for {
			select {
			case r, more := <-read:
				if !more || !yield(r.frame, r.err) {
					return
				}
				select {
				case seen <- struct{}{}:
				case <-ctx.Done():
					return
				}
			case <-timer.C:
				if streams {
					yield(driver.Frame{}, fmt.Errorf("%w: no frame for %v", driver.ErrNotReady, frameTime))
					return
				}
				idle()
			case <-ctx.Done():
				return
			}
			timer.Reset(patience)
		}
	}
}

// read is the goroutine's side of frames. The driver goes on when a frame has
// been seen, as if the one who looks at it had called it.
func (v *visit) read(ctx context.Context, dev driver.Scanner, target driver.Target, read chan<- reading, seen <-chan struct{}) {
	defer close(read)
	pass := func(r reading) bool {
		select {
		case read <- r:
		case <-ctx.Done():
			return false
		}
		select {
		case <-seen:
		case <-ctx.Done():
			return false
		}
		return r.err == nil
	}
	v.indicate(ctx, dev)
	err := contain.Call(func() error {
		for frame, err := range dev.Frames(ctx, target) {
			if !pass(reading{frame, err}) {
				return nil
			}
			v.indicate(ctx, dev)
		}
		return nil
	})
	if err != nil {
		pass(reading{err: err})
	}
}

// show makes a signal the one to show, as soon as the driver can be called.
func (v *visit) show(signal driver.Signal) { v.signal.Store(uint32(signal)) }

// indicate shows the signal, if there is something to show it with. A light that
// fails stops no capture.
func (v *visit) indicate(ctx context.Context, dev driver.Scanner) bool {
	indicator, ok := dev.(driver.Indicator)
	signal := driver.Signal(v.signal.Load())
	if !ok || signal == v.shown {
		return false
	}
	v.shown = signal
	ctx, cancel := context.WithTimeout(ctx, signalTime)
	defer cancel()
	return contain.Call(func() error { return indicator.Indicate(ctx, signal) }) == nil
}

// farewell leaves the last signal on for a moment, unless somebody waits.
func (v *visit) farewell(ctx context.Context, dev driver.Scanner) {
	ctx = context.WithoutCancel(ctx) // the client may have gone
	if v.indicate(ctx, dev) {
		select {
		case <-time.After(signalTime):
		case <-v.wanted:
		}
	}
	v.show(driver.SignalIdle)
	v.indicate(ctx, dev)
}
