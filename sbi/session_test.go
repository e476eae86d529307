package sbi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sbid/driver"
)

const streamBody = `{"deviceId":"1","deviceSubId":"0"%s}`

func TestStreamLastsAsLongAsAsked(t *testing.T) {
	for more, want := range map[string]time.Duration{
		``:                    5 * time.Minute,
		`,"timeout":"1500"`:   1500 * time.Millisecond,
		`,"timeout":60000`:    time.Minute,
		`,"timeout":""`:       5 * time.Minute,
		`,"timeout":"600000"`: 10 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			const interval = 4 * time.Second
			r := newRig(t, Registration, newFake(every(interval, emptyGlass()))).run()
			begin := time.Now()
			frames := r.send("STREAM", "/stream", fmt.Sprintf(streamBody, more)).frames()
			if took := time.Since(begin); took != want || frames < int(want/interval) {
				t.Errorf("%q: %d frames in %v, want %v", more, frames, took, want)
			}
			if status, _ := r.status(); status != StatusReady {
				t.Errorf("%q: %s after the stream", more, status)
			}
		})
	}
}

// A client that stops reading loses its stream, and nobody else anything.
func TestSlowReaderHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Registration, newFake(every(100*time.Millisecond, ridges()))).run()
		stream := r.send("STREAM", "/stream", fmt.Sprintf(streamBody, ""))
		if _, err := http.ReadResponse(stream.in, nil); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if code := codeOf(t, r.call("RCAPTURE", "/capture", captureRequestBody(Registration, time.Minute, 1))); code != "0" {
			t.Errorf("capture: error %s", code)
		}
		if took := time.Since(begin); took > 200*time.Millisecond {
			t.Errorf("the capture took %v", took)
		}
		for range 3 { // captures go on, stream or not
			r.call("RCAPTURE", "/capture", captureRequestBody(Registration, time.Minute, 1))
		}
		time.Sleep(writeTime + time.Second)
		if _, err := io.Copy(io.Discard, stream.in); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("end of the stream: %v", err)
		}
		if status, _ := r.status(); status != StatusReady {
			t.Errorf("%s after the stream", status)
		}
	})
}

func TestSlowRequestIsCutOff(t *testing.T) {
	const head = " HTTP/1.1\r\nHost: 127.0.0.1:4501\r\n"
	for name, text := range map[string]string{
		"half a head":               "RCAPTURE /capture HTTP/1.1\r\nHost: 127.",
		"no body":                   "RCAPTURE /capture" + head + "Content-Length: 10\r\n\r\n",
		"half a body":               "MOSIPDISC /device" + head + "Content-Length: 20\r\n\r\n{\"type\":",
		"chunks without an end":     "STREAM /stream" + head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
		"no body to no path":        "POST /nothing" + head + "Content-Length: 10\r\n\r\n",
		"no body from a stranger":   "RCAPTURE /capture" + head + "Origin: https://evil.example\r\nContent-Length: 10\r\n\r\n",
		"no body to a preflight":    "OPTIONS /capture" + head + "Content-Length: 10\r\n\r\n",
		"no body to a page of ours": "POST /page" + head + "Content-Length: 10\r\n\r\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Registration, newFake(every(time.Second, emptyGlass())))
			page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, err := io.ReadAll(r.Body); err != nil {
					w.WriteHeader(http.StatusBadRequest)
				}
			})
			r.Server = NewServer(Config{Purpose: Registration, Log: r.cfg.Log, Extra: map[string]http.Handler{"POST /page": page}}, r.line)
			r.run()
			begin := time.Now()
			c := r.dial(text)
			answer, err := io.ReadAll(c.in)
			if took := time.Since(begin); err != nil || took > 2*readTime {
				t.Errorf("%s: the connection was closed after %v (%v)", name, took, err)
			}
			if name != "half a head" && !bytes.HasPrefix(answer, []byte("HTTP/1.1 ")) {
				t.Errorf("%s: answer %q", name, answer)
			}
		})
	}
}

// reluctant lets go of the scanner some time after it is told to.
func reluctant(after time.Duration) func(context.Context, func(driver.Frame, error) bool) {
	return func(ctx context.Context, yield func(driver.Frame, error) bool) {
		yield(driver.Frame{Image: emptyGlass(), DPI: 500}, nil)
		<-ctx.Done()
		time.Sleep(after)
	}
}

