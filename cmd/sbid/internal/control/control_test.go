package control

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type question struct{ Text string }

type reply struct{ Length int }

// serve runs operations on a socket of its own until the test ends.
func serve(t *testing.T, operations map[string]Operation) (state string) {
	t.Helper()
	state = t.TempDir()
	listener, err := Listen(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, operations) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return state
}

func dial(t *testing.T, state string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCallsAreAnswered(t *testing.T) {
	state := serve(t, map[string]Operation{
		"length": Op(func(_ context.Context, q question) (reply, error) { return reply{len(q.Text)}, nil }),
		"fail":   Op(func(context.Context, question) (reply, error) { return reply{}, errors.New("out of paper") }),
	})
	c := dial(t, state)
	if got, err := Call[question, reply](t.Context(), c, "length", question{"abc"}); err != nil || got.Length != 3 {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := Call[question, reply](t.Context(), c, "fail", question{}); err == nil || err.Error() != "out of paper" {
		t.Errorf("a failure arrives as %v", err)
	}
	if _, err := Call[question, reply](t.Context(), c, "unknown", question{}); err == nil || !strings.Contains(err.Error(), "same version") {
		t.Errorf("an unknown operation: %v", err)
	}
	if _, err := Call[map[string]string, reply](t.Context(), c, "length", map[string]string{"Colour": "red"}); err == nil || !strings.Contains(err.Error(), "Colour") {
		t.Errorf("an unknown member: %v", err)
	}
}

func TestOnlyTheOwnerMayOpenTheSocket(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("sockets have no mode there; the folder's access list keeps others out")
	}
	info, err := os.Stat(filepath.Join(serve(t, nil), socket))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

// Nobody else gets at the socket, not even before it has its mode.
func TestFolderIsClosedToOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("folders have access lists there")
	}
	state := t.TempDir()
	for mode, wrong := range map[os.FileMode]string{0o755: "", 0o777 | os.ModeSticky: "not this user's alone"} {
		if err := os.Chmod(state, mode); err != nil {
			t.Fatal(err)
		}
		listener, err := Listen(t.Context(), state)
		if wrong != "" {
			if err == nil || !strings.Contains(err.Error(), wrong) {
				t.Errorf("%v: error %v", mode, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
		if info, err := os.Stat(state); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v: mode is now %v, %v", mode, info.Mode(), err)
		}
	}
}

// A service that was killed leaves its socket; the next one takes its place.
func TestSocketLeftBehind(t *testing.T) {
	state := t.TempDir()
	if _, err := Dial(t.Context(), state); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no socket: %v", err)
	}
	if err := os.WriteFile(filepath.Join(state, socket), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(t.Context(), state); !errors.Is(err, ErrNotRunning) {
		t.Errorf("nobody listens: %v", err)
	}
	listener, err := Listen(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if _, err := Listen(t.Context(), strings.Repeat("x", 120)); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("a path too long: %v", err)
	}
}

// An operation ends when its caller is interrupted, and when the service stops.
func TestOperationsEnd(t *testing.T) {
	entered, left := make(chan struct{}), make(chan struct{})
	state := serve(t, map[string]Operation{
		"wait": Op(func(ctx context.Context, _ question) (reply, error) {
			close(entered)
			<-ctx.Done()
			close(left)
			return reply{}, ctx.Err()
		}),
	})
	c := dial(t, state)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := Call[question, reply](ctx, c, "wait", question{})
		ended <- err
	}()
	<-entered
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller is told %v", err)
	}
	<-left
}
