package sbi

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sbid/capture"
	"sbid/driver"
)

// What a device says about itself is signed again in time, without anybody
// asking; if that stops, the device is not ready rather than out of date.
func TestIntroductionsStayFresh(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	scanner := &still{info: driver.Info{Addr: "a", Modality: driver.Face, Sensors: []driver.Sensor{driver.Single}}}
	keys := &Keys{Device: benchKeys(), DigitalID: benchKeys()}
	synctest.Test(t, func(t *testing.T) {
		d := &Device{ID: "1", Scanner: capture.NewScanner(scanner, scanner.info), Level: "L0", Purpose: Registration}
		s := NewServer(Config{Purpose: Registration, Log: slog.New(slog.DiscardHandler)}, listener)
		s.Add(d)
		if status, _, intro := d.state(); status != StatusNotReady || intro != nil {
			t.Errorf("before the first keys: %s", status)
		}
		if err := s.SetKeys(d, keys); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go s.keepFresh(ctx)
		for range 10 {
			time.Sleep(time.Minute)
			status, _, intro := d.state()
			if age := time.Since(intro.issued); status != StatusReady || age > freshFor+checkTime {
				t.Errorf("%s, signed %v ago", status, age)
			}
		}
		cancel()
		time.Sleep(usedFor + 2*time.Minute)
		if status, code, _ := d.state(); status != StatusNotReady || code != NotReady {
			t.Errorf("nobody signed for %v: %s %d", usedFor, status, code)
		}
		if err := s.SetKeys(d, nil); err != nil {
			t.Fatal(err)
		}
		if status, code, _ := d.state(); status != StatusNotRegistered || code != NotRegistered {
			t.Errorf("without keys: %s %d", status, code)
		}
	})
}

// What keeps a scanner from being ready is what its device says of it, until it
// is over.
func TestTroubleBecomesStatus(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		status Status
		code   string
	}{
		"tampered with": {fmt.Errorf("look: %w", driver.ErrTampered), StatusNotReady, "103"},
		"held":          {fmt.Errorf("%w: fprintd (pid 7)", driver.ErrHeld), StatusBusy, "111"},
		"warming up":    {driver.ErrNotReady, StatusNotReady, "110"},
		"not allowed":   {driver.ErrPermission, StatusNotReady, "110"},
		"broken":        {driver.ErrBroken, StatusNotReady, "110"},
		"unplugged":     {driver.ErrRemoved, StatusNotReady, "110"},
	} {
		synctest.Test(t, func(t *testing.T) {
			drv := newFake(failing(tt.err))
			r := newRig(t, Registration, drv).run()
			scanner := r.device.Scanner
			scanner.Follow(func() {})
			body := captureRequestBody(Registration, time.Second, 1)
			r.call("RCAPTURE", "/capture", body)
			if status, code := r.status(); status != tt.status || code != tt.code {
				t.Errorf("%s: %s %s, want %s %s", name, status, code, tt.status, tt.code)
			}
			if got, want := kinds(t, r), []string{"signed " + tt.code}; !slices.Equal(got, want) {
				t.Errorf("%s: info %q, want %q", name, got, want)
			}
			if code := codeOf(t, r.call("RCAPTURE", "/capture", body)); code != tt.code {
				t.Errorf("%s: another capture: error %s", name, code)
			}
			letGo(t, r)
			drv.frames = every(100*time.Millisecond, ridges())
			scanner.SetPresent(true)
			if err := scanner.Check(t.Context()); err != nil {
				t.Errorf("%s: check: %v", name, err)
			}
			if status, _ := r.status(); status != StatusReady {
				t.Errorf("%s: mended, and it is %s", name, status)
			}
		})
	}
}
