package quality_test

import (
	"bytes"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"sbid/capture/quality"
	"sbid/driver"
	"sbid/simulator"
)

// Each row makes the same print worse in one way; its score must fall all the
// way, down to what is useless. A first step may be too small to matter.
func TestFingerReacts(t *testing.T) {
	tests := map[string]struct {
		values []float64
		change func(f *fingerprint, v float64)
		last   float64 // the last score is below this
	}{
		"blur":     {[]float64{0.7, 2, 3, 4, 5}, func(f *fingerprint, v float64) { f.blur = v }, 35},
		"noise":    {[]float64{3, 16, 32, 64}, func(f *fingerprint, v float64) { f.noise = v }, 35},
		"contrast": {[]float64{45, 150, 200, 225}, func(f *fingerprint, v float64) { f.ridge = v }, 35},
		"area":     {[]float64{1, 0.7, 0.5, 0.3, 0.15}, func(f *fingerprint, v float64) { f.size = v }, 20},
		"wear":     {[]float64{0.1, 0.5, 0.8, 1.1}, func(f *fingerprint, v float64) { f.gaps = v }, 45},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var scores []float64
			for _, v := range tt.values {
				f := ordinaryFinger()
				tt.change(&f, v)
				scores = append(scores, quality.Finger(f.paint(400, 500)))
			}
			t.Logf("%v: %.0f", tt.values, scores)
			if first := scores[0]; first < 75 {
				t.Errorf("an ordinary print scores %.0f", first)
			}
			if last := scores[len(scores)-1]; last > tt.last {
				t.Errorf("the worst print scores %.0f", last)
			}
			for i := 1; i < len(scores); i++ {
				if scores[i] > scores[i-1]+1.5 {
					t.Errorf("at %v: %.0f after %.0f", tt.values[i], scores[i], scores[i-1])
				}
			}
		})
	}
}

// A grey or noisy platen is not the finger's fault.
func TestFingerPlaten(t *testing.T) {
	f := ordinaryFinger()
	white := quality.Finger(f.paint(400, 500))
	for _, p := range []struct{ grey, noise float64 }{{232, 4}, {232, 8}, {210, 6}, {190, 10}} {
		f.platen, f.noise = p.grey, p.noise
		if got := quality.Finger(f.paint(400, 500)); math.Abs(got-white) > 12 {
			t.Errorf("platen of %.0f with noise %.0f: %.0f, on white %.0f", p.grey, p.noise, got, white)
		}
	}
}

// How a finger settles: the score that stops an auto-capture rises with its
// pressure.
func TestFingerSettles(t *testing.T) {
	person := simulator.NewPerson(1)
	var scores []float64
	for _, lift := range []float64{1, 0.95, 0.9, 0.85, 0} {
		scores = append(scores, quality.Finger(person.Finger(driver.RightIndex, simulator.Impression{Lift: lift})))
	}
	t.Logf("%.0f", scores)
	for i, s := range scores {
		if i > 0 && s < scores[i-1]-5 {
			t.Errorf("%.0f after %.0f", s, scores[i-1])
		}
	}
	if scores[0] > 20 || scores[len(scores)-1] < 60 {
		t.Errorf("from %.0f to %.0f", scores[0], scores[len(scores)-1])
	}
}

func TestFingerMeasures(t *testing.T) {
	m := quality.MeasureFinger(ordinaryFinger().paint(400, 500))
	if !(m.LocalClarity > 0.7 && m.LocalClarity <= 1) || !(m.OrientationCertainty > 0.7 && m.OrientationCertainty <= 1) ||
		!(m.FrequencySpread > 0.03 && m.FrequencySpread < 0.25) || !(m.Contrast > 60 && m.Contrast < 120) || m.Blocks < 45 || m.Blocks > 110 {
		t.Errorf("%+v", m)
	}
	// Straight ridges of one period, at any direction: nothing is uncertain, and
	// every block has the same spectrum.
	for _, direction := range []float64{0, 0.4, math.Pi / 2, 2} {
		sin, cos := math.Sincos(direction)
		img := image.NewGray(image.Rect(0, 0, 320, 320))
		for y := range 320 {
			for x := range 320 {
				img.Pix[y*320+x] = grey(128 + 100*math.Sin(2*math.Pi*(float64(x)*cos+float64(y)*sin)/8))
			}
		}
		m := quality.MeasureFinger(img)
		if m.OrientationCertainty < 0.99 || m.LocalClarity < 0.8 || m.FrequencySpread > 0.08 || m.Blocks != 81 || math.Abs(m.Contrast-100/math.Sqrt2) > 2 {
			t.Errorf("straight ridges across %.1f: %+v", direction, m)
		}
	}
}

