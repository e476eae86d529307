package usbip

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const packet = 64

var descriptors = Descriptors{
	Device: []byte{18, 1, 0, 2, 0xFF, 0, 0, packet, 0x09, 0x12, 0x01, 0x00, 0x34, 0x12, 1, 2, 0, 1},
	Config: []byte{
		9, 2, 39, 0, 1, 1, 0, 0x80, 50,
		9, 4, 0, 0, 3, 0xFF, 0xFE, 0xFD, 0,
		7, 5, 0x81, 3, packet, 0, 8,
		7, 5, 0x82, 2, packet, 0, 0,
		7, 5, 0x02, 2, packet, 0, 0,
	},
	Strings: Strings("Maker", "Echo µ"),
}

// An echo sends back on 0x82 what comes on 0x02. Its interrupt endpoint never
// has anything to say.
type echo struct {
	said     Queue
	entered  chan struct{} // gets a value when the interrupt endpoint is read
	register byte          // written by control requests of type 0x40; used by one at a time
}

func newEcho() *echo { return &echo{entered: make(chan struct{}, 8)} }

func (e *echo) Descriptors() Descriptors { return descriptors }

func (e *echo) Control(_ context.Context, setup Setup, data []byte) ([]byte, error) {
	switch {
	case setup.Type == 0xC0 && setup.Request == 4:
		return bytes.Repeat([]byte{e.register}, 100), nil
	case setup.Type == 0x40 && setup.Request == 4 && len(data) == 1:
		e.register = data[0]
		return nil, nil
	}
	return nil, ErrStall
}

func (e *echo) In(ctx context.Context, endpoint byte, size int) ([]byte, error) {
	switch endpoint {
	case 0x81:
		e.entered <- struct{}{}
		<-ctx.Done()
		return nil, context.Cause(ctx)
	case 0x82:
		return e.said.Take(ctx, size)
	case 0x83:
		return make([]byte, size+1), nil
	}
	return nil, ErrStall
}

func (e *echo) Out(_ context.Context, endpoint byte, data []byte) error {
	if endpoint != 2 {
		return ErrStall
	}
	e.said.Put(slices.Clone(data), packet)
	return nil
}

func connect(t testing.TB) (*Host, *echo, *Cable) {
	t.Helper()
	e := newEcho()
	h, cable := Connect(e)
	t.Cleanup(func() {
		if err := cable.Pull(); err != nil {
			t.Error(err)
		}
	})
	return h, e, cable
}

func TestStandardRequests(t *testing.T) {
	h, _, _ := connect(t)
	for name, tt := range map[string]struct {
		setup Setup
		want  []byte
		err   error
	}{
		"device":               {Setup{Type: 0x80, Request: 6, Value: 0x0100}, descriptors.Device, nil},
		"configuration":        {Setup{Type: 0x80, Request: 6, Value: 0x0200}, descriptors.Config, nil},
		"languages":            {Setup{Type: 0x80, Request: 6, Value: 0x0300}, []byte{4, 3, 9, 4}, nil},
		"string":               {Setup{Type: 0x80, Request: 6, Value: 0x0302, Index: 0x0409}, []byte{14, 3, 'E', 0, 'c', 0, 'h', 0, 'o', 0, ' ', 0, 0xB5, 0}, nil},
		"missing string":       {Setup{Type: 0x80, Request: 6, Value: 0x0309}, nil, syscall.EPIPE},
		"qualifier":            {Setup{Type: 0x80, Request: 6, Value: 0x0600}, nil, syscall.EPIPE},
		"status":               {Setup{Type: 0x80, Request: 0}, []byte{0, 0}, nil},
		"current setting":      {Setup{Type: 0x81, Request: 10}, []byte{0}, nil},
		"unknown":              {Setup{Type: 0x80, Request: 0x0C}, nil, syscall.EPIPE},
		"request of the maker": {Setup{Type: 0xC0, Request: 4}, bytes.Repeat([]byte{0}, 100), nil},
		"refused":              {Setup{Type: 0xC0, Request: 5}, nil, syscall.EPIPE},
	} {
		t.Run(name, func(t *testing.T) {
			buf := make([]byte, 255)
			n, err := h.Control(t.Context(), tt.setup.Type, tt.setup.Request, tt.setup.Value, tt.setup.Index, buf)
			if !errors.Is(err, tt.err) || !bytes.Equal(buf[:n], tt.want) {
				t.Errorf("% X, %v; want % X, %v", buf[:n], err, tt.want, tt.err)
			}
		})
	}
	cut := make([]byte, 8)
	if n, err := h.Control(t.Context(), 0x80, 6, 0x0100, 0, cut); n != 8 || err != nil {
		t.Errorf("a cut descriptor: %d bytes, %v", n, err)
	}
}

