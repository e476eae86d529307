package sbi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sbid/attest"
	"sbid/capture"
	"sbid/driver"
)

// What goes wrong below this package, as a client sees it.
func TestCauseBecomesCode(t *testing.T) {
	empty := every(100*time.Millisecond, emptyGlass())
	finger := every(100*time.Millisecond, ridges())
	for name, tt := range map[string]struct {
		frames  func(context.Context, func(driver.Frame, error) bool)
		prepare func(*testing.T, *rig)
		purpose Purpose
		code    string
	}{
		"success":                   {frames: finger, code: "0"},
		"never registered":          {frames: finger, code: "100", prepare: unregister},
		"nobody there":              {frames: empty, code: "101"},
		"unusable":                  {frames: failing(fmt.Errorf("look: %w", capture.ErrUnusable)), code: "102"},
		"tampered with":             {frames: failing(fmt.Errorf("read: %w", driver.ErrTampered)), code: "103"},
		"no management server":      {frames: failing(attest.ErrManagementServer), code: "104"},
		"turned":                    {frames: failing(fmt.Errorf("look: %w", capture.ErrOrientation)), code: "105"},
		"another device":            {frames: finger, code: "106", prepare: func(_ *testing.T, r *rig) { r.device.ID, r.device.Serial = "2", "OTHER0000001" }},
		"device certificate over":   {frames: finger, code: "107", prepare: expired},
		"no encryption certificate": {frames: finger, purpose: Auth, code: "108", prepare: func(_ *testing.T, r *rig) { r.device.Encryption = nil }},
		"encryption certificate over": {frames: finger, purpose: Auth, code: "108", prepare: func(t *testing.T, r *rig) {
			r.device.Encryption = fixed(certificate(t, time.Now().Add(-time.Second)))
		}},
		"warming up":            {frames: failing(driver.ErrNotReady), code: "110"},
		"absent":                {frames: finger, code: "110", prepare: func(_ *testing.T, r *rig) { r.device.Scanner.SetPresent(false) }},
		"claimed to be busy":    {frames: finger, code: "111", prepare: func(_ *testing.T, r *rig) { r.device.SetStatus(StatusBusy) }},
		"unplugged":             {frames: failing(driver.ErrRemoved), code: "501"},
		"key cannot be reached": {frames: finger, code: "503", prepare: brokenKey(attest.ErrNoKey)},
		"signing fails":         {frames: finger, code: "503", prepare: brokenKey(errors.New("out of paper"))}, // a TPM that is away or busy has no error of ours
		"signing panics":        {frames: finger, code: "599", prepare: brokenKey(nil)},                        // and this is a bug
		"key lost":              {frames: failing(fmt.Errorf("fetch: %w", attest.ErrKeyLost)), code: "503"},
		"held":                  {frames: failing(fmt.Errorf("%w: fprintd", driver.ErrHeld)), code: "111"},
		"driver fails":          {frames: failing(errors.New("pipe burst")), code: "599"},
		"driver stops":          {frames: func(context.Context, func(driver.Frame, error) bool) {}, code: "599"},
		"driver panics":         {frames: func(context.Context, func(driver.Frame, error) bool) { panic("driver") }, code: "599"},
	} {
		synctest.Test(t, func(t *testing.T) {
			if tt.purpose == "" {
				tt.purpose = Registration
			}
			r := newRig(t, tt.purpose, newFake(tt.frames))
			if tt.prepare != nil {
				tt.prepare(t, r)
			}
			r.run()
			verb := map[Purpose]string{Registration: "RCAPTURE", Auth: "CAPTURE"}[tt.purpose]
			for range 2 { // the service survives it
				if code := codeOf(t, r.call(verb, "/capture", captureRequestBody(tt.purpose, time.Second, 1))); code != tt.code {
					t.Errorf("%s: error %s, want %s\n%s", name, code, tt.code, r.log)
				}
			}
		})
	}
}

func unregister(t *testing.T, r *rig) {
	t.Helper()
	if err := r.SetKeys(r.device, nil); err != nil {
		t.Fatal(err)
	}
}

// expired gives the device a certificate that was valid until a second ago.
func expired(t *testing.T, r *rig) {
	t.Helper()
	id := identity(t, time.Now().Add(-time.Second))
	if err := r.SetKeys(r.device, &Keys{Device: id, DigitalID: id}); err != nil {
		t.Fatal(err)
	}
}

// brokenKey gives the device a key that soon fails, or panics if err is nil.
func brokenKey(err error) func(*testing.T, *rig) {
	return func(t *testing.T, r *rig) {
		t.Helper()
		broken := false
		key := signer{benchKey(), func() error {
			if broken && err == nil {
				panic("the key is a potato")
			}
			if broken {
				return err
			}
			return nil
		}}
		id := identityOf(t, key, time.Now().AddDate(1, 0, 0))
		if err := r.SetKeys(r.device, &Keys{Device: id, DigitalID: id}); err != nil {
			t.Fatal(err)
		}
		broken = true
	}
}

