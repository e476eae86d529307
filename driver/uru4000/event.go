package uru4000

import (
	"context"
	"encoding/binary"
	"errors"

	"sbid/driver/internal/usb"
)

// An event is the first two bytes of an interrupt packet, big endian. What
// follows is stale.
type event uint16

const (
	powerOn   event = 0x56AA
	fingerOn  event = 0x0101
	fingerOff event = 0x0200
	failure   event = 0x0800 // the next picture will likely be empty
)

const (
	interruptIn   = 0x81
	interruptSize = 64
	// backlog is how many events may wait. More come from a broken reader alone, and
	// those are lost.
	backlog = 32
	// listenTries is how many broken interrupt transfers in a row are no end.
	listenTries = 3
)

// parseEvent reads an interrupt packet.
func parseEvent(b []byte) (event, bool) {
	if len(b) < 2 {
		return 0, false
	}
	return event(binary.BigEndian.Uint16(b)), true
}

// events are what the reader tells by itself. They are listened for from before
// the reader is started until it is closed: they come at any time.
type events struct {
	c    chan event // closed when nothing more will come
	err  error      // why; read after c is closed
	stop context.CancelFunc
	done chan struct{}
}

func listen(d usb.Device) *events {
	ctx, stop := context.WithCancel(context.Background())
	e := &events{c: make(chan event, backlog), stop: stop, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		defer close(e.c)
		e.err = e.read(ctx, d)
	}()
	return e
}

func (e *events) read(ctx context.Context, d usb.Device) error {
	var b [interruptSize]byte
	for bad := 0; ; {
		n, err := d.Read(ctx, interruptIn, b[:])
		switch {
		case err == nil:
			bad = 0
		case bad == listenTries || !errors.Is(err, usb.ErrStall) && !errors.Is(err, usb.ErrTransfer):
			return err
		default:
			if bad++; pause(ctx, powerPause) != nil {
				return err
			}
			continue
		}
		if ev, ok := parseEvent(b[:n]); ok {
			select {
			case e.c <- ev:
			default:
			}
		}
	}
}

// next waits for an event.
func (e *events) next(ctx context.Context) (event, error) {
	select {
	case ev, ok := <-e.c:
		if !ok {
			return 0, e.err
		}
		return ev, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// errFailure: the reader says that its next picture will be empty.
var errFailure = errors.New("the reader reports a failed scan")

// await waits for one event, passing over others but failure.
func (e *events) await(ctx context.Context, want event) error {
	for {
		switch ev, err := e.next(ctx); {
		case err != nil:
			return err
		case ev == want:
			return nil
		case ev == failure:
			return errFailure
		}
	}
}

// drain forgets what came.
func (e *events) drain() {
	for {
		select {
		case _, ok := <-e.c:
			if !ok {
				return
			}
		default:
			return
		}
	}
}

// close ends listening.
func (e *events) close() {
	e.stop()
	<-e.done
}
