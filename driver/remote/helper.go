package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"sbid/driver"
)

// A Helper is the program that the drivers run in. It is started when a driver
// is first asked something, and again after it ended. It is safe for concurrent
// use.
type Helper struct {
	start func() (io.ReadWriteCloser, error)

	mu       sync.Mutex
	stream   io.Closer     // of the helper, from its start to its end
	conn     *conn         // from its hello on
	starting chan struct{} // closed when a start is over; nil: none is under way
	began    time.Time
	failures int       // in a row
	next     time.Time // not before it is the helper started again
	err      error     // why it does not run
	watchers map[*func()]struct{}
	closed   bool
	running  sync.WaitGroup
}

// backOff is how long after an end the helper is started again, by failures in a
// row; the last one stays.
var backOff = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second}

// lasting is how long a helper must have run for its end to be the first failure.
const lasting = time.Minute

// New returns the helper program at path, which is started with args.
func New(path string, args ...string) *Helper {
	return newHelper(func() (io.ReadWriteCloser, error) { return startProcess(path, args...) })
}

func newHelper(start func() (io.ReadWriteCloser, error)) *Helper {
	return &Helper{start: start, watchers: map[*func()]struct{}{}}
}

// Close ends the helper. Its drivers answer driver.ErrUnavailable from then on.
func (h *Helper) Close() {
	h.mu.Lock()
	h.closed = true
	h.err = fmt.Errorf("%w: the usb helper was closed", driver.ErrUnavailable)
	stream := h.stream
	h.mu.Unlock()
	if stream != nil {
		stream.Close()
	}
	h.running.Wait()
}

// connect returns a helper that runs, and starts one if that is due.
func (h *Helper) connect(ctx context.Context) (*conn, error) {
	for {
		h.mu.Lock()
		switch now := time.Now(); {
		case h.closed:
			defer h.mu.Unlock()
			return nil, h.err
		case h.conn != nil:
			defer h.mu.Unlock()
			return h.conn, nil
		case h.starting == nil && now.Before(h.next):
			defer h.mu.Unlock()
			return nil, h.err
		case h.starting == nil:
			h.starting = make(chan struct{})
			h.running.Go(h.run)
		}
		starting := h.starting
		h.mu.Unlock()
		select {
		case <-starting:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// run is a helper's life.
func (h *Helper) run() {
	stream, err := h.start()
	var c *conn
	if err == nil {
		h.mu.Lock()
		h.stream = stream
		closed := h.closed
		h.mu.Unlock()
		if closed {
			stream.Close()
		}
		if c, err = greet(stream); err != nil {
			err = told(err, stream.Close())
		}
	}
	if err != nil && !errors.Is(err, driver.ErrUnavailable) {
		err = fmt.Errorf("%w: start the usb helper: %w", driver.ErrNotReady, err)
	}
	h.mu.Lock()
	h.conn, h.began = c, time.Now()
	close(h.starting)
	h.starting = nil
	if c == nil {
		h.fail(err)
		h.mu.Unlock()
		return
	}
	h.mu.Unlock()

	<-c.done
	err = stream.Close() // it says how the program ended, however often it is called
	h.mu.Lock()
	if time.Since(h.began) >= lasting {
		h.failures = 0
	}
	h.conn = nil
	h.fail(told(c.ended(), err))
	var tell []func()
	for w := range h.watchers {
		tell = append(tell, *w)
	}
	h.mu.Unlock()
	for _, changed := range tell {
		changed()
	}
}

// fail notes an end, and when the next start is due. The caller holds h.mu.
func (h *Helper) fail(err error) {
	if h.closed {
		return
	}
	h.err = err
	h.next = time.Now().Add(backOff[min(h.failures, len(backOff)-1)])
	h.failures++
}

// told adds to what was noticed of a helper's end what the end itself says. That
// something is missing says it all.
func told(err, end error) error {
	switch {
	case end == nil || errors.Is(err, driver.ErrUnavailable):
		return err
	case errors.Is(end, driver.ErrUnavailable):
		return end
	}
	return fmt.Errorf("%w: %w", err, end)
}

// watch calls changed whenever the helper ends, until the returned function is
// called.
func (h *Helper) watch(changed func()) (stop func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := &changed
	h.watchers[key] = struct{}{}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers, key)
	}
}
