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

// Bounds of calls. What takes longer hangs.
const (
	helloTime = 10 * time.Second
	probeTime = 15 * time.Second // of several scanners that do not answer
	openTime  = 20 * time.Second
	// endTime is how long a cancelled call may take to end. Until then the daemon
	// does not wait: see grace.
	endTime = 3 * time.Second
	// grace is how long a caller waits for a call that he cancelled.
	grace = 900 * time.Millisecond
)

// A conn is a helper that runs, from its hello to its end.
type conn struct {
	stream io.ReadWriteCloser
	done   chan struct{} // closed when it has ended

	writing sync.Mutex

	mu    sync.Mutex
	calls map[uint64]*call
	last  uint64
	err   error // why it ended
}

// A call is one that is under way.
type call struct {
	conn    *conn
	number  uint64
	answers chan message // of frames there is one at a time, and the end
	over    bool         // the end was taken; used by the caller alone
}

// errEnded: the helper is not there any more. Another may be, later.
var errEnded = fmt.Errorf("%w: the usb helper has ended", driver.ErrNotReady)

// greet takes a helper's hello and listens to it from then on.
func greet(stream io.ReadWriteCloser) (*conn, error) {
	late := time.AfterFunc(helloTime, func() { stream.Close() })
	m, err := readMessage(stream)
	if !late.Stop() && err != nil {
		err = fmt.Errorf("no hello in %v: %w", helloTime, err)
	}
	switch {
	case err != nil:
		return nil, err
	case m.Verb != verbHello || m.Version != version:
		return nil, fmt.Errorf("%w: the usb helper speaks version %d, not %d: install sbid-usb and sbid of one release", driver.ErrUnavailable, m.Version, version)
	}
	c := &conn{stream: stream, done: make(chan struct{}), calls: map[uint64]*call{}}
	go c.read()
	return c, nil
}

// read passes answers to their calls until the helper ends.
func (c *conn) read() {
	defer close(c.done)
	var err error
	for err == nil {
		var m message
		if m, err = readMessage(c.stream); err == nil {
			err = c.pass(m)
		}
	}
	c.mu.Lock()
	if c.err == nil {
		c.err = fmt.Errorf("%w: %w", errEnded, err)
	}
	c.mu.Unlock()
	c.stream.Close()
}

func (c *conn) pass(m message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.calls[m.Call]
	if k == nil || m.Verb != verbFrame && m.Verb != verbDone || m.Verb == verbFrame && m.Frame == nil {
		return fmt.Errorf("%w: verb %.20q for call %d", errProtocol, m.Verb, m.Call)
	}
	if m.Verb == verbDone {
		delete(c.calls, m.Call)
	}
	select {
	case k.answers <- m:
		return nil
	default:
		return fmt.Errorf("%w: more frames than were asked for", errProtocol)
	}
}

// hang ends a helper that hangs.
func (c *conn) hang(what string) {
	c.mu.Lock()
	if c.err == nil {
		c.err = fmt.Errorf("%w: it did not end %s in time", errEnded, what)
	}
	c.mu.Unlock()
	if p, ok := c.stream.(interface{ Kill() }); ok {
		p.Kill() // it would not obey
		return
	}
	c.stream.Close()
}

// ended is why the helper is gone.
func (c *conn) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		return errEnded
	}
	return c.err
}

func (c *conn) send(m message) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	err := writeMessage(c.stream, m)
	if err != nil && !errors.Is(err, errProtocol) {
		return c.ended()
	}
	return err
}

// begin makes a call.
func (c *conn) begin(h head) (*call, error) {
	c.mu.Lock()
	c.last++
	k := &call{conn: c, number: c.last, answers: make(chan message, 2)}
	c.calls[k.number] = k
	c.mu.Unlock()
	h.Call = k.number
	if err := c.send(message{head: h}); err != nil {
		c.forget(k)
		return nil, err
	}
	return k, nil
}

func (c *conn) forget(k *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, k.number)
}

func (c *conn) pending(k *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[k.number] != nil
}

// next waits for an answer, while ctx lasts.
func (k *call) next(ctx context.Context) (message, error) {
	select {
	case m := <-k.answers: // also what came before the end
		return k.took(m)
	default:
	}
	select {
	case m := <-k.answers:
		return k.took(m)
	case <-k.conn.done:
		k.over = true
		return message{}, k.conn.ended()
	case <-ctx.Done():
		return message{}, context.Cause(ctx)
	}
}

// took returns an answer, or its error.
func (k *call) took(m message) (message, error) {
	k.over = m.Verb == verbDone
	return m, m.Failure.err()
}

// cancel ends a call that is not over, and waits for its end a while. A helper
// that does not end it hangs.
func (k *call) cancel() (end message, ended bool) {
	if k.over {
		return end, false
	}
	if k.conn.send(message{head: head{Verb: verbCancel, Call: k.number}}) != nil {
		return end, false
	}
	wait, stop := context.WithTimeout(context.Background(), grace)
	defer stop()
	for !k.over {
		m, err := k.next(wait)
		if wait.Err() != nil && !k.over {
			k.abandon()
			return end, false
		}
		if err == nil {
			end = m
		}
	}
	return end, true
}

// abandon leaves a call that should have ended to itself. If it does not end
// soon, the helper hangs.
func (k *call) abandon() {
	time.AfterFunc(endTime-grace, func() {
		if k.conn.pending(k) {
			k.conn.hang("a call")
		}
	})
}

// ask makes a call of one answer that comes within a time, or the helper hangs.
func (c *conn) ask(ctx context.Context, h head, limit time.Duration) (message, error) {
	if ctx.Err() != nil {
		return message{}, context.Cause(ctx)
	}
	k, err := c.begin(h)
	if err != nil {
		return message{}, err
	}
	wait, stop := context.WithTimeout(ctx, limit)
	defer stop()
	m, err := k.next(wait)
	if k.over {
		return m, err
	}
	if ctx.Err() == nil {
		c.hang(h.Verb)
		return message{}, c.ended()
	}
	end, ended := k.cancel()
	if ended && end.Scanner != 0 { // opened all the same
		_ = (&remoteScanner{c, end.Scanner}).Close()
	}
	return message{}, context.Cause(ctx)
}
