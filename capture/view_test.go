package capture

import (
	"errors"
	"image"
	"slices"
	"testing"

	"sbid/capture/iso19794"
	"sbid/driver"
	"sbid/simulator"
)

// What is on the scanner decides what becomes of the frame.
func TestAnalyse(t *testing.T) {
	person := simulator.NewPerson(7)
	slap := func(sensor driver.Sensor, missing ...driver.Position) driver.Frame {
		img, _ := person.Slap(sensor, missing, simulator.Pose{})
		return driver.Frame{Image: img, DPI: 500}
	}
	face, _ := person.Face(simulator.Shot{})
	photo, _ := person.ExceptionPhoto([]driver.Position{driver.LeftIndex}, simulator.Shot{})
	eye, _ := person.Eye(driver.LeftIris, simulator.Shot{})
	finger := person.Finger(driver.RightIndex, simulator.Impression{})
	blank := image.NewGray(image.Rect(0, 0, 1600, 1500))
	for i := range blank.Pix {
		blank.Pix[i] = 255
	}
	left := driver.Finger.Positions(driver.Left)
	missingRing := slices.DeleteFunc(slices.Clone(left), func(p driver.Position) bool { return p == driver.LeftRing })

	for name, tt := range map[string]struct {
		frame      driver.Frame
		sensor     driver.Sensor
		positions  []driver.Position
		exceptions []driver.Position
		problem    error // with no samples
		empty      bool  // no samples and no problem
	}{
		"four fingers":          {frame: slap(driver.Left), sensor: driver.Left, positions: left},
		"an excepted finger":    {frame: slap(driver.Left, driver.LeftRing), sensor: driver.Left, positions: missingRing},
		"thumbs":                {frame: slap(driver.Both), sensor: driver.Both, positions: driver.Finger.Positions(driver.Both)},
		"a finger too few":      {frame: slap(driver.Left, driver.LeftRing), sensor: driver.Left, positions: left, problem: ErrUnusable},
		"a finger too many":     {frame: slap(driver.Left), sensor: driver.Left, positions: missingRing, problem: ErrUnusable},
		"the other hand":        {frame: slap(driver.Right), sensor: driver.Left, positions: left, problem: ErrOrientation},
		"an empty platen":       {frame: driver.Frame{Image: blank}, sensor: driver.Left, positions: left, empty: true},
		"one finger":            {frame: driver.Frame{Image: finger, DPI: 500}, positions: []driver.Position{driver.UnknownFinger}},
		"one empty platen":      {frame: driver.Frame{Image: blank}, positions: []driver.Position{driver.RightIndex}, empty: true},
		"an eye":                {frame: driver.Frame{Image: eye}, sensor: driver.Left, positions: []driver.Position{driver.LeftIris}},
		"no eye":                {frame: driver.Frame{Image: blank}, sensor: driver.Left, positions: []driver.Position{driver.LeftIris}, empty: true},
		"a face":                {frame: driver.Frame{Image: face}, positions: []driver.Position{driver.FullFace}},
		"an exception photo":    {frame: driver.Frame{Image: photo}, positions: []driver.Position{driver.FullFace}, exceptions: []driver.Position{driver.LeftIndex}},
		"colour where grey is":  {frame: driver.Frame{Image: face}, sensor: driver.Left, positions: left, problem: ErrUnusable},
		"grey where colour is":  {frame: driver.Frame{Image: eye}, positions: []driver.Position{driver.FullFace}, problem: ErrUnusable},
		"cut by the scanner":    {frame: driver.Frame{Parts: []driver.Part{{Position: driver.LeftMiddle, Image: finger}, {Position: driver.LeftIndex, Image: finger}}, DPI: 500}, sensor: driver.Left, positions: left[:2]},
		"cut, with one missing": {frame: driver.Frame{Parts: []driver.Part{{Position: driver.LeftIndex, Image: finger}}}, sensor: driver.Left, positions: left[:2], problem: ErrUnusable},
	} {
		t.Run(name, func(t *testing.T) {
			v := analyse(tt.frame, driver.Target{Sensor: tt.sensor, Positions: tt.positions, Exceptions: tt.exceptions}, iso19794.Registration)
			if !errors.Is(v.Problem, tt.problem) || tt.empty && v.Problem != nil {
				t.Fatalf("problem %v, want %v", v.Problem, tt.problem)
			}
			if v.Usable() != (tt.problem == nil && !tt.empty) {
				t.Fatalf("%d samples, problem %v", len(v.Samples), v.Problem)
			}
			var sum float64
			for i, s := range v.Samples {
				if s.Position != tt.positions[i] {
					t.Errorf("sample %d is %v, want %v", i, s.Position, tt.positions[i])
				}
				if s.Quality < 20 || s.Captured.IsZero() || s.DPI != tt.frame.DPI {
					t.Errorf("%v: quality %.1f, captured %v, %d dpi", s.Position, s.Quality, s.Captured, s.DPI)
				}
				sum += s.Quality
			}
			if n := float64(len(v.Samples)); n > 0 && (v.Score < sum/n-1e-9 || v.Score > sum/n+1e-9) {
				t.Errorf("score %v of qualities that add up to %v", v.Score, sum)
			}
			if !v.Usable() && v.Hint == NoHint && tt.problem != nil && !errors.Is(v.Problem, ErrUnusable) {
				t.Errorf("no hint for %v", v.Problem)
			}
		})
	}
}
