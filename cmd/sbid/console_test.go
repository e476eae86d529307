package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"sbid/sbi/client"
)

// What a service says must not drive the terminal.
func TestPlain(t *testing.T) {
	var b strings.Builder
	in := "a\tb\n\x1b[31mred\x07 \u009b é\x00"
	if n, err := (plain{&b}).Write([]byte(in)); n != len(in) || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if want := "a\tb\n?[31mred? ? é?"; b.String() != want {
		t.Errorf("got %q, want %q", &b, want)
	}
}

// Progress is for somebody who watches, and for nobody else.
func TestProgress(t *testing.T) {
	for live, want := range map[bool]string{true: "Place both thumbs.\n", false: ""} {
		var out, stderr strings.Builder
		c := &console{out: &out, err: &stderr, live: live}
		c.progress("%s", "Place both thumbs.")
		if out.String() != "" || stderr.String() != want {
			t.Errorf("live %v: got %q and %q", live, &out, &stderr)
		}
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if newConsole(file, file).live {
		t.Error("a file was taken for a terminal")
	}
}

func TestExitCodes(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: errors.New("refused")}
	tests := map[string]struct {
		err  error
		code int
		hint bool
	}{
		"anything":         {io.ErrUnexpectedEOF, exitFailed, false},
		"usage":            {usagef("--x"), exitUsage, true},
		"parsing":          {usageError(&kong.ParseError{}), exitUsage, true},
		"no device":        {noDevice("look", "none"), exitNoDevice, true},
		"nothing listens":  {fmt.Errorf("CAPTURE: %w", refused), exitNoDevice, true},
		"connection lost":  {&net.OpError{Op: "read", Err: errors.New("reset")}, exitFailed, false},
		"the device":       {fmt.Errorf("CAPTURE: %w", &client.Error{Code: 111}), exitDevice, true},
		"a maker's code":   {&client.Error{Code: 700}, exitDevice, false},
		"not verified":     {unverified(1, 2), exitVerification, true},
		"wrapped, no less": {fmt.Errorf("so: %w", unverified(1, 2)), exitVerification, true},
	}
	for name, tt := range tests {
		if code, hint := judge(tt.err); code != tt.code || (hint != "") != tt.hint {
			t.Errorf("%s: got %d, %q; want %d", name, code, hint, tt.code)
		}
	}
}

// Ctrl-C ends a command that waits for the device, and says no more than that.
func TestInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			return
		}
		if r.Method == "MOSIPDISC" {
			// e30 is the digital ID {}; the device is taken by its id.
			_, _ = io.WriteString(w, `[{"deviceId":"1","deviceStatus":"Ready","deviceSubId":["0"],"digitalId":"e30"}]`)
			return
		}
		interrupt()
		<-r.Context().Done()
		close(ended)
	}))
	defer server.Close()
	port := strconv.Itoa(server.Listener.Addr().(*net.TCPAddr).Port)
	var out, stderr strings.Builder
	code := run(ctx, []string{"capture", "--type", "Face", "--device", "1", "--port", port}, &console{out: &out, err: &stderr})
	if code != exitFailed || stderr.String() != "sbid: stopped\n" || out.String() != "" {
		t.Errorf("got %d, %q, %q", code, &stderr, &out)
	}
	<-ended
}
