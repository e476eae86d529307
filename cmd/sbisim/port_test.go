package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sbid/attest/developer"
)

func TestOnlyLoopbackIsBound(t *testing.T) {
	t.Parallel()
	s := idle(t)
	_, port, found := strings.Cut(strings.TrimPrefix(s.registration, "http://"), ":")
	if !found {
		t.Fatal(s.registration)
	}
	hosts := []string{"127.0.0.2", "::1"} // on some systems all of 127 is loopback
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.Equal(net.IPv4(127, 0, 0, 1)) {
			hosts = append(hosts, ip.IP.String())
		}
	}
	for _, host := range hosts {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), time.Second)
		if err != nil {
			continue
		}
		conn.Close()
		// Somebody else may have that port on another address; it must not be us.
		request, err := http.NewRequestWithContext(t.Context(), "MOSIPDISC", "http://"+net.JoinHostPort(host, port)+"/device", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(request)
		if err == nil {
			resp.Body.Close()
			if resp.Header.Get("Location") == s.registration {
				t.Errorf("answers on %s", host)
			}
		}
	}
}

func TestNoFreePortIsAClearError(t *testing.T) {
	t.Parallel()
	first := freePorts(t, 2)
	hold(t, first)
	state := newState(t)
	for ports, want := range map[string]string{
		fmt.Sprintf("%d-%d", first, first):   fmt.Sprintf("no port from %d to %d of 127.0.0.1 is free", first, first),
		fmt.Sprintf("%d", first):             fmt.Sprintf("no port from %d to %d of 127.0.0.1 is free", first, first),
		fmt.Sprintf("%d-%d", first, first+1): "stop one of them or choose other ports", // one for two endpoints
		"4600-4501":                          "write them like 4501-4600",
		"0-10":                               "write them like 4501-4600",
		"4501-65536":                         "write them like 4501-4600",
		"all":                                "write them like 4501-4600",
	} {
		err := run(t.Context(), []string{"--state-dir", state, "--ports", ports}, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ports %s: %v, want an error with %q", ports, err, want)
		}
	}
	// What was bound or locked on the way is free again.
	hold(t, first+1)
	set, err := developer.Open(state, "sbid developer", nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
}

func TestSecondProcessOnAStateIsRefused(t *testing.T) {
	t.Parallel()
	s := idle(t)
	err := run(t.Context(), []string{"--state-dir", s.state}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), s.state) {
		t.Errorf("got %v", err)
	}
}

