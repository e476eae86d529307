//go:build amd64 || arm64

package v4l2

import (
	"context"
	"errors"
	"fmt"
	"image"
	"iter"
	"time"

	"golang.org/x/sys/unix"

	"sbid/driver"
)

const (
	// slice bounds one wait for a picture, and so how late the end of a context is
	// noticed.
	slice = 100 * time.Millisecond
	// parting is how long a camera may take to stop before nobody waits for it.
	parting = 700 * time.Millisecond
	// lostInRow is how many pictures in a row the kernel may lose.
	lostInRow = 5
)

// A scanner is an open camera.
//
//	still → starting → filming → still
//	            ↑         └→ nothing good for a while: once more, then it is a fault
//	            └─────────────────┘
type scanner struct {
	camera    *camera
	lane      *lane
	grey      bool // pictures of eyes
	alternate bool
	patience  time.Duration
}

// Open takes hold of the camera at addr.
func (d *Driver) Open(ctx context.Context, addr string) (driver.Scanner, error) {
	n, ch, err := d.find(addr)
	if err != nil {
		return nil, err
	}
	l := d.laneOf(addr)
	c, err := do(ctx, l, func() (*camera, error) { return openCamera(&n, ch) }, (*camera).close)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", addr, err)
	}
	return &scanner{
		camera: c, lane: l, patience: d.patience,
		grey: ch.camera.Type == "iris", alternate: ch.camera.Alternate,
	}, nil
}

func (d *Driver) laneOf(addr string) *lane {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lanes[addr]
	if l == nil {
		l = newLane()
		d.lanes[addr] = l
	}
	return l
}

// find returns the node of the scanner at addr, and how it is used.
func (d *Driver) find(addr string) (node, choice, error) {
	for _, n := range nodes("/") {
		if n.addr != addr {
			continue
		}
		_, ch, ok := d.identify(&n)
		switch {
		case !ok:
			continue
		case !ch.asked:
			_, err := d.ask(&n)
			return n, ch, err
		case ch.mode.format == nil:
			seen, err := d.ask(&n)
			if err == nil {
				_, err = ch.camera.choose(seen.modes)
			}
			return n, ch, err
		}
		return n, ch, nil
	}
	return node{}, choice{}, fmt.Errorf("no camera at %q: %w", addr, driver.ErrRemoved)
}

// Frames yields the newest picture, as often as the consumer can take one.
func (s *scanner) Frames(ctx context.Context, _ driver.Target) iter.Seq2[driver.Frame, error] {
	return func(yield func(driver.Frame, error) bool) {
		err := s.film(ctx, yield)
		s.stop(ctx)
		if err != nil && ctx.Err() == nil {
			yield(driver.Frame{}, fmt.Errorf("film with %s: %w", s.camera.path, err))
		}
	}
}

// A stale stream gives nothing good any more.
type stale struct{ cause error }

func (s stale) Error() string { return s.cause.Error() }
func (s stale) Unwrap() error { return s.cause }

// film returns nil when the consumer wants no more. A stream that goes stale is
// started anew, unless that is what was just done.
func (s *scanner) film(ctx context.Context, yield func(driver.Frame, error) bool) error {
	for fresh := false; ; fresh = true {
		_, err := do(ctx, s.lane,
			func() (struct{}, error) { return struct{}{}, s.camera.start() },
			func(struct{}) { _ = s.camera.halt() })
		if err != nil {
			return err
		}
		some, err := s.watch(ctx, yield)
		if _, isStale := errors.AsType[stale](err); !isStale || fresh && !some {
			return err
		}
	}
}

// watch yields pictures until the stream goes stale. It reports whether there
// were some.
func (s *scanner) watch(ctx context.Context, yield func(driver.Frame, error) bool) (some bool, err error) {
	deadline := time.Now().Add(s.patience)
	reason := fmt.Errorf("%w: no picture in %v", driver.ErrNotReady, s.patience)
	lost, last := 0, 0.0
	for {
		if ctx.Err() != nil {
			return some, context.Cause(ctx)
		}
		if time.Now().After(deadline) || lost == lostInRow {
			return some, stale{reason}
		}
		ready, err := s.camera.wait(slice)
		if err != nil {
			return some, err
		}
		if !ready {
			continue
		}
		img, err := s.picture()
		switch {
		case errors.Is(err, driver.ErrRemoved), errors.Is(err, driver.ErrBroken):
			return some, err
		case errors.Is(err, unix.EAGAIN):
			continue
		case errors.Is(err, driver.ErrNotReady):
			lost++
			reason = err
		case err != nil:
			reason = fmt.Errorf("%w: %w", driver.ErrBroken, err)
		}
		if err != nil {
			// Once a camera is gone its buffers come back at once, until the kernel says so.
			if pause(ctx, slice/10) != nil {
				return some, context.Cause(ctx)
			}
			continue
		}
		lost = 0
		some = true
		deadline = time.Now().Add(s.patience)
		if s.alternate {
			now := mean(img)
			dark := now < last
			last = now
			if dark {
				continue
			}
		}
		if !yield(driver.Frame{Image: img}, nil) {
			return some, nil
		}
	}
}

var errFlagged = errors.New("picture damaged on its way")

// picture takes the newest picture out of the kernel.
func (s *scanner) picture() (image.Image, error) {
	b, err := s.camera.take()
	if err != nil {
		if errors.Is(err, unix.EAGAIN) {
			return nil, err
		}
		return nil, s.camera.explainIn(3*slice, err)
	}
	var img image.Image
	if b.flags&bufferError != 0 {
		err = errFlagged
	} else {
		img, err = s.camera.layout.decode(s.camera.pixels(b), s.grey)
	}
	if giveErr := s.camera.give(b.index); giveErr != nil {
		return nil, s.camera.explainIn(3*slice, giveErr)
	}
	return img, err
}

// wait reports whether there may be a picture, after at most d.
func (c *camera) wait(d time.Duration) (bool, error) {
	fds := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(d/time.Millisecond))
	switch {
	case errors.Is(err, unix.EINTR), err == nil && n == 0:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("wait for a picture: %w", err)
	case fds[0].Revents&unix.POLLIN != 0:
		return true, nil
	case c.gone(3 * slice):
		return false, fmt.Errorf("wait for a picture: %w", driver.ErrRemoved)
	}
	return false, stale{fmt.Errorf("%w: the stream broke off", driver.ErrNotReady)}
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stop ends the stream. What fails here fails again where it matters.
func (s *scanner) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), parting)
	defer cancel()
	_, _ = do(ctx, s.lane, func() (struct{}, error) { return struct{}{}, s.camera.halt() }, func(struct{}) {})
}

// Close gives the camera back: at once, or when it lets the kernel do so.
func (s *scanner) Close() error {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.lane.busy <- struct{}{}
		s.camera.close()
		<-s.lane.busy
	}()
	timer := time.NewTimer(parting)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
	}
	return nil
}
