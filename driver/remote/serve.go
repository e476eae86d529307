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

const (
	maxCalls    = 64 // at once
	maxScanners = 64 // open
)

// lastWait is how long Serve waits for drivers that hang.
const lastWait = 2 * time.Second

// Serve answers the daemon on conn until it hangs up; then every scanner is
// closed. A driver that hangs is left behind: the program ends next. Serve
// returns an error when the daemon does not keep to the protocol.
func Serve(ctx context.Context, drivers driver.Registry, conn io.ReadWriter) error {
	ctx, stop := context.WithCancel(ctx)
	s := &server{
		drivers: drivers, conn: conn,
		calls: map[uint64]*serverCall{}, scanners: map[uint64]*openScanner{},
	}
	err := s.send(message{head: head{Verb: verbHello, Version: version}})
	for err == nil {
		var m message
		if m, err = readMessage(conn); err == nil {
			err = s.take(ctx, m)
		}
	}
	stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.running.Wait()
		for _, o := range s.scanners {
			_ = o.scanner.Close() // nobody is left to tell
		}
	}()
	select {
	case <-ended:
	case <-time.After(lastWait):
	}
	if errors.Is(err, errProtocol) {
		return err
	}
	return nil // hung up
}

type server struct {
	drivers driver.Registry
	running sync.WaitGroup

	writing sync.Mutex
	conn    io.ReadWriter

	mu       sync.Mutex
	calls    map[uint64]*serverCall
	scanners map[uint64]*openScanner
	last     uint64
}

// A serverCall is one that is under way.
type serverCall struct {
	cancel context.CancelFunc
	more   chan struct{}
}

// An openScanner is used by one call at a time.
type openScanner struct {
	scanner driver.Scanner
	busy    chan struct{}
}

func (s *server) send(m message) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return writeMessage(s.conn, m)
}

// take starts a call, or passes something on to one.
func (s *server) take(ctx context.Context, m message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	call := s.calls[m.Call]
	switch m.Verb {
	case verbCancel:
		if call != nil {
			call.cancel()
		}
		return nil
	case verbMore:
		if call != nil {
			select {
			case call.more <- struct{}{}:
			default:
			}
		}
		return nil
	case verbProbe, verbOpen, verbClose, verbFrames:
	default:
		return fmt.Errorf("%w: verb %.20q", errProtocol, m.Verb)
	}
	if call != nil || len(s.calls) == maxCalls {
		return fmt.Errorf("%w: call %d twice, or one of too many", errProtocol, m.Call)
	}
	ctx, cancel := context.WithCancel(ctx)
	call = &serverCall{cancel, make(chan struct{}, 1)}
	s.calls[m.Call] = call
	s.running.Go(func() {
		defer cancel()
		done := s.do(ctx, call, m.head)
		done.Verb, done.Call = verbDone, m.Call
		s.mu.Lock()
		delete(s.calls, m.Call)
		s.mu.Unlock()
		_ = s.send(message{head: done}) // if that fails, the daemon is gone, which ends Serve
	})
	return nil
}

func (s *server) do(ctx context.Context, call *serverCall, h head) head {
	switch h.Verb {
	case verbProbe, verbOpen:
		d := s.drivers[h.Driver]
		if d == nil {
			return head{Failure: fail(fmt.Errorf("%w: the helper has no driver %q", driver.ErrUnavailable, h.Driver))}
		}
		if h.Verb == verbProbe {
			infos, err := d.Probe(ctx)
			return head{Infos: infos, Failure: fail(err)}
		}
		return s.open(ctx, d, h.Addr)
	}
	o, err := s.acquire(ctx, h.Scanner, h.Verb == verbClose)
	if err != nil {
		return head{Failure: fail(err)}
	}
	defer func() { <-o.busy }()
	if h.Verb == verbClose {
		return head{Failure: fail(o.scanner.Close())}
	}
	return head{Failure: fail(s.frames(ctx, call, o.scanner, h))}
}

func (s *server) open(ctx context.Context, d driver.Driver, addr string) head {
	scanner, err := d.Open(ctx, addr)
	if err != nil {
		return head{Failure: fail(err)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.scanners) == maxScanners || ctx.Err() != nil {
		s.running.Go(func() { _ = scanner.Close() }) // why it is closed is told below
		return head{Failure: fail(fmt.Errorf("open %s: %w: not wanted any more, or too many scanners", addr, driver.ErrNotReady))}
	}
	s.last++
	s.scanners[s.last] = &openScanner{scanner, make(chan struct{}, 1)}
	return head{Scanner: s.last}
}

// acquire waits until a scanner's last call is over. One that is to be closed is
// forgotten.
func (s *server) acquire(ctx context.Context, number uint64, forget bool) (*openScanner, error) {
	s.mu.Lock()
	o := s.scanners[number]
	if forget {
		delete(s.scanners, number)
	}
	s.mu.Unlock()
	if o == nil {
		return nil, fmt.Errorf("%w: scanner %d is not open", driver.ErrNotReady, number)
	}
	if forget { // that happens even to a scanner that nobody waits for any more
		o.busy <- struct{}{}
		return o, nil
	}
	select {
	case o.busy <- struct{}{}:
		return o, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// frames sends a frame, and the next when the consumer comes back for more.
func (s *server) frames(ctx context.Context, call *serverCall, scanner driver.Scanner, h head) error {
	var target driver.Target
	if h.Target != nil {
		target = *h.Target
	}
	for f, err := range scanner.Frames(ctx, target) {
		if err != nil {
			return err
		}
		packed, pixels, err := pack(f)
		if err != nil {
			return err
		}
		if err := s.send(message{head{Verb: verbFrame, Call: h.Call, Frame: packed}, pixels}); err != nil {
			return err
		}
		select {
		case <-call.more:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}
