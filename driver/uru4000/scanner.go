package uru4000

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"sbid/driver"
	"sbid/driver/internal/raster"
	"sbid/driver/internal/usb"
)

const (
	imageIn = 0x82
	// rereads is how often an empty or strange frame is followed by another read:
	// the reader goes on sending.
	rereads = 3
	// mends is how often in a row a scan that failed is tried again, with the reader
	// started anew.
	mends = 3
	// lifting is how long the news of a lifted finger may take. Without it the
	// finger still rests, and the next picture is taken.
	lifting = 100 * time.Millisecond
	// parting bounds switching the reader off.
	parting = 500 * time.Millisecond
	// dirty is how many pictures of nothing in a row, each with the news of a
	// finger, mean a dirty window.
	dirty = 2
)

// A scanner is an open reader.
//
//	off → awaiting a finger → taking pictures → awaiting its end → off
//	              └───────────────←──────────────────┘
type scanner struct {
	driver *Driver
	chip   *chip
	model  model
	awake  bool   // it was started and not switched off
	blanks int    // pictures of nothing in a row
	buf    []byte // for one frame
}

// Frames yields a picture about three times a second while a finger is there,
// and hints where a picture shows none.
func (s *scanner) Frames(ctx context.Context, _ driver.Target) iter.Seq2[driver.Frame, error] {
	return func(yield func(driver.Frame, error) bool) {
		err := s.scan(ctx, yield)
		s.off(ctx)
		if err != nil && ctx.Err() == nil {
			yield(driver.Frame{}, fmt.Errorf("scan at %s: %w", s.chip.Info().Path, err))
		}
	}
}

// errEnough: the consumer wants no more frames.
var errEnough = errors.New("enough frames")

// scan returns nil when the consumer wants no more.
func (s *scanner) scan(ctx context.Context, yield func(driver.Frame, error) bool) error {
	failed := 0
	show := func(f driver.Frame) error {
		failed = 0
		if !yield(f, nil) {
			return errEnough
		}
		return nil
	}
	for {
		err := s.finger(ctx, show)
		switch {
		case errors.Is(err, errEnough):
			return nil
		case err == nil:
			continue
		case ctx.Err() != nil || !mendable(err):
			return err
		}
		if failed++; failed > mends {
			return err
		}
		s.off(ctx)
	}
}

// mendable reports whether starting the reader anew may help.
func mendable(err error) bool {
	for _, known := range []error{errFailure, errFrame, usb.ErrTimeout, usb.ErrStall, usb.ErrTransfer, usb.ErrOverflow} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// finger awaits a finger and shows pictures of it until it is lifted.
func (s *scanner) finger(ctx context.Context, show func(driver.Frame) error) error {
	if !s.awake {
		if err := s.chip.start(ctx); err != nil {
			return err
		}
		s.awake = true
	}
	s.chip.events.drain()
	if err := s.chip.setMode(ctx, modeAwaitOn); err != nil {
		return err
	}
	if err := s.chip.events.await(ctx, fingerOn); err != nil {
		return err
	}
	for {
		f, err := s.take(ctx)
		if err != nil {
			return err
		}
		blank := f.Image == nil
		if !blank {
			s.blanks = 0
			if err := show(f); err != nil {
				return err
			}
		}
		lifted, err := s.lifted(ctx)
		switch {
		case err != nil:
			return err
		case blank && lifted:
			err = show(driver.Frame{Hints: []driver.Hint{driver.HintLonger}})
		case blank:
			if s.blanks++; s.blanks >= dirty {
				err = show(driver.Frame{Hints: []driver.Hint{driver.HintClean}})
			}
		}
		if err != nil || lifted {
			return err
		}
	}
}

// lifted reports whether the finger is gone.
func (s *scanner) lifted(ctx context.Context) (bool, error) {
	s.chip.events.drain()
	if err := s.chip.setMode(ctx, modeAwaitOff); err != nil {
		return false, err
	}
	wait, stop := context.WithTimeoutCause(ctx, lifting, errRests)
	defer stop()
	err := s.chip.events.await(wait, fingerOff)
	if errors.Is(err, errRests) {
		return false, nil
	}
	return err == nil, err
}

// errRests: the finger was not lifted in time.
var errRests = errors.New("the finger rests")

// take takes a picture. The frame has no image when the picture shows nothing.
func (s *scanner) take(ctx context.Context) (driver.Frame, error) {
	sent, err := s.receive(ctx)
	if err != nil {
		return driver.Frame{}, err
	}
	pixels, err := sent.decode(func(number byte) (uint32, error) { return s.chip.key(ctx, number) })
	if err != nil {
		return driver.Frame{}, err
	}
	c := s.driver.config
	img, err := upright(pixels, (s.model.turn+c.Turn)%360)
	if err != nil {
		return driver.Frame{}, err
	}
	if contrast(img) < c.Contrast {
		return driver.Frame{}, nil
	}
	return driver.Frame{
		Image:  raster.ToStandard(img, c.DPI),
		DPI:    raster.Standard,
		Native: s.driver.native(),
	}, nil
}

// receive reads a frame. It is asked for before the reader is told to send: what
// is sent before is lost.
func (s *scanner) receive(ctx context.Context) (frame, error) {
	ctx, stop := usb.Within(ctx, s.driver.config.Answer)
	defer stop()
	first := s.post(ctx)
	if err := s.chip.setMode(ctx, modeCapture); err != nil {
		stop()
		<-first
		return frame{}, err
	}
	got := <-first
	for try := 0; ; try++ {
		if got.err != nil {
			return frame{}, got.err
		}
		f, err := parseFrame(s.buf[:got.n])
		if err == nil || try == rereads {
			return f, err
		}
		got = <-s.post(ctx)
	}
}

// received is the end of a read.
type received struct {
	n   int
	err error
}

// post starts reading a frame into buf.
func (s *scanner) post(ctx context.Context) <-chan received {
	done := make(chan received, 1)
	go func() {
		n, err := s.chip.Read(ctx, imageIn, s.buf)
		done <- received{n, err}
	}()
	return done
}

// off switches the sensor and its light off. If that fails, so does what follows.
func (s *scanner) off(ctx context.Context) {
	if !s.awake {
		return
	}
	s.awake = false
	ctx, stop := usb.Within(context.WithoutCancel(ctx), parting)
	defer stop()
	_ = s.chip.setMode(ctx, modeOff)
}

// Close switches the reader off and gives it back.
func (s *scanner) Close() error {
	s.off(context.Background())
	s.chip.events.close()
	return s.chip.Close()
}