func TestConfigurationIsKept(t *testing.T) {
	h, _, _ := connect(t)
	buf := []byte{0}
	if _, err := h.Control(t.Context(), 0, 9, 1, 0, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Control(t.Context(), 0x80, 8, 0, 0, buf); err != nil || buf[0] != 1 {
		t.Errorf("configuration %d, %v; want 1", buf[0], err)
	}
	if _, err := h.Control(t.Context(), 0x40, 4, 0, 0, []byte{7}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Control(t.Context(), 0xC0, 4, 0, 0, buf); err != nil || buf[0] != 7 {
		t.Errorf("register %d, %v; want 7", buf[0], err)
	}
}

func TestTransfersComeBack(t *testing.T) {
	h, _, _ := connect(t)
	for _, size := range []int{0, 1, packet - 1, packet, packet + 1, 10 * packet, 100_000} {
		sent := bytes.Repeat([]byte("ridge"), size/5+1)[:size]
		if n, err := h.Transfer(t.Context(), 0x02, sent); n != size || err != nil {
			t.Fatalf("send %d bytes: %d, %v", size, n, err)
		}
		var got []byte
		for buf := make([]byte, 16<<10); ; { // as libusb cuts a long read
			n, err := h.Transfer(t.Context(), 0x82, buf)
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, buf[:n]...); n < len(buf) {
				break
			}
		}
		if !bytes.Equal(got, sent) {
			t.Errorf("of %d bytes %d came back, or others", size, len(got))
		}
	}
}

func TestHaltLastsUntilCleared(t *testing.T) {
	h, _, _ := connect(t)
	status := []byte{0, 0}
	ask := Setup{Type: 0x82, Request: 0, Index: 0x85}
	for range 2 {
		if _, err := h.Transfer(t.Context(), 0x85, status); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("read of an endpoint that stalls: %v", err)
		}
		if _, err := h.Control(t.Context(), ask.Type, ask.Request, ask.Value, ask.Index, status); err != nil || status[0] != 1 {
			t.Errorf("status % X, %v; want halted", status, err)
		}
	}
	if _, err := h.Control(t.Context(), 2, 1, 0, 0x85, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Control(t.Context(), ask.Type, ask.Request, ask.Value, ask.Index, status); err != nil || status[0] != 0 {
		t.Errorf("status % X, %v; want not halted", status, err)
	}
	if _, err := h.Control(t.Context(), 2, 3, 0, 0x02, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Transfer(t.Context(), 0x02, status); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write to a halted endpoint: %v", err)
	}
}

func TestBabble(t *testing.T) {
	h, _, _ := connect(t)
	if n, err := h.Transfer(t.Context(), 0x83, make([]byte, 10)); n != 10 || !errors.Is(err, syscall.EOVERFLOW) {
		t.Errorf("a device that sends too much: %d, %v", n, err)
	}
}

// A pending interrupt transfer can be taken back, and blocks nothing.
func TestUnlink(t *testing.T) {
	h, e, _ := connect(t)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	for range 3 {
		go func() {
			_, err := h.Transfer(ctx, 0x81, make([]byte, 8))
			ended <- err
		}()
	}
	<-e.entered
	if _, err := h.Transfer(t.Context(), 0x02, []byte("x")); err != nil {
		t.Fatal("another endpoint:", err)
	}
	cancel(cause)
	for range 3 {
		if err := <-ended; !errors.Is(err, cause) {
			t.Errorf("an unlinked transfer: %v", err)
		}
	}
	if n, err := h.Transfer(t.Context(), 0x82, make([]byte, 8)); n != 1 || err != nil {
		t.Errorf("after that: %d, %v", n, err)
	}
	if _, err := h.Transfer(ctx, 0x82, make([]byte, 8)); !errors.Is(err, cause) {
		t.Errorf("with a context that is over: %v", err)
	}
}

func TestPulledInFlight(t *testing.T) {
	h, e, cable := connect(t)
	ended := make(chan error, 2)
	for _, endpoint := range []byte{0x81, 0x82} {
		go func() {
			_, err := h.Transfer(t.Context(), endpoint, make([]byte, 8))
			ended <- err
		}()
	}
	<-e.entered
	if err := cable.Pull(); err != nil {
		t.Error(err)
	}
	<-cable.Done()
	for range 2 {
		if err := <-ended; !errors.Is(err, syscall.ENODEV) {
			t.Errorf("in flight: %v", err)
		}
	}
	if _, err := h.Control(t.Context(), 0x80, 0, 0, 0, make([]byte, 2)); !errors.Is(err, syscall.ENODEV) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestQueueCutsTransfers(t *testing.T) {
	var q Queue
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	q.Put(make([]byte, 130), packet)
	q.Put(make([]byte, 128), packet)
	for i, want := range []int{100, 30, 100, 28} {
		if b, err := q.Take(ctx, 100); len(b) != want || err != nil {
			t.Errorf("piece %d has %d bytes, %v; want %d", i, len(b), err, want)
		}
	}
	q.Put(make([]byte, 128), packet)
	for i, want := range []int{64, 64, 0} { // whole packets: only an empty one can end it
		if b, err := q.Take(ctx, 64); len(b) != want || err != nil {
			t.Errorf("piece %d has %d bytes, %v; want %d", i, len(b), err, want)
		}
	}
	q.Put([]byte{1}, packet)
	q.Clear()
	time.AfterFunc(time.Millisecond, cancel)
	if _, err := q.Take(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("take from an empty queue: %v", err)
	}
}
