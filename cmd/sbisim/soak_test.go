//go:build !race

// The race detector keeps memory of its own and makes each frame ten times
// slower; what is left behind shows without it.

package main

import (
	"bytes"
	"fmt"
	"image"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

const indexOnly = `{"env":"Developer","purpose":%q,"specVersion":"0.9.5","timeout":"20000","transactionId":"soak-1",
	"bio":[{"type":"Finger","count":"1","bioSubType":["Left IndexFinger"],"requestedScore":"1","deviceId":%q,"deviceSubId":%q}]}`

// What ten thousand captures and a thousand hang-ups leave behind: nothing.
func TestNothingIsLeftBehind(t *testing.T) {
	const captures, hangUps = 10_000, 1000
	s := start(t, "--frames", playedFrames(t, map[string]image.Image{"left-index": ridges(96, 128)}))
	registration := fmt.Sprintf(indexOnly, "Registration", "1", "1")
	auth := fmt.Sprintf(indexOnly, "Auth", "4", "0")
	capture := func(n int) {
		t.Helper()
		var both errgroup.Group
		for _, c := range []struct{ verb, url, body string }{
			{"RCAPTURE", s.registration, registration}, {"CAPTURE", s.auth, auth},
		} {
			both.Go(func() error {
				for range n / 2 {
					if _, answer := s.call(c.verb, c.url+"/capture", c.body); !bytes.Contains(answer, []byte(`"errorCode":"0"`)) {
						return fmt.Errorf("%s: %.200s", c.verb, answer)
					}
				}
				return nil
			})
		}
		if err := both.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	hangUp := func(n int) {
		t.Helper()
		// Nobody is on the scanner, so that the capture goes on until its client leaves.
		s.control("scanner", `{"type":"Finger","present":false}`)
		for range n {
			conn, err := net.Dial("tcp4", strings.TrimPrefix(s.auth, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "CAPTURE /capture HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", conn.RemoteAddr(), len(auth), auth)
			s.awaitFinger("Busy")
			conn.Close()
			s.awaitFinger("Ready")
		}
		s.control("scanner", `{"type":"Finger","present":true}`)
	}

	capture(captures / 10)
	hangUp(hangUps / 10)
	before := footprint(t)
	capture(captures - captures/10)
	hangUp(hangUps - hangUps/10)
	after := footprint(t)
	t.Logf("before %+v, after %+v", before, after)
	if after.goroutines > before.goroutines {
		t.Errorf("goroutines: %d before, %d after", before.goroutines, after.goroutines)
	}
	if after.descriptors > before.descriptors {
		t.Errorf("descriptors: %d before, %d after", before.descriptors, after.descriptors)
	}
	const slack = 4 << 20 // bytes; a leak of one small record a capture would be 70 MB
	if after.heap > before.heap+slack {
		t.Errorf("heap: %d bytes before, %d after", before.heap, after.heap)
	}
	if after.resident > before.resident+8*slack {
		t.Errorf("resident memory: %d bytes before, %d after", before.resident, after.resident)
	}
}

// awaitFinger polls until the auth finger device says it has the status.
func (s *sim) awaitFinger(status string) {
	s.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		_, answer := s.call("MOSIPDISC", s.auth+"/device", `{"type":"Finger"}`)
		if bytes.Contains(answer, []byte(`"deviceStatus":"`+status+`"`)) {
			return
		}
	}
	s.t.Fatalf("the finger device is not %s after 10 s", status)
}

type resources struct {
	goroutines, descriptors int
	heap, resident          uint64 // bytes
}

// footprint says what the process holds once it has come to rest.
func footprint(t *testing.T) resources {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	var r resources
	deadline := time.Now().Add(10 * time.Second)
	for r.goroutines = 1 << 30; time.Now().Before(deadline); {
		debug.FreeOSMemory()
		n := runtime.NumGoroutine()
		if n >= r.goroutines {
			break // as few as it gets
		}
		r.goroutines = n
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r.heap = m.HeapAlloc
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		r.descriptors = len(entries)
	}
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				kb, err := strconv.ParseUint(strings.Fields(value)[0], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				r.resident = kb << 10
			}
		}
	}
	return r
}
