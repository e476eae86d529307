package sbi

import (
	"context"
	"log/slog"
	"net"
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
		s := NewServer(Config{Purpose: Registration, Devices: []*Device{d}, Log: slog.New(slog.DiscardHandler)}, listener)
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