// A stream that cannot begin is an error; one that cannot go on says so in its
// last picture.
func TestStreamFails(t *testing.T) {
	for name, tt := range map[string]struct {
		frames func(context.Context, func(driver.Frame, error) bool)
		code   string // "" where there was a frame before
	}{
		"no frame in time": {func(ctx context.Context, _ func(driver.Frame, error) bool) { <-ctx.Done() }, "110"},
		"driver panics":    {func(context.Context, func(driver.Frame, error) bool) { panic("driver") }, "599"},
		"driver stops":     {func(context.Context, func(driver.Frame, error) bool) {}, "599"},
		"unplugged at once": {func(_ context.Context, yield func(driver.Frame, error) bool) {
			yield(driver.Frame{}, driver.ErrRemoved)
		}, "501"},
		"unplugged after frames": {sudden(driver.ErrRemoved), ""},
		"panic after frames":     {sudden(nil), ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Registration, newFake(tt.frames)).run()
			for range 2 {
				c := r.send("STREAM", "/stream", fmt.Sprintf(streamBody, ""))
				if tt.code == "" {
					if n := c.frames(); n < 4 || n > 6 {
						t.Errorf("%s: %d frames, want five and a message", name, n)
					}
				} else if code := codeOf(t, c.answer()); code != tt.code {
					t.Errorf("%s: error %s, want %s", name, code, tt.code)
				}
			}
			if status, _ := r.status(); status != StatusReady {
				t.Errorf("%s: %s afterwards", name, status)
			}
		})
	}
}

// sudden yields five pictures and then an error, or panics if it is nil.
func sudden(err error) func(context.Context, func(driver.Frame, error) bool) {
	return func(_ context.Context, yield func(driver.Frame, error) bool) {
		for range 5 {
			if !yield(driver.Frame{Image: emptyGlass(), DPI: 500}, nil) {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		if err == nil {
			panic("driver")
		}
		yield(driver.Frame{}, err)
	}
}

func TestNoDeviceIs202(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := bareRig(t, Registration).run()
		for _, call := range [][3]string{{"RCAPTURE", "/capture", captureRequestBody(Registration, time.Second, 1)}, {"STREAM", "/stream", fmt.Sprintf(streamBody, "")}} {
			if code := codeOf(t, r.call(call[0], call[1], call[2])); code != "202" {
				t.Errorf("%s: error %s", call[0], code)
			}
		}
		for _, call := range [][2]string{{"MOSIPDISC", "/device"}, {"MOSIPDINFO", "/info"}} {
			if answer := r.call(call[0], call[1], ""); string(answer) != "[]" {
				t.Errorf("%s: %s", call[0], answer)
			}
		}
	})
}

// A certificate that runs out while the service runs is noticed without a
// restart.
func TestCertificateRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Registration, newFake(every(time.Second, ridges()))).run()
		id := identity(t, time.Now().Add(time.Hour))
		if err := r.SetKeys(r.device, &Keys{Device: id, DigitalID: id}); err != nil {
			t.Fatal(err)
		}
		if status, code := r.status(); status != StatusReady || code != "0" {
			t.Errorf("before: %s, %s", status, code)
		}
		time.Sleep(time.Hour + time.Second)
		if status, code := r.status(); status != StatusNotReady || code != "107" {
			t.Errorf("after: %s, %s", status, code)
		}
		if answer := r.call("MOSIPDINFO", "/info", ""); !strings.HasPrefix(string(answer), `[{"deviceInfo":"","error":{"errorCode":"107",`) {
			t.Errorf("info: %.200s", answer)
		}
	})
}

// Each code has a text in each language. Two are compared letter by letter by
// clients, and the others tell people apart.
func TestEveryCodeHasTexts(t *testing.T) {
	fixed := []Code{Success, CountNotSupported}
	seen := map[string]Code{}
	for code := range texts {
		english, french := code.Text("en-GB,en;q=0.8"), code.Text("fr-CA")
		if english == "" || english == code.String() || french == "" {
			t.Errorf("code %s: %q, %q", code, english, french)
		}
		if (english == french) != slices.Contains(fixed, code) {
			t.Errorf("code %s: %q in both languages", code, english)
		}
		for _, other := range []string{"", "am", "*", "nonsense;;q", "ÿ"} {
			if got := code.Text(other); got != english {
				t.Errorf("code %s in %q: %q", code, other, got)
			}
		}
		if twin, there := seen[english]; there {
			t.Errorf("codes %s and %s have the same text", code, twin)
		}
		seen[english] = code
		if code != Success && (strings.Contains(english, "Success") || english != CountNotSupported.Text("") && len(english) > 80) {
			t.Errorf("code %s: %q", code, english)
		}
	}
	for _, c := range codes {
		if _, there := texts[c.code]; !there {
			t.Errorf("code %s has no text", c.code)
		}
	}
}

// The answer to any error is JSON in the shape of its verb.
func TestErrorBody(t *testing.T) {
	for verb, want := range map[string]string{
		"MOSIPDISC":  `[{"error":{"errorCode":"500","errorInfo":"x"}}]`,
		"SBIDISC":    `[{"error":{"errorCode":"500","errorInfo":"x"}}]`,
		"MOSIPDINFO": `[{"error":{"errorCode":"500","errorInfo":"x"}}]`,
		"RCAPTURE":   `{"biometrics":[{"specVersion":"0.9.5","data":"","hash":"","error":{"errorCode":"500","errorInfo":"x"}}]}`,
		"CAPTURE":    `{"biometrics":[{"specVersion":"0.9.5","data":"","hash":"","error":{"errorCode":"500","errorInfo":"x"}}]}`,
		"STREAM":     `{"error":{"errorCode":"500","errorInfo":"x"}}`,
	} {
		got, err := json.Marshal(errorBody(verb, "", InvalidRequest))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Replace(string(got), InvalidRequest.Text(""), "x", 1); got != want {
			t.Errorf("%s: %s, want %s", verb, got, want)
		}
	}
}
