package sbi

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"sbid/capture"
	"sbid/driver"
)

// gone is a scanner that cannot be opened: what passes all checks fails at
// once.
type gone struct{ *fake }

func (gone) Open(context.Context, string) (driver.Scanner, error) { return nil, driver.ErrRemoved }

// fuzzed returns a function that sends a body to a server with a device of
// every modality and returns the answer, which is well-formed JSON.
func fuzzed(f *testing.F, purpose Purpose, verb, path string) func(*testing.T, []byte) []byte {
	f.Helper()
	var devices []*Device
	for i, info := range []driver.Info{
		{Serial: "FINGER000001", Modality: driver.Finger, Sensors: []driver.Sensor{driver.Left, driver.Right, driver.Both}},
		{Serial: "IRIS00000001", Modality: driver.Iris, Sensors: []driver.Sensor{driver.Left, driver.Right, driver.Both}},
		{Serial: "FACE00000001", Modality: driver.Face, Sensors: []driver.Sensor{driver.Single}},
		{Serial: "SINGLE000001", Modality: driver.Finger, Sensors: []driver.Sensor{driver.Single}},
	} {
		drv := gone{&fake{info: info}}
		devices = append(devices, &Device{
			ID: strconv.Itoa(i + 1), Scanner: capture.NewScanner(drv, info), Serial: info.Serial, Level: "L0", Purpose: purpose,
			Encryption: fixed(certificate(f, farFuture)),
		})
	}
	s := bareRig(f, purpose, devices...).Server
	id := identity(f, farFuture)
	for _, d := range devices {
		if err := s.SetKeys(d, &Keys{Device: id, DigitalID: id}); err != nil {
			f.Fatal(err)
		}
	}
	for _, sub := range []string{"0", "1", "2", "3"} {
		f.Add([]byte(`{"deviceId":"1","deviceSubId":"` + sub + `","timeout":"10000","type":"Finger"}`))
		f.Add([]byte(strings.ReplaceAll(captureRequestBody(purpose, 500e6, 40), `"deviceSubId":"0"`, `"deviceSubId":`+sub)))
	}
	f.Add([]byte(`{"type":"Biometric Device"}`))
	f.Add([]byte(`{"env":null,"purpose":"` + string(purpose) + `","specVersion":"0.9.5","timeout":1e9,"transactionId":"aaaa","domainUri":null,
		"bio":[{"type":"Face","count":"1","bioSubType":["null",null],"exception":["Left",null],"requestedScore":"","deviceId":3,
		"deviceSubId":0,"previousHash":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}`))
	f.Add([]byte("{\"bio\":[{}],\"env\":\"\xff\"}"))
	f.Add([]byte{})
	return func(t *testing.T, body []byte) []byte {
		r := httptest.NewRequest(verb, "http://127.0.0.1:4501"+path, bytes.NewReader(body))
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code != 200 || !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%d %q", w.Code, w.Body)
		}
		return w.Body.Bytes()
	}
}

// strict decodes an answer that has no member too many.
func strict[T any](t *testing.T, answer []byte) T {
	t.Helper()
	var v T
	dec := json.NewDecoder(bytes.NewReader(answer))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil || dec.More() {
		t.Fatalf("%v in %q", err, answer)
	}
	return v
}

// mustFail fails the test unless e is an error, and no bug.
func (e errorInfo) mustFail(t *testing.T) {
	t.Helper()
	code, err := strconv.Atoi(e.Code)
	if err != nil || code < 100 || code > 599 || e.Info != Code(code).Text("") || Code(code) == Internal {
		t.Fatalf("error %+v", e)
	}
}

func FuzzDiscover(f *testing.F) {
	send := fuzzed(f, Registration, "MOSIPDISC", "/device")
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, entry := range strict[[]discoveryEntry](t, send(t, body)) {
			if entry.DeviceID == "" {
				entry.Error.mustFail(t)
			} else if entry.Error != (errorInfo{"0", "Success"}) || entry.DeviceStatus != StatusReady {
				t.Fatalf("entry %+v", entry)
			}
		}
	})
}