func TestFingerNothingThere(t *testing.T) {
	flat := func(w, h int, g uint8) *image.Gray {
		return &image.Gray{Pix: bytes.Repeat([]byte{g}, w*h), Stride: w, Rect: image.Rect(0, 0, w, h)}
	}
	dust := flat(400, 500, 255)
	dust.Pix[100*400+100], dust.Pix[250*400+200] = 0, 0
	for name, img := range map[string]*image.Gray{
		"nil": nil, "zero": {}, "1x1": flat(1, 1, 0), "31x500": flat(31, 500, 9), "white": flat(400, 500, 255),
		"black": flat(400, 500, 0), "grey": flat(401, 333, 200), "dust": dust, "stripe": flat(40000, 40, 7),
		"short of pixels": {Pix: make([]uint8, 100), Stride: 400, Rect: image.Rect(0, 0, 400, 500)},
	} {
		if got := quality.Finger(img); got != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Where the image's origin is, what lies around it, and what was measured
// before does not matter; the image stays as it is.
func TestFingerIsPure(t *testing.T) {
	img := ordinaryFinger().paint(300, 400)
	want := quality.Finger(img)
	wide := image.NewGray(image.Rect(0, 0, 500, 600))
	for i := range wide.Pix {
		wide.Pix[i] = uint8(i * 31)
	}
	at := image.Pt(70, 90)
	for y := range 400 {
		copy(wide.Pix[(y+at.Y)*wide.Stride+at.X:], img.Pix[y*img.Stride:(y+1)*img.Stride])
	}
	before := slices.Clone(wide.Pix)
	part := wide.SubImage(img.Rect.Add(at)).(*image.Gray)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got := quality.Finger(part); got != want {
				t.Errorf("part of an image: %v, want %v", got, want)
			}
			quality.Finger(wide)
		})
	}
	wg.Wait()
	if !bytes.Equal(wide.Pix, before) {
		t.Error("the image was changed")
	}
}

func TestAuthFinger(t *testing.T) {
	for _, tt := range []struct{ score, want float64 }{
		{0, 0}, {4.5, 10}, {9, 21}, {18.99, 40}, {19, 41}, {42, 61}, {54, 70.5}, {66, 81}, {100, 100},
		{-5, 0}, {200, 100}, {math.NaN(), 0}, {math.Inf(1), 100},
	} {
		if got := quality.AuthFinger(tt.score); math.Abs(got-tt.want) > 0.05 {
			t.Errorf("AuthFinger(%v) = %v, want %v", tt.score, got, tt.want)
		}
	}
	last := -1.0
	for s := 0.0; s <= 100; s += 0.25 {
		if got := quality.AuthFinger(s); got <= last {
			t.Fatalf("AuthFinger(%v) = %v after %v", s, got, last)
		} else {
			last = got
		}
	}
}

// The sample scanner said 57 of the real finger in the shared samples.
func TestFingerRealPrint(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "samples", "left-index-registration-lossless.pgm"))
	if err != nil {
		t.Log("shared samples are absent: only drawn prints were measured")
		return
	}
	var w, h, top int
	if _, err := fmt.Sscanf(string(b[:32]), "P5\n%d %d\n%d", &w, &h, &top); err != nil {
		t.Fatal(err)
	}
	img := &image.Gray{Pix: b[len(b)-w*h:], Stride: w, Rect: image.Rect(0, 0, w, h)}
	if got := quality.Finger(img); got < 45 || got > 80 {
		t.Errorf("scores %.0f: %+v", got, quality.MeasureFinger(img))
	}
}
