package zfm_test

import (
	"context"
	"errors"
	"image"
	"strings"
	"testing"
	"time"

	"sbid/driver"
	"sbid/driver/zfm"
	"sbid/simulator/serial"
)

// capture returns the first frame of a driver's one scanner, or why none came.
func capture(t testing.TB, d driver.Driver) (driver.Frame, error) {
	t.Helper()
	s := open(t, d)
	defer s.Close()
	for f, err := range s.Frames(t.Context(), driver.Target{}) {
		return f, err
	}
	return driver.Frame{}, errors.New("no frame")
}

func open(t testing.TB, d driver.Driver) driver.Scanner {
	t.Helper()
	infos, err := d.Probe(t.Context())
	if err != nil || len(infos) != 1 {
		t.Fatalf("probe: %v, %v", infos, err)
	}
	s, err := d.Open(t.Context(), infos[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// with returns a driver of a twin that is configured further.
func with(t testing.TB, module serial.EF01, c zfm.Config) (*zfm.Driver, *serial.Twin) {
	t.Helper()
	_, twin := plug(t, module)
	c.Ports, c.Answer = []string{twin.Path()}, answer
	d, err := zfm.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d, twin
}

// At 500 dpi nothing is resampled: each pixel must be the sensor's own, of
// which the high four bits travel.
func TestImageIsWhatTheSensorSaw(t *testing.T) {
	for name, tt := range map[string]struct {
		module serial.EF01
		config zfm.Config
	}{
		"factory":         {serial.EF01{}, zfm.Config{}},
		"found at 9600":   {serial.EF01{Baud: 9600, PacketSize: 32}, zfm.Config{}},
		"rate as found":   {serial.EF01{Baud: 38400}, zfm.Config{FastRate: -1}},
		"rate of no name": {serial.EF01{Baud: 67200}, zfm.Config{FastRate: 67200}},
		"its own address": {serial.EF01{Address: 0x01020304}, zfm.Config{Address: 0x01020304}},
		"with a password": {serial.EF01{Password: 77}, zfm.Config{Password: 77}},
		"with a led":      {serial.EF01{}, zfm.Config{Light: "led"}},
		"with an aura":    {r503, zfm.Config{DPI: 500}},
		"starting up":     {serial.EF01{Width: 192, Height: 192, Product: "R503", Boot: 300 * time.Millisecond}, zfm.Config{DPI: 500}},
		"size as it says": {serial.EF01{Width: 160, Height: 160, Product: "R999"}, zfm.Config{DPI: 500}},
		"line at a rate":  {serial.EF01{Width: 192, Height: 192, Pace: 8}, zfm.Config{DPI: 500}},
	} {
		t.Run(name, func(t *testing.T) {
			d, twin := with(t, tt.module, tt.config)
			twin.Show(ridges())
			f, err := capture(t, d)
			if err != nil {
				t.Fatal(err)
			}
			img, want := f.Image.(*image.Gray), twin.Sees(ridges())
			if img.Rect != want.Rect {
				t.Fatalf("the image is %v; want %v", img.Rect, want.Rect)
			}
			for i, v := range want.Pix {
				if img.Pix[i] != v>>4*17 {
					t.Fatalf("pixel %d is %02X; the sensor saw %02X", i, img.Pix[i], v)
				}
			}
		})
	}
}

func TestUnknownGeometryIsSaid(t *testing.T) {
	for name, module := range map[string]serial.EF01{
		"of no family":       {Width: 160, Height: 160},
		"no sampling rate":   {Width: 160, Height: 160, Product: "R999"},
		"larger than likely": {Width: 512, Height: 512},
	} {
		t.Run(name, func(t *testing.T) {
			d, twin := with(t, module, zfm.Config{})
			twin.Show(ridges())
			if f, err := capture(t, d); err == nil {
				t.Errorf("a frame of %+v", f.Native)
			}
		})
	}
}

func TestModuleTellsItself(t *testing.T) {
	d, _ := with(t, r503, zfm.Config{Make: "GROW"})
	infos, err := d.Probe(t.Context())
	if err != nil || len(infos) != 1 {
		t.Fatalf("%v, %v", infos, err)
	}
	if i := infos[0]; i.Make != "GROW" || i.Model != "R503" || i.Serial != "00000001" || i.Firmware != "TWIN 1.0" || i.Technology != 14 {
		t.Errorf("it is %+v", i)
	}
}

// A module that refuses the password is there: the operator must hear why it
// does not work.
func TestWrongPasswordIsSaid(t *testing.T) {
	d, twin := with(t, serial.EF01{Password: 77}, zfm.Config{})
	_, err := d.Probe(t.Context())
	if !errors.Is(err, driver.ErrNotReady) || !strings.Contains(err.Error(), "wrong password") {
		t.Error("probe:", err)
	}
	s, err := d.Open(t.Context(), twin.Path())
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, driver.ErrNotReady) || !strings.Contains(err.Error(), "wrong password") {
		t.Error("open:", err)
	}
}

// A module of another address does not answer.
func TestWrongAddressFindsNothing(t *testing.T) {
	d, twin := with(t, serial.EF01{Address: 1}, zfm.Config{Rates: []int{57600}})
	if infos, err := d.Probe(t.Context()); len(infos) != 0 || err != nil {
		t.Errorf("%v, %v", infos, err)
	}
	if s, err := d.Open(t.Context(), twin.Path()); err == nil {
		s.Close()
		t.Error("it could be opened")
	}
}

// What was found is restored, so that others find the module as they left it.
func TestCloseRestoresTheRate(t *testing.T) {
	d, twin := with(t, serial.EF01{}, zfm.Config{})
	open(t, d).Close()
	other, err := zfm.New(zfm.Config{Ports: []string{twin.Path()}, Rates: []int{57600}})
	if err != nil {
		t.Fatal(err)
	}
	if infos, err := other.Probe(t.Context()); err != nil || len(infos) != 1 {
		t.Errorf("at 57600 baud: %v, %v", infos, err)
	}
}

// Polling must not talk to a module that is in use, nor to one that is known.
func TestProbeRemembers(t *testing.T) {
	d, twin := with(t, serial.EF01{}, zfm.Config{})
	s := open(t, d)
	defer s.Close()
	asked := twin.Requests()
	for range 10 {
		if infos, err := d.Probe(t.Context()); err != nil || len(infos) != 1 {
			t.Fatalf("%v, %v", infos, err)
		}
	}
	if now := twin.Requests(); now != asked {
		t.Errorf("ten probes asked the module %d times", now-asked)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for want, c := range map[string]zfm.Config{
		"14400 baud":      {Rates: []int{14400}},
		"120000 baud":     {FastRate: 120000},
		"usb id":          {Bridges: []string{"10c4:ea6x"}},
		"ridges":          {Ridges: "grey"},
		"light":           {Light: "disco"},
		"pixels per inch": {Width: 256},
	} {
		if _, err := zfm.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want an error about %s", c, err, want)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	d, twin := with(t, serial.EF01{}, zfm.Config{Rates: []int{57600, 9600}})
	twin.Misbehave(serial.Silent)
	if infos, err := d.Probe(t.Context()); len(infos) != 0 || err != nil {
		t.Errorf("a port where nobody answers: %v, %v", infos, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if infos, err := d.Probe(ctx); len(infos) != 0 || err == nil {
		t.Errorf("a cancelled probe: %v, %v", infos, err)
	}
}
