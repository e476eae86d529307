package gt511_test

import (
	"context"
	"image"
	"slices"
	"strings"
	"testing"

	"sbid/driver"
	"sbid/driver/gt511"
	"sbid/simulator/serial"
)

// capture returns one frame of a driver's one scanner.
func capture(t testing.TB, d driver.Driver) driver.Frame {
	t.Helper()
	s := open(t, d)
	defer s.Close()
	for f, err := range s.Frames(t.Context(), driver.Target{}) {
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	t.Fatal("no frame")
	return driver.Frame{}
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

// At 500 dpi nothing is resampled: each pixel must be the sensor's own.
func TestImageIsWhatTheSensorSaw(t *testing.T) {
	for name, tt := range map[string]struct {
		module serial.GT511
		config gt511.Config
		size   image.Point
	}{
		"c3":             {serial.GT511{}, gt511.Config{DPI: 500}, image.Pt(202, 258)},
		"c3, fast":       {serial.GT511{}, gt511.Config{DPI: 500, Fast: true}, image.Pt(202, 258)},
		"c1r":            {serial.GT511{C1R: true}, gt511.Config{Model: "c1r", DPI: 500}, image.Pt(240, 216)},
		"c1r, raw":       {serial.GT511{C1R: true}, gt511.Config{Model: "C1R", DPI: 500, Raw: true}, image.Pt(240, 216)},
		"rate as found":  {serial.GT511{Baud: 57600}, gt511.Config{DPI: 500, FastRate: -1}, image.Pt(202, 258)},
		"found at 38400": {serial.GT511{Baud: 38400}, gt511.Config{DPI: 500}, image.Pt(202, 258)},
	} {
		t.Run(name, func(t *testing.T) {
			d, twin := plug(t, tt.module, tt.config)
			twin.Show(ridges())
			f := capture(t, d)
			img, want := f.Image.(*image.Gray), twin.Sees(ridges())
			if img.Rect.Size() != tt.size || f.Native != (driver.Geometry{Width: tt.size.X, Height: tt.size.Y, DPI: 500, Depth: 8}) {
				t.Errorf("%v of %+v; want %v", img.Rect, f.Native, tt.size)
			}
			if !slices.Equal(img.Pix, want.Pix) {
				t.Error("the image is not what the sensor saw")
			}
		})
	}
}

func TestRawViewNeedsNoFinger(t *testing.T) {
	d, _ := plug(t, serial.GT511{}, gt511.Config{Raw: true})
	f := capture(t, d)
	if want := (driver.Geometry{Width: 160, Height: 120, DPI: 225, Depth: 8}); f.Native != want {
		t.Errorf("raw frame of %+v; want %+v", f.Native, want)
	}
}

// A C1R has lines of 240 or of 216 pixels: one must be configured.
func TestTransposed(t *testing.T) {
	d, twin := plug(t, serial.GT511{C1R: true}, gt511.Config{Model: "C1R", DPI: 500, Transposed: true})
	twin.Show(ridges())
	if got := capture(t, d).Image.Bounds().Size(); got != image.Pt(216, 240) {
		t.Errorf("the image is %v", got)
	}
}

func TestModuleTellsItself(t *testing.T) {
	d, _ := plug(t, serial.GT511{Serial: [16]byte{0, 1, 2, 15: 0xAF}}, gt511.Config{})
	infos, err := d.Probe(t.Context())
	if err != nil || len(infos) != 1 {
		t.Fatalf("%v, %v", infos, err)
	}
	if i := infos[0]; i.Firmware != "20130806" || i.Serial != "000102000000000000000000000000AF" || i.Model != "GT-511C3" {
		t.Errorf("it is %+v", i)
	}
}

// The factory rate is restored, so that others find the module as they left it.
func TestCloseRestoresTheRate(t *testing.T) {
	d, twin := plug(t, serial.GT511{}, gt511.Config{})
	open(t, d).Close()
	other, err := gt511.New(gt511.Config{Ports: []string{twin.Path()}, Rates: []int{9600}})
	if err != nil {
		t.Fatal(err)
	}
	if infos, err := other.Probe(t.Context()); err != nil || len(infos) != 1 {
		t.Errorf("at 9600 baud: %v, %v", infos, err)
	}
}

func TestLineAtItsRate(t *testing.T) {
	d, twin := plug(t, serial.GT511{Pace: 8}, gt511.Config{DPI: 500})
	twin.Show(ridges())
	if img := capture(t, d).Image.(*image.Gray); !slices.Equal(img.Pix, twin.Sees(ridges()).Pix) {
		t.Error("the image is not what the sensor saw")
	}
}

func TestConfigIsChecked(t *testing.T) {
	for want, c := range map[string]gt511.Config{
		"model":           {Model: "C5"},
		"pixels per inch": {Model: "C1R"},
		"12345 baud":      {Rates: []int{12345}},
		"14400 baud":      {FastRate: 14400},
		"usb id":          {Bridges: []string{"10c4"}},
		"transposed":      {Transposed: true},
	} {
		if _, err := gt511.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want an error about %s", c, err, want)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	d, twin := plug(t, serial.GT511{}, gt511.Config{})
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