// Whatever comes over the port, the service goes on.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	s := idle(t)
	host := strings.TrimPrefix(s.registration, "http://")
	head := "MOSIPDISC /device HTTP/1.1\r\nHost: " + host + "\r\n"
	for name, tt := range map[string]struct{ text, want string }{
		"garbage":                {"\x16\x03\x01\x02\x00\x01\x00", "HTTP/1.1 400 "},
		"no HTTP":                {"HELO sbisim\r\n\r\n", "HTTP/1.1 400 "},
		"no host":                {"MOSIPDISC /device HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
		"two hosts":              {head + "Host: evil.example\r\n\r\n", "HTTP/1.1 400 "},
		"old and no host":        {"MOSIPDISC /device HTTP/1.0\r\n\r\n", "HTTP/1.0 403 "},
		"old":                    {"MOSIPDISC /device HTTP/1.0\r\nHost: " + host + "\r\n\r\n", "HTTP/1.0 200 "},
		"strange host":           {"MOSIPDISC /device HTTP/1.1\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 403 "},
		"strange host in target": {"MOSIPDISC http://evil.example/device HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "HTTP/1.1 403 "},
		"huge header":            {head + "X: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "HTTP/1.1 431 "},
		"many headers":           {head + strings.Repeat("X: y\r\n", 16<<10) + "\r\n", "HTTP/1.1 431 "},
		"huge target":            {"MOSIPDISC /" + strings.Repeat("x", 64<<10) + " HTTP/1.1\r\n", "HTTP/1.1 431 "},
		"tunnel":                 {"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", "HTTP/1.1 403 "},
		"upgrade":                {head + "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "HTTP/1.1 200 "},
		"length that is none":    {head + "Content-Length: -1\r\n\r\n", "HTTP/1.1 400 "},
		"two lengths":            {head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "HTTP/1.1 400 "},
		"bad chunks":             {head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 200 "},
		"length and chunks":      {head + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", "HTTP/1.1 200 "},
		"other path":             {"MOSIPDISC /devices HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "HTTP/1.1 404 "},
		"path with dots":         {"MOSIPDISC /x/../device HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "HTTP/1.1 307 "},
		// Each answer is the last of its connection: nothing behind it is looked at.
		"pipelined": {head + "\r\n" + strings.Repeat(head+"\r\n", 50), "HTTP/1.1 200 "},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.in(t).dial(s.registration, "")
			go func() { _, _ = io.WriteString(c, tt.text) }() // what is refused need not be read
			answer, err := io.ReadAll(c.in)
			if err != nil && len(answer) == 0 {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(answer, []byte(tt.want)) {
				t.Errorf("answer %.200q, want %s", answer, tt.want)
			}
			if n := bytes.Count(answer, []byte("HTTP/1.")); n != 1 {
				t.Errorf("%d answers", n)
			}
		})
	}
	same(t, "devices", len(s.discover(s.registration, "Biometric Device")), 3)
}

func TestBodyHasALimit(t *testing.T) {
	t.Parallel()
	s := deserted(t)
	pad := func(n int) string { return `{"type":"Iris","pad":"` + strings.Repeat("x", n) + `"}` }
	edge := 64<<10 - len(pad(0))
	_, body := s.call("MOSIPDISC", s.registration+"/device", pad(edge))
	same(t, "devices with the longest body", len(parse[[]object](t, body)), 1)
	_, body = s.call("MOSIPDISC", s.registration+"/device", pad(edge+1))
	same(t, "answer to a longer one", parse[[]object](t, body)[0]["error"].(object)["errorCode"], any("500"))

	// Much more than that is not even read.
	const announced = 1 << 30
	host := strings.TrimPrefix(s.registration, "http://")
	c := s.dial(s.registration, fmt.Sprintf("RCAPTURE /capture HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", host, announced))
	sent := make(chan int64, 1)
	go func() {
		n, _ := io.CopyN(c, endless{}, announced) // until the connection is closed
		sent <- n
	}()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	same(t, "status", resp.StatusCode, http.StatusOK)
	if n := <-sent; n > 64<<20 {
		t.Errorf("the service took %d bytes", n)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// An end that comes while everything is under way.
func TestEndDuringStreamAndCapture(t *testing.T) {
	t.Parallel()
	first := freePorts(t, 2) // which no other test takes when they are free again
	s := start(t, "--ports", fmt.Sprintf("%d-%d", first, first+1))
	s.control("scanner", `{"type":"Biometric Device","present":false}`)
	v := s.stream(leftSlap)
	v.frame()
	capturing, auth := s.begin(leftIris, "timeout", "300000"), s.begin(authFace, "timeout", "300000")
	s.awaitStatus(leftIris, "Busy")
	s.awaitStatus(authFace, "Busy")
	begin := time.Now()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	limit := 2 * time.Second
	if raceDetector {
		limit = 8 * time.Second // a frame under way is still looked at
	}
	if took := time.Since(begin); took > limit {
		t.Errorf("the end took %v", took)
	}
	v.rest()
	capturing.answer().wantCode("registration capture", "502")
	auth.answer().wantCode("auth capture", "502")
	set, err := developer.Open(s.state, "sbid developer", nil, time.Now())
	if err != nil {
		t.Fatalf("the state directory is still locked: %v", err)
	}
	if err := set.Close(); err != nil {
		t.Error(err)
	}
	if _, err := net.DialTimeout("tcp", strings.TrimPrefix(s.registration, "http://"), time.Second); err == nil {
		t.Error("the port is still bound")
	}
}

// The process itself, ended by the signal that service managers send.
func TestTerminatedProcessEndsWell(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "--state-dir", newState(t), "--log-format", "json")
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var registration, auth string
	if _, err := fmt.Fscanf(out, "ready Registration %s\nready Auth %s\n", &registration, &auth); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	s := &sim{t: t, registration: strings.TrimSuffix(registration, "/"), auth: strings.TrimSuffix(auth, "/")}
	v := s.stream(leftIris)
	v.frame()
	begin := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	v.rest()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log.String())
	}
	if took := time.Since(begin); took > 2*time.Second && !raceDetector {
		t.Errorf("the end took %v", took)
	}
	jsonLines(t, log.String())
}

// jsonLines fails the test unless every line of a log is a JSON object with
// time, level and message.
func jsonLines(t *testing.T, log string) {
	t.Helper()
	if log == "" {
		t.Error("the log is empty")
	}
	for line := range strings.Lines(log) {
		var entry struct {
			Time  time.Time `json:"time"`
			Level string    `json:"level"`
			Msg   string    `json:"msg"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time.IsZero() || entry.Level == "" || entry.Msg == "" {
			t.Errorf("log line %q: %v", line, err)
		}
	}
}

// Long runs of base64 or hex: an image, a record, a key, a hash.
var blob = regexp.MustCompile(`[A-Za-z0-9_-]{60,}|[A-Za-z0-9+]{60,}|(?:[A-Za-z0-9+]{20,}/){3,}`)

// The log tells of captures, streams and refusals, and of nothing that
// identifies a person.
func TestLogHoldsNoBiometrics(t *testing.T) {
	t.Parallel()
	if !blob.Match(takenAuthIris(t).body) || !blob.MatchString(strings.Repeat("0f", 32)) {
		t.Fatal("this test finds no biometrics")
	}
	for _, format := range []string{"text", "json"} {
		s := start(t, "--log-format", format)
		for _, sc := range []scene{leftIris, authFinger} {
			all := s.capture(sc).elements()
			if log := s.log.String(); !strings.Contains(log, "captured") {
				t.Errorf("the log does not tell of the capture:\n%s", log)
			} else if strings.Contains(log, all[0].wire["hash"].(string)) {
				t.Error("the log has the hash of a record")
			}
		}
		v := s.stream(leftIris)
		v.frame()
		s.control("scanner", `{"type":"Iris","plugged":false}`)
		v.rest()
		for _, b := range bad() {
			s.call(b.verb, s.auth+b.path, b.body)
		}
		secret := strings.Repeat("Qk1FWklJUgAwMjA", 10)
		s.capture(leftSlap, "transactionId", secret).wantCode("secret in the transaction id", "112")
		s.capture(leftSlap, "bio.deviceId", secret).wantCode("secret in the device id", "106")
		s.capture(leftSlap, "env", secret).wantCode("secret in env", "500")
		s.capture(leftSlap, "timeout", secret).wantCode("secret in timeout", "500")
		s.capture(leftSlap, "bio.previousHash", secret).wantCode("secret in the hash", "500")
		s.call("MOSIPDISC", s.auth+"/device", `{"type":"`+secret+`"}`)
		s.call("MOSIPDISC", s.auth+"/device", `{"type":`+secret+`}`)
		s.call("RCAPTURE", s.registration+"/capture", `{"bio":[{"count":{"`+secret+`":1}}]}`)
		s.call("RCAPTURE", s.registration+"/"+secret, nil)
		long := "https://" + strings.Repeat("a.", 4<<10) + "example"
		s.call("MOSIPDISC", s.auth+"/device", nil, "Origin", long)
		log := strings.ReplaceAll(s.log.String(), filepath.ToSlash(s.state), "STATE")
		if found := blob.FindString(log); found != "" {
			t.Errorf("the log has %q:\n%s", found, log)
		}
		if strings.Contains(log, long[:500]) {
			t.Error("the log has all of what a stranger wrote")
		}
		if format == "json" {
			jsonLines(t, log)
		}
	}
}
