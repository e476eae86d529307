package nb1010

import (
	"context"
	"errors"
	"fmt"
	"image"
	"iter"
	"time"

	"sbid/driver"
	"sbid/driver/internal/raster"
	"sbid/driver/internal/usb"
)

const (
	// touched is the contact above which a finger is there.
	touched = 0x30
	// mends is how often in a row a broken exchange is tried again.
	mends = 2
)

// A scanner is an open reader.
//
//	asking for contact → contact → preparing → capturing → asking for contact
type scanner struct {
	driver *Driver
	reader *reader
}

// Frames yields a picture whenever a finger is there. The reader does not tell
// by itself, and is asked again and again.
func (s *scanner) Frames(ctx context.Context, _ driver.Target) iter.Seq2[driver.Frame, error] {
	return func(yield func(driver.Frame, error) bool) {
		if err := s.scan(ctx, yield); err != nil && ctx.Err() == nil {
			yield(driver.Frame{}, fmt.Errorf("scan at %s: %w", s.reader.Info().Path, err))
		}
	}
}

// scan returns nil when the consumer wants no more.
func (s *scanner) scan(ctx context.Context, yield func(driver.Frame, error) bool) error {
	for failed := 0; ; {
		f, found, err := s.look(ctx)
		switch {
		case err == nil:
			failed = 0
		case ctx.Err() != nil || failed == mends || !mendable(err):
			return err
		default:
			failed++
			continue
		}
		if found && !yield(f, nil) {
			return nil
		}
		if !found {
			if err := pause(ctx, s.driver.config.Poll); err != nil {
				return err
			}
		}
	}
}

// mendable reports whether asking again may help.
func mendable(err error) bool {
	for _, known := range []error{errFraming, usb.ErrTimeout, usb.ErrStall, usb.ErrTransfer, usb.ErrOverflow} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// look asks for a finger and, if there is one, takes a picture.
func (s *scanner) look(ctx context.Context) (f driver.Frame, found bool, err error) {
	r := s.reader
	if err := r.settle(ctx); err != nil {
		return f, false, err
	}
	r.astray = true // until all that was asked for has come
	contact, err := r.ask(ctx, askContact, codePresence)
	if err != nil {
		return f, false, err
	}
	if contact[12] > touched {
		if f, err = s.take(ctx); err != nil {
			return f, false, err
		}
		found = true
	}
	r.astray = len(r.buf) > 0
	return f, found, nil
}

// take takes a picture.
func (s *scanner) take(ctx context.Context) (f driver.Frame, err error) {
	r := s.reader
	for _, command := range [][]byte{prepare, capture} {
		if _, err := r.ask(ctx, command, codeDone); err != nil {
			return f, err
		}
	}
	img := image.NewGray(image.Rect(0, 0, width, height))
	for i := range messages {
		m, err := r.next(ctx, codeLines, messageSize)
		if err != nil {
			return f, err
		}
		lines, err := parseLines(m, 2*i)
		if err != nil {
			return f, err
		}
		copy(img.Pix[2*i*width:], lines)
	}
	if img, err = raster.Turn(img, s.driver.config.Turn); err != nil {
		return f, err
	}
	return driver.Frame{
		Image:  raster.ToStandard(img, s.driver.config.DPI),
		DPI:    raster.Standard,
		Native: s.driver.native(),
	}, nil
}

// Close gives the reader back.
func (s *scanner) Close() error { return s.reader.Close() }

// pause waits, or returns the cause of ctx's end.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
