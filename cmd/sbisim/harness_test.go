package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sbid/attest/developer"
)

// A sim is a running sbisim: the real program in this process, on real ports.
type sim struct {
	t     testing.TB
	state string
	// where the endpoints answer, by purpose, like http://127.0.0.1:4501
	registration, auth string
	log                *lockedBuffer
	stop               func() error // ends it like Ctrl-C and returns what run returned
	turns              *sync.Map    // from a deviceId to the *sync.Mutex of who captures
}

// trustSet is one state directory, made once for all tests: RSA keys take long.
var trustSet = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sbisim-test-state-")
	if err != nil {
		return "", err
	}
	atEnd(func() error { return os.RemoveAll(dir) })
	var names []string
	for _, r := range roles {
		names = append(names, r.name)
	}
	set, err := developer.Open(dir, "sbid developer", names, time.Now())
	if err != nil {
		return dir, err
	}
	return dir, set.Close()
})

// asProgram is what makes the test binary be sbisim.
const asProgram = "SBISIM_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	code := m.Run()
	for _, f := range slices.Backward(endings.all) {
		if err := f(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// endings undo what was made for all tests.
var endings struct {
	mu  sync.Mutex
	all []func() error
}

func atEnd(f func() error) {
	endings.mu.Lock()
	defer endings.mu.Unlock()
	endings.all = append(endings.all, f)
}

// newState returns a state directory of its own with keys in it.
func newState(t testing.TB) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "state")
	if err := copyState(to); err != nil {
		t.Fatal(err)
	}
	return to
}

func copyState(to string) error {
	from, err := trustSet()
	if err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	// A copy is readable by others, and such keys are refused.
	return filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600)
	})
}

// start runs sbisim with its own state until the test ends.
func start(t testing.TB, args ...string) *sim {
	t.Helper()
	s, err := newSim(newState(t), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("sbisim: %v\n%s", err, s.log)
		}
	})
	return s.in(t)
}

// in returns the same sbisim for the use of another test.
func (s *sim) in(t testing.TB) *sim {
	same := *s
	same.t = t
	return &same
}

// newSim runs sbisim on a state directory and returns when it is ready.
func newSim(state string, args ...string) (*sim, error) { return newSimOf(run, state, args...) }

// A runner runs the program as run does, until ctx ends.
type runner func(ctx context.Context, args []string, stdout, stderr io.Writer) error

// newSimOf is newSim for another way to run the program.
func newSimOf(run runner, state string, args ...string) (*sim, error) {
	s := &sim{state: state, log: &lockedBuffer{}, turns: &sync.Map{}}
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, append([]string{"--state-dir", s.state}, args...), in, s.log)
		in.Close()
		ended <- err
	}()
	s.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(10 * time.Second):
			return fmt.Errorf("sbisim did not end")
		}
	})
	want := 2
	for i, a := range args {
		if a == "--purpose" && !strings.Contains(args[i+1], ",") {
			want = 1
		}
	}
	lines := bufio.NewScanner(out)
	for range want {
		if !lines.Scan() {
			return nil, fmt.Errorf("sbisim ended before it was ready: %w\n%s", s.stop(), s.log)
		}
		var purpose, url string
		if _, err := fmt.Sscanf(lines.Text(), "ready %s %s", &purpose, &url); err != nil {
			return nil, errors.Join(fmt.Errorf("stdout: %q: %w", lines.Text(), err), s.stop())
		}
		switch url = strings.TrimSuffix(url, "/"); purpose {
		case "Registration":
			s.registration = url
		case "Auth":
			s.auth = url
		}
	}
	go io.Copy(io.Discard, out)
	return s, nil
}

// call sends one request as a client would, on a connection of its own, and
// returns the body of the answer. body is sent as it is if it is text and as
// JSON otherwise; nil sends none.
func (s *sim) call(method, url string, body any, header ...string) (*http.Response, []byte) {
	s.t.Helper()
	var text []byte
	switch b := body.(type) {
	case nil:
	case string:
		text = []byte(b)
	default:
		var err error
		if text, err = json.Marshal(b); err != nil {
			s.t.Fatal(err)
		}
	}
	req, err := http.NewRequest(method, url, bytes.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, url, err)
	}
	return resp, answer
}

// control does what an operator would: see type control.
func (s *sim) control(call, body string) {
	s.t.Helper()
	url := s.registration
	if url == "" {
		url = s.auth
	}
	if _, answer := s.call("POST", url+"/admin/"+call, body); !bytes.Contains(answer, []byte(`"errorCode":"0"`)) {
		s.t.Fatalf("control %s %s: %s", call, body, answer)
	}
}

// A lockedBuffer collects the log of a running program.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
