package simulator

import (
	"image"
	"math"
	"slices"
	"testing"
	"time"

	"sbid/driver"
)

// pixels returns the bytes of a frame's picture.
func pixels(t testing.TB, f driver.Frame) []uint8 {
	t.Helper()
	switch img := f.Image.(type) {
	case *image.Gray:
		return img.Pix
	case *image.RGBA:
		return img.Pix
	}
	t.Fatalf("a frame holds %T", f.Image)
	return nil
}

// edges measures how strong the steps in a picture are: light contact, a small
// area and lack of focus lower it.
func edges(t testing.TB, f driver.Frame) float64 {
	pix, stride := pixels(t, f), 1
	if _, colour := f.Image.(*image.RGBA); colour {
		stride = 4
	}
	var sum float64
	for i := 0; i+4*stride < len(pix); i += 7 * stride {
		d := float64(pix[i+4*stride]) - float64(pix[i])
		sum += d * d
	}
	return sum / float64(len(pix))
}

func TestEveryViewSettles(t *testing.T) {
	s := newFast(1)
	for _, v := range views {
		if v.addr == AddrCameraAuth || len(v.want.Exceptions) > 0 {
			continue // as the camera with a face
		}
		all := frames(t, s, v.addr, v.want, 12)
		var strength []float64
		for _, f := range all {
			strength = append(strength, edges(t, f))
		}
		if !slices.IsSorted(strength[:settleFrames+1]) {
			t.Errorf("%s: edges while settling: %.1f", v.name, strength)
		}
		best := strength[settleFrames]
		if strength[0] > 0.6*best {
			t.Errorf("%s: the first frame is nearly as good as the last: %.1f", v.name, strength)
		}
		for i, f := range all[settleFrames+1:] {
			if math.Abs(edges(t, f)/best-1) > 0.05 {
				t.Errorf("%s: settled frames differ: %.1f", v.name, strength)
			}
			if slices.Equal(pixels(t, f), pixels(t, all[settleFrames+i])) {
				t.Errorf("%s: two frames have the same noise", v.name)
			}
		}
	}
}

func TestSameSeedSamePixels(t *testing.T) {
	s := newFast(1)
	again := New(Config{Seed: 1, Interval: time.Microsecond})
	other := newFast(2)
	for _, v := range views {
		if v.addr == AddrCameraAuth || v.want.Sensor == driver.Left || v.want.Positions[0] == driver.UnknownFinger {
			continue // as another view
		}
		// The first frame of a finger is the empty glass.
		frame := func(s *Simulator) []uint8 { return pixels(t, frames(t, s, v.addr, v.want, 2)[1]) }
		a, b, c, d := frame(s), frame(again), frame(other), frame(s)
		if !slices.Equal(a, b) {
			t.Errorf("%s: one seed makes two pictures", v.name)
		}
		if slices.Equal(a, c) {
			t.Errorf("%s: two seeds make one picture", v.name)
		}
		if slices.Equal(a, d) {
			t.Errorf("%s: two captures make one picture", v.name)
		}
		frame(again) // so that both have had as many captures
	}
}

func TestFramesAreNeverWrittenAgain(t *testing.T) {
	s := newFast(1)
	all := frames(t, s, AddrIris, views[9].want, 2)
	before := slices.Clone(pixels(t, all[0]))
	frames(t, s, AddrIris, views[9].want, 12)
	if !slices.Equal(before, pixels(t, all[0])) {
		t.Error("a later frame changed one that was handed out")
	}
}

func TestNobodyThereShowsAnEmptyScene(t *testing.T) {
	s := newFast(1)
	for _, v := range views {
		s.Present(v.addr, false)
		f := frames(t, s, v.addr, v.want, 1)[0]
		if e := edges(t, f); e > 30 {
			t.Errorf("%s: something is there, edges %.1f", v.name, e)
		}
		all := frames(t, s, v.addr, driver.Target{Sensor: v.want.Sensor}, 1)
		if e := edges(t, all[0]); e > 30 {
			t.Errorf("%s: nothing was asked for, edges %.1f", v.name, e)
		}
	}
}

func TestComingBackSettlesAgain(t *testing.T) {
	s := newFast(1)
	sc, err := s.Open(t.Context(), AddrFinger)
	if err != nil {
		t.Fatal(err)
	}
	var strength []float64
	for f, err := range sc.Frames(t.Context(), anyFinger) {
		if err != nil {
			t.Fatal(err)
		}
		strength = append(strength, edges(t, f))
		switch len(strength) {
		case 10:
			s.Present(AddrFinger, false)
		case 11:
			s.Present(AddrFinger, true)
		}
		if len(strength) == 21 {
			break
		}
	}
	settled, gone, touch, back := strength[9], strength[10], strength[11], strength[20]
	if gone > 0.1*settled || touch > 0.6*settled || back < 0.7*settled {
		t.Errorf("edges settled %.1f, gone %.1f, touching again %.1f, settled again %.1f", settled, gone, touch, back)
	}
}

func TestConditionsAreSeen(t *testing.T) {
	s := newFast(1)
	for addr, c := range map[string]Condition{
		AddrFinger: {Wear: 0.9},
		AddrSlap:   {Blur: 4},
		AddrIris:   {Closed: 1},
		AddrCamera: {Blur: 8},
	} {
		m := s.unit(addr).info.Modality
		want := driver.Target{Sensor: s.unit(addr).info.Sensors[0]}
		want.Positions = m.Positions(want.Sensor)
		good := edges(t, frames(t, s, addr, want, 10)[9])
		s.Condition(addr, c)
		if bad := edges(t, frames(t, s, addr, want, 10)[9]); bad > 0.8*good {
			t.Errorf("%s: %+v lowers edges from %.1f to %.1f only", addr, c, good, bad)
		}
	}
}

func TestOnlyTheTargetIsShown(t *testing.T) {
	s := newFast(1)
	all := whole(driver.Finger, driver.Right)
	three := driver.Target{Sensor: driver.Right, Positions: all.Positions[1:], Exceptions: all.Positions[:1]}
	full := edges(t, frames(t, s, AddrSlap, all, 9)[8])
	if e := edges(t, frames(t, s, AddrSlap, three, 9)[8]); e > 0.85*full || e < 0.6*full {
		t.Errorf("three of four fingers have edges of %.1f, four %.1f", e, full)
	}
	// A missing eye stays closed in its half of the picture.
	one := driver.Target{Sensor: driver.Both, Positions: []driver.Position{driver.LeftIris}, Exceptions: []driver.Position{driver.RightIris}}
	img := frames(t, s, AddrIrisDouble, one, 9)[8].Image.(*image.Gray)
	for i, want := range []bool{false, true} {
		black := 0
		for y := range eyeHeight {
			for x := range eyeWidth {
				if img.GrayAt(i*eyeWidth+x, y).Y < 26 {
					black++
				}
			}
		}
		if open := black > 2000; open != want {
			t.Errorf("half %d: %d black pixels", i, black)
		}
	}
}