func FuzzInfo(f *testing.F) {
	send := fuzzed(f, Registration, "MOSIPDINFO", "/info")
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > maxBody {
			return
		}
		entries := strict[[]struct {
			DeviceInfo string    `json:"deviceInfo"`
			Error      errorInfo `json:"error"`
		}](t, send(t, body))
		if len(entries) != 4 || entries[3].Error != (errorInfo{"0", "Success"}) || strings.Count(entries[3].DeviceInfo, ".") != 2 {
			t.Fatalf("%d entries", len(entries))
		}
	})
}

func fuzzCapture(f *testing.F, purpose Purpose, verb string) {
	send := fuzzed(f, purpose, verb, "/capture")
	f.Fuzz(func(t *testing.T, body []byte) {
		all := strict[captureAnswer](t, send(t, body)).Biometrics
		if len(all) != 1 {
			t.Fatalf("%d elements", len(all))
		}
		all[0].Error.mustFail(t)
		if all[0] != (biometric{SpecVersion: specVersion, Error: all[0].Error}) {
			t.Fatalf("element %+v", all[0])
		}
	})
}

func FuzzCapture(f *testing.F) { fuzzCapture(f, Auth, "CAPTURE") }

func FuzzRegistrationCapture(f *testing.F) { fuzzCapture(f, Registration, "RCAPTURE") }

func FuzzStream(f *testing.F) {
	send := fuzzed(f, Registration, "STREAM", "/stream")
	f.Fuzz(func(t *testing.T, body []byte) {
		strict[struct {
			Error errorInfo `json:"error"`
		}](t, send(t, body)).Error.mustFail(t)
	})
}

// A text in some language comes out, whatever the header.
func FuzzAcceptLanguage(f *testing.F) {
	for _, header := range []string{"", "fr", "fr-CA,fr;q=0.9,en;q=0.8", "x-private", "*;q=0", "\xff,\x00"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		text := Busy.Text(header)
		if text != texts[Busy].english && text != texts[Busy].french {
			t.Fatalf("%q", text)
		}
	})
}

// What is allowed is on the list or the service's own page, and nothing that
// only looks like it.
func FuzzOrigins(f *testing.F) {
	for _, origin := range []string{"https://a.example.org", "https://portal.test:8443", "http://127.0.0.1:4501", "null", "*",
		"https://evil.test/.example.org", "https://u@a.example.org", "HTTPS://A.EXAMPLE.ORG", "https://*.example.org", "https://[::1]:4501"} {
		f.Add(origin)
	}
	list, err := ParseOrigins([]string{"https://*.example.org", "https://portal.test:8443"}, false)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		if list.Allows(origin) {
			u, err := url.Parse(strings.ToLower(origin))
			if err != nil {
				t.Fatalf("%q is no URL", origin)
			}
			own := u.Scheme == "http" && (u.Hostname() == "127.0.0.1" || u.Hostname() == "localhost") && u.Port() >= "4501" && u.Port() <= "4600"
			listed := u.Scheme == "https" && (u.Host == "portal.test:8443" || strings.HasSuffix(u.Host, ".example.org") && u.Port() == "")
			if !own && !listed || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
				t.Fatalf("%q is allowed", origin)
			}
		}
		parsed, err := ParseOrigins([]string{origin}, false)
		if err != nil {
			return
		}
		if origin == "*" {
			t.Fatal("* was accepted for real scanners")
		}
		if exact := !strings.Contains(origin, "*"); exact && !parsed.Allows(origin) {
			t.Fatalf("%q does not allow itself", origin)
		}
		if parsed.Allows("https://evil.invalid") && strings.ToLower(origin) != "https://evil.invalid" && !strings.HasSuffix(origin, ".invalid") {
			t.Fatalf("%q allows a stranger", origin)
		}
	})
}
