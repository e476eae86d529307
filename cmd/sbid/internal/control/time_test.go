package control

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A pipes is a listener in memory, for tests in fake time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	p.conns <- far
	return near, nil
}

// half begins a request whose body never ends, and returns when the service
// waits for the rest.
func (p *pipes) half(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := p.dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	const request = "POST /length HTTP/1.1\r\nHost: sbid\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer := bufio.NewReader(conn)
	line, err := answer.ReadString('\n')
	if err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := io.WriteString(conn, `{"Te`); err != nil {
		t.Fatal(err)
	}
	if _, err := answer.ReadString('\n'); err != nil { // the end of the header
		t.Fatal(err)
	}
	return conn, answer
}

// start serves operations until stop, which returns how long that took.
func (p *pipes) start(t *testing.T, operations map[string]Operation) (stop func() time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, p, operations) }()
	return func() time.Duration {
		began := time.Now()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		return time.Since(began)
	}
}

var length = map[string]Operation{
	"length": Op(func(_ context.Context, q question) (reply, error) { return reply{len(q.Text)}, nil }),
}

// A client that sends half a request keeps nothing from stopping.
func TestHalfARequestDoesNotHoldTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		stop := p.start(t, length)
		conn, _ := p.half(t)
		defer conn.Close()
		if took := stop(); took != endTime {
			t.Errorf("the service stops after %v, want %v", took, endTime)
		}
	})
}

// And it is told so while the service goes on.
func TestHalfARequestIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		defer p.start(t, length)()
		began := time.Now()
		conn, answer := p.half(t)
		defer conn.Close()
		resp, err := http.ReadResponse(answer, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if took := time.Since(began); resp.StatusCode != http.StatusUnprocessableEntity || took != readTime {
			t.Errorf("%s after %v", resp.Status, took)
		}
	})
}

// An operation has more time than a request.
func TestLongOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const long = 30 * time.Minute
		p := newPipes()
		defer p.start(t, map[string]Operation{
			"wait": Op(func(ctx context.Context, q question) (reply, error) {
				select {
				case <-ctx.Done():
					return reply{}, context.Cause(ctx)
				case <-time.After(long):
					return reply{len(q.Text)}, nil
				}
			}),
		})()
		c := &Client{&http.Client{Transport: &http.Transport{DialContext: p.dial, DisableKeepAlives: true}}}
		if got, err := Call[question, reply](t.Context(), c, "wait", question{"abc"}); err != nil || got.Length != 3 {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// The service waits for an operation that takes its time to end, when its client
// was left already.
func TestOperationsEndBeforeTheService(t *testing.T) {
	state := t.TempDir()
	listener, err := Listen(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	entered, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- Serve(ctx, listener, map[string]Operation{
			"wait": Op(func(ctx context.Context, _ question) (reply, error) {
				close(entered)
				<-release // what cannot be interrupted
				return reply{}, ctx.Err()
			}),
		})
	}()
	failed := make(chan error, 1)
	c := dial(t, state)
	go func() {
		_, err := Call[question, reply](context.WithoutCancel(t.Context()), c, "wait", question{})
		failed <- err
	}()
	<-entered
	cancel()
	if err := <-failed; err == nil {
		t.Error("the caller is told that all went well")
	}
	select {
	case <-ended:
		t.Error("the service ended before the operation")
	default:
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A socket that breaks ends the service, and leaves nothing running.
func TestBrokenSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if err := Serve(t.Context(), p, length); !errors.Is(err, net.ErrClosed) {
			t.Errorf("error %v", err)
		}
	})
}