// letGo waits for the driver, as an answer does not.
func letGo(t *testing.T, r *rig) {
	t.Helper()
	if err := r.device.Scanner.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestHangUpFreesTheScannerAtOnce(t *testing.T) {
	for _, verb := range []string{"RCAPTURE", "STREAM"} {
		synctest.Test(t, func(t *testing.T) {
			drv := newFake(reluctant(900 * time.Millisecond))
			r := newRig(t, Registration, drv).run()
			path, body := "/stream", fmt.Sprintf(streamBody, "")
			if verb == "RCAPTURE" {
				path, body = "/capture", captureRequestBody(Registration, time.Minute, 1)
			}
			gone := r.send(verb, path, body)
			if verb == "STREAM" {
				if _, err := http.ReadResponse(gone.in, nil); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if status, code := r.status(); status != StatusBusy || code != "111" {
				t.Errorf("%s: %s, %s", verb, status, code)
			}
			gone.Close()
			synctest.Wait()
			if status, _ := r.status(); status != StatusReady {
				t.Errorf("%s: %s right after the hang-up", verb, status)
			}
			// Whoever comes next waits for the driver, and is not refused.
			begin := time.Now()
			if code := codeOf(t, r.call("RCAPTURE", "/capture", captureRequestBody(Registration, time.Second, 1))); code != "101" {
				t.Errorf("%s: next capture: error %s", verb, code)
			}
			if took := time.Since(begin); took < time.Second || took > 3*time.Second {
				t.Errorf("%s: next capture took %v", verb, took)
			}
			if drv.twice.Load() {
				t.Errorf("%s: the scanner was opened twice at a time", verb)
			}
			letGo(t, r)
		})
	}
}

// A driver that breaks its contract costs its own scanner only, which is busy
// until the contract's time is over and not ready from then on.
func TestDriverThatDoesNotLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Registration, newFake(reluctant(time.Minute))).run()
		gone := r.send("RCAPTURE", "/capture", captureRequestBody(Registration, time.Minute, 1))
		synctest.Wait()
		gone.Close()
		for _, call := range [][4]string{
			{"RCAPTURE", "/capture", captureRequestBody(Registration, time.Minute, 1), "111"},
			{"STREAM", "/stream", fmt.Sprintf(streamBody, ""), "110"},
		} {
			begin := time.Now()
			code := codeOf(t, r.call(call[0], call[1], call[2]))
			if took := time.Since(begin); code != call[3] || took > 6*time.Second {
				t.Errorf("%s: error %s after %v", call[0], code, took)
			}
		}
		time.Sleep(time.Minute)
		if code := codeOf(t, r.call("RCAPTURE", "/capture", captureRequestBody(Registration, time.Second, 1))); code != "101" {
			t.Errorf("after it let go: error %s", code)
		}
		letGo(t, r)
	})
}

func TestCaptureEndsWithItsTimeout(t *testing.T) {
	for name, tt := range map[string]struct {
		frames func(context.Context, func(driver.Frame, error) bool)
		score  int
		code   string
		took   time.Duration
	}{
		"nothing there":        {every(66*time.Millisecond, emptyGlass()), 1, "101", 500 * time.Millisecond},
		"no frame at all":      {func(ctx context.Context, _ func(driver.Frame, error) bool) { <-ctx.Done() }, 1, "101", 500 * time.Millisecond},
		"below the score":      {every(66*time.Millisecond, ridges()), 100, "0", 500 * time.Millisecond},
		"the score is reached": {every(66*time.Millisecond, ridges()), 1, "0", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Registration, newFake(tt.frames)).run()
			begin := time.Now()
			code := codeOf(t, r.call("RCAPTURE", "/capture", captureRequestBody(Registration, 500*time.Millisecond, tt.score)))
			if took := time.Since(begin); code != tt.code || took != tt.took {
				t.Errorf("%s: error %s after %v, want %s after %v", name, code, took, tt.code, tt.took)
			}
		})
	}
}

// Several fingers share the time: one that never gets good leaves some to the
// next.
func TestRoundsShareTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Auth, newFake(every(100*time.Millisecond, ridges()))).run()
		body := strings.Replace(captureRequestBody(Auth, 3*time.Second, 100), `"count":1`, `"count":3`, 1)
		begin := time.Now()
		answer := r.call("CAPTURE", "/capture", body)
		if n, took := bytes.Count(answer, []byte(`"data"`)), time.Since(begin); n != 3 || took < 3*time.Second || took > 3300*time.Millisecond {
			t.Errorf("%d fingers after %v: %.200s", n, took, answer)
		}
	})
}

// An end of the service ends what is under way, and tells the clients.
func TestRunEndsEverythingInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Registration, newFake(every(100*time.Millisecond, emptyGlass())))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		stuck := r.send("STREAM", "/stream", fmt.Sprintf(streamBody, ""))
		if _, err := http.ReadResponse(stuck.in, nil); err != nil { // and nothing more
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		asked := r.send("RCAPTURE", "/capture", captureRequestBody(Registration, time.Minute, 1))
		half := r.dial("RCAPTURE /capture HTTP/1.1\r\n")
		time.Sleep(time.Second)
		begin := time.Now()
		stop()
		if code := codeOf(t, asked.answer()); code != "502" {
			t.Errorf("the capture under way: error %s", code)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("ended after %v", took)
		}
		if _, err := half.in.ReadByte(); err == nil {
			t.Error("half a request was answered")
		}
	})
}
