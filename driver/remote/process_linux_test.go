package remote

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sbid/driver"
)

// asHelper makes this test program a helper of a kind.
const asHelper = "SBID_TEST_USB_HELPER"

func TestMain(m *testing.M) {
	if kind := os.Getenv(asHelper); kind != "" {
		os.Exit(helper(kind))
	}
	goleak.VerifyTestMain(m)
}

// stdio is the daemon as the helper sees it.
type stdio struct {
	io.Reader
	io.Writer
}

// helper is the helper program.
func helper(kind string) int {
	f := fake{
		probe: func(context.Context) ([]driver.Info, error) { return []driver.Info{{Addr: "here", Serial: kind}}, nil },
		open:  func(context.Context) error { return nil },
		frames: func(context.Context, driver.Target) iter.Seq2[driver.Frame, error] {
			return func(yield func(driver.Frame, error) bool) {
				yield(driver.Frame{Image: image.NewGray(image.Rect(0, 0, 400, 300))}, nil)
				if kind == "crash" {
					fmt.Fprintln(os.Stderr, "SIGSEGV: segmentation\x1b[31m violation")
					os.Exit(3)
				}
			}
		},
	}
	switch kind {
	case "mute":
		select {}
	case "deaf": // it says hello, and neither reads nor ends
		_ = writeMessage(os.Stdout, message{head: head{Verb: verbHello, Version: version}})
		select {}
	case "loader":
		fmt.Fprintln(os.Stderr, "sbid-usb: error while loading shared libraries: libusb-1.0.so.0: cannot open shared object file")
		return 127
	}
	if err := Serve(context.Background(), driver.NewRegistry(f), stdio{os.Stdin, os.Stdout}); err != nil {
		return 1
	}
	return 0
}

// program returns a helper program of a kind: the helper gets no variable of
// ours but from a script.
func program(t *testing.T, kind string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sbid-usb")
	script := fmt.Sprintf("#!/bin/sh\n[ -z \"$SECRET\" ] || exit 9\n%s=%s exec %s\n", asHelper, kind, self)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestHelperProgram(t *testing.T) {
	t.Setenv("SECRET", "pin") // is not passed on
	h := New(program(t, "good"))
	defer h.Close()
	d := h.Driver("fake")
	infos, err := d.Probe(t.Context())
	if err != nil || len(infos) != 1 || infos[0].Serial != "good" {
		t.Fatal(infos, err)
	}
	s, err := d.Open(t.Context(), "here")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range s.Frames(t.Context(), driver.Target{}) {
		if err != nil {
			t.Error(err)
		}
		n++
	}
	if err := s.Close(); n != 1 || err != nil {
		t.Errorf("%d frames, %v", n, err)
	}
}

func TestHelperThatCrashesIsStartedAgain(t *testing.T) {
	h := New(program(t, "crash"))
	defer h.Close()
	d := h.Driver("fake")
	s, err := d.Open(t.Context(), "here")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	defer h.watch(func() { close(ended) })()
	var last error
	for _, err := range s.Frames(t.Context(), driver.Target{}) {
		last = err
	}
	if !errors.Is(last, driver.ErrNotReady) {
		t.Errorf("frames of a helper that crashed: %v", last)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close of a scanner that is gone: %v", err)
	}
	<-ended
	if _, err := d.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 3: SIGSEGV: segmentation[31m violation") {
		t.Errorf("at once: %v", err)
	}
	h.mu.Lock()
	h.next = time.Now() // instead of waiting for it
	h.mu.Unlock()
	if infos, err := d.Probe(t.Context()); err != nil || len(infos) != 1 {
		t.Errorf("later: %v, %v", infos, err)
	}
}

func TestMissingHelpers(t *testing.T) {
	for name, tt := range map[string]struct{ path, say string }{
		"no program":              {filepath.Join(t.TempDir(), "none"), "install the package"},
		"no libusb":               {program(t, "loader"), "libusb-1.0 is not installed"},
		"no program but a folder": {t.TempDir(), "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			h := New(tt.path)
			defer h.Close()
			for range 2 { // the second is told from memory
				_, err := h.Driver("uru4000").Probe(t.Context())
				if !errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), tt.say) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v; want it unavailable, and %q", err, tt.say)
				}
			}
		})
	}
}

// A helper that neither answers nor ends by itself is ended by force.
func TestDeafHelperIsKilled(t *testing.T) {
	h := New(program(t, "deaf"))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := h.connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	defer h.watch(func() { close(ended) })()
	if _, err := h.Driver("fake").Probe(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	<-ended
	h.Close()
}

func TestCloseEndsAMuteHelper(t *testing.T) {
	h := New(program(t, "mute"))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := h.Driver("fake").Probe(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	p, err := startProcess(program(t, "mute"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("a mute helper ended: %v", err)
	}
	p.(*process).Kill() // it is no more
	h.Close()
}

func TestTailKeepsTheLastLine(t *testing.T) {
	var said tail
	for range 1000 {
		if _, err := said.Write([]byte("a line of what went on\n")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := said.Write([]byte("panic: \x07no\n\n")); err != nil || said.line() != "panic: no" || len(said.text) > maxTail {
		t.Errorf("%q of %d bytes, %v", said.line(), len(said.text), err)
	}
}
