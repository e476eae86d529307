package main

import (
	"encoding/json"
	"image"
	"image/draw"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/knadh/koanf/parsers/yaml"

	"sbid/driver"
	"sbid/driver/gt511"
	"sbid/driver/zfm"
	"sbid/simulator"
)

// The driver that is configured as printed captures the finger that was asked for.
func TestTwinsOnSerialLines(t *testing.T) {
	want := simulator.NewPerson(7).Finger(driver.LeftThumb, simulator.Impression{})
	other := simulator.NewPerson(7).Finger(driver.RightThumb, simulator.Impression{})
	for device, lines := range map[string]int{"r503": 4, "zfm": 4, "gt511c3": 4, "gt511c1r": 5} {
		t.Run(device, func(t *testing.T) {
			link := filepath.Join(t.TempDir(), "a: port")
			out := runTwins(t, "serial", "--device", device, "--link", link, "--pace", "0",
				"--seed", "7", "--finger", "left-thumb", "--hold", "1h")
			var text strings.Builder
			for range lines {
				if !out.Scan() {
					t.Fatalf("no more after %q", &text)
				}
				text.WriteString(out.Text() + "\n")
			}
			d := configured(t, text.String())
			infos, err := d.Probe(t.Context())
			if err != nil || len(infos) != 1 {
				t.Fatalf("%d modules, %v", len(infos), err)
			}
			frame := firstFrame(t, d, infos[0].Addr)
			if l, o := likeness(frame, want), likeness(frame, other); l < 0.7 || o > 0.4 {
				t.Errorf("the frame is like the finger by %.2f, like another by %.2f", l, o)
			}
		})
	}
}

// configured returns the driver that sbid would make of a configuration.
func configured(t *testing.T, text string) driver.Driver {
	t.Helper()
	parsed, err := yaml.Parser().Unmarshal([]byte(text))
	if err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	b, err := json.Marshal(parsed["scanners"])
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		ZFM   zfm.Config
		GT511 gt511.Config
	}
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	var d driver.Driver
	if len(c.ZFM.Ports) > 0 {
		d, err = zfm.New(c.ZFM)
	} else {
		d, err = gt511.New(c.GT511)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// firstFrame is what a scanner sees of the first finger that is laid on.
func firstFrame(t *testing.T, d driver.Driver, addr string) *image.Gray {
	t.Helper()
	s, err := d.Open(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for frame, err := range s.Frames(t.Context(), driver.Target{}) {
		if err != nil {
			t.Fatal(err)
		}
		if img, ok := frame.Image.(*image.Gray); ok {
			return img
		}
	}
	t.Fatal("no frame")
	return nil
}

// likeness is how the middles of two pictures correlate: 1 for equal ones.
func likeness(a, b *image.Gray) float64 {
	const side = 120
	cut := func(img *image.Gray) []float64 {
		middle := image.NewGray(image.Rect(0, 0, side, side))
		r := img.Rect
		draw.Draw(middle, middle.Rect, img, image.Pt(r.Min.X+(r.Dx()-side)/2, r.Min.Y+(r.Dy()-side)/2), draw.Src)
		var sum float64
		for _, v := range middle.Pix {
			sum += float64(v)
		}
		var out []float64
		for _, v := range middle.Pix {
			out = append(out, float64(v)-sum/side/side)
		}
		return out
	}
	var ab, aa, bb float64
	x, y := cut(a), cut(b)
	for i := range x {
		ab += x[i] * y[i]
		aa += x[i] * x[i]
		bb += y[i] * y[i]
	}
	return ab / math.Sqrt(aa*bb)
}

// What is at the link's place already stays there.
func TestTwinsLeaveFilesAlone(t *testing.T) {
	link := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(link, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := fails(t, "serial", "--device", "zfm", "--link", link); !strings.Contains(got, "--link") {
		t.Error(got)
	}
	if b, err := os.ReadFile(link); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
}
