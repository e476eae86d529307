package serialport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sbid/driver"
	"sbid/simulator/serial"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A twin serves as somebody who answers: health is a question, sound its answer.
var (
	health = []byte("\xEF\x01\xFF\xFF\xFF\xFF\x01\x00\x03\x36\x00\x3A")
	sound  = []byte("\xEF\x01\xFF\xFF\xFF\xFF\x07\x00\x03\x00\x00\x0A")
)

func plug(t testing.TB) *serial.Twin {
	t.Helper()
	twin, err := serial.StartEF01(filepath.Join(t.TempDir(), "tty"), serial.EF01{Product: "R503"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(twin.Close)
	return twin
}

func dial(t testing.TB, twin *serial.Twin) *Line {
	t.Helper()
	line, err := Open(twin.Path(), 57600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	return line
}

func soon() time.Time { return time.Now().Add(5 * time.Second) }

func TestLineCarries(t *testing.T) {
	line := dial(t, plug(t))
	for range 3 {
		if err := line.Send(health); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(sound))
		if _, err := io.ReadFull(line.Reader(t.Context(), soon()), got); err != nil || !bytes.Equal(got, sound) {
			t.Fatalf("% X, %v; want % X", got, err, sound)
		}
	}
}

func TestWaitsEnd(t *testing.T) {
	twin := plug(t)
	line := dial(t, twin)
	read := func(ctx context.Context, by time.Time) error {
		_, err := line.Reader(ctx, by).Read(make([]byte, 1))
		return err
	}
	if err := read(t.Context(), time.Now().Add(20*time.Millisecond)); !errors.Is(err, ErrSilent) {
		t.Errorf("at the deadline: %v", err)
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := read(ctx, soon()); !errors.Is(err, cause) {
		t.Errorf("cancelled: %v", err)
	}
	if err := line.Drain(t.Context(), 20*time.Millisecond, time.Second); err != nil {
		t.Errorf("drain of a quiet line: %v", err)
	}
	twin.Misbehave(serial.Babble)
	if err := line.Drain(t.Context(), 100*time.Millisecond, 200*time.Millisecond); !errors.Is(err, ErrNoise) {
		t.Errorf("drain of a noisy line: %v", err)
	}
	twin.Unplug()
	for name, err := range map[string]error{
		"drain": line.Drain(t.Context(), time.Second, 2*time.Second),
		"read":  read(t.Context(), soon()),
		"send":  line.Send(health),
		"rate":  line.SetBaud(9600),
	} {
		if !errors.Is(err, driver.ErrRemoved) {
			t.Errorf("%s on an unplugged line: %v", name, err)
		}
	}
	if _, err := Open(twin.Path(), 9600); !errors.Is(err, driver.ErrRemoved) {
		t.Errorf("open of an unplugged port: %v", err)
	}
	if _, err := Open("/dev/null", 9600); err == nil || errors.Is(err, driver.ErrRemoved) {
		t.Errorf("open of what is no serial port: %v", err)
	}
}

func TestAwaitKeepsWhatCame(t *testing.T) {
	line := dial(t, plug(t))
	if err := line.Send(health); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := line.Await(t.Context(), soon()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.ReadFull(line.Reader(t.Context(), soon()), make([]byte, len(sound))); err != nil {
		t.Error(err)
	}
}

// asked is a Ports of one path whose family answers as told.
func asked(t *testing.T, path string, answers ...error) (*Ports, *int) {
	t.Helper()
	n := 0
	p, err := NewPorts([]string{path}, nil, func(context.Context, string) (driver.Info, error) {
		n++
		return driver.Info{Addr: path}, answers[min(n, len(answers))-1]
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, &n
}

func TestPortsAskNoMoreThanNeeded(t *testing.T) {
	silent := errors.New("silent")
	for name, tt := range map[string]struct {
		answers      []error
		found, asked int // after three probes
	}{
		"answers":         {[]error{nil}, 1, 1},
		"does not answer": {[]error{silent}, 0, 1},
		"busy, then free": {[]error{driver.ErrNotReady, nil}, 1, 2},
		"going":           {[]error{driver.ErrRemoved}, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			p, n := asked(t, plug(t).Path(), tt.answers...)
			var infos []driver.Info
			for range 3 {
				infos, _ = p.Probe(t.Context())
			}
			if len(infos) != tt.found || *n != tt.asked {
				t.Errorf("%d found after asking %d times; want %d, %d", len(infos), *n, tt.found, tt.asked)
			}
		})
	}
}

func TestForgottenPortIsAskedAgain(t *testing.T) {
	twin := plug(t)
	p, n := asked(t, twin.Path(), nil)
	p.Forget(twin.Path()) // unknown yet
	for range 2 {
		if _, err := p.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.Forget(twin.Path())
	}
	if *n != 2 {
		t.Errorf("asked %d times", *n)
	}
}

func TestBusyPortIsSaid(t *testing.T) {
	p, _ := asked(t, plug(t).Path(), driver.ErrNotReady)
	if _, err := p.Probe(t.Context()); !errors.Is(err, driver.ErrNotReady) {
		t.Errorf("probe of a port that another program has: %v", err)
	}
}

func TestClaims(t *testing.T) {
	twin := plug(t)
	p, _ := asked(t, twin.Path(), nil)
	release, err := p.Claim(t.Context(), twin.Path())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Claim(t.Context(), twin.Path()); !errors.Is(err, driver.ErrNotReady) {
		t.Errorf("a second claim: %v", err)
	}
	release()
	if release, err = p.Claim(t.Context(), twin.Path()); err != nil {
		t.Fatal("a claim after release:", err)
	}
	release()
	if _, err := p.Claim(t.Context(), "/dev/null"); !errors.Is(err, driver.ErrRemoved) {
		t.Errorf("a claim on a path that is not configured: %v", err)
	}
}

// A claim waits for a probe that is under way, for as long as its context lasts.
func TestClaimWaitsForAProbe(t *testing.T) {
	twin := plug(t)
	asking, finish := make(chan struct{}), make(chan struct{})
	p, err := NewPorts([]string{twin.Path()}, nil, func(context.Context, string) (driver.Info, error) {
		close(asking)
		<-finish
		return driver.Info{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = p.Probe(context.Background())
	}()
	<-asking
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Claim(ctx, twin.Path()); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled claim: %v", err)
	}
	close(finish)
	release, err := p.Claim(t.Context(), twin.Path())
	if err != nil {
		t.Fatal(err)
	}
	release()
	<-done
}

func TestBridgesAreChecked(t *testing.T) {
	for _, id := range []string{"", "10c4", "10c4:", "10c4:ea600", "+0c4:ea60", "usb:0001"} {
		if _, err := NewPorts(nil, []string{id}, nil); err == nil || !strings.Contains(err.Error(), "usb id") {
			t.Errorf("%q: %v", id, err)
		}
	}
	p, err := NewPorts(nil, []string{"FFFF:FFFF"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if infos, err := p.Probe(t.Context()); len(infos) != 0 || err != nil {
		t.Errorf("no such bridge: %v, %v", infos, err)
	}
}
