package simulator

import (
	"image"
	"slices"

	"sbid/driver"
)

// A view is what one scanner sees from when somebody comes before it until
// they leave.
type view interface {
	next() driver.Frame
}

// look starts the view that a target gets.
func (s *Simulator) look(u *unit, want driver.Target, now state) view {
	u.mu.Lock()
	u.captures++
	capture := u.captures
	u.mu.Unlock()

	v := &drawn{capture: capture, unit: u.number, person: s.person}
	if u.info.Modality == driver.Finger {
		v.dpi = fingerDPI
	}
	positions := visible(u.info.Modality, want)
	switch {
	case !now.present || len(positions) == 0:
		v.draw = emptyScene(u.info.Addr, want.Sensor)
	case s.images != nil:
		if p := s.play(u.info, want, positions); p != nil {
			return p
		}
		v.draw = emptyScene(u.info.Addr, want.Sensor)
	default:
		v.draw = s.person.scene(u.info.Addr, want, positions, capture, now.condition)
	}
	return v
}

// visible returns the positions that the person shows: those of the target
// that the sensor covers and the person has.
func visible(m driver.Modality, want driver.Target) []driver.Position {
	var positions []driver.Position
	for _, pos := range m.Positions(want.Sensor) {
		asked := slices.Contains(want.Positions, pos) || slices.Contains(want.Positions, unknown(m))
		if asked && !slices.Contains(want.Exceptions, pos) {
			positions = append(positions, pos)
		}
	}
	return positions
}

// unknown is the position that stands for any of the modality.
func unknown(m driver.Modality) driver.Position {
	switch m {
	case driver.Finger:
		return driver.UnknownFinger
	case driver.Iris:
		return driver.UnknownIris
	}
	return driver.FullFace
}

// single returns what a person who is asked for want puts before a scanner that
// takes one finger or eye: the first position asked for, or for any finger the
// right index, for any eye the right one.
func single(m driver.Modality, want driver.Target, positions []driver.Position) driver.Position {
	first := want.Positions[0]
	if slices.Contains(positions, first) {
		return first
	}
	for _, usual := range []driver.Position{driver.RightIndex, driver.RightIris} {
		if usual.Modality() == m && slices.Contains(positions, usual) {
			return usual
		}
	}
	return positions[0]
}

// settleFrames is how many frames it takes until a finger is firmly pressed or
// a camera in focus.
const settleFrames = 8

// drawn is a view of something that settles. Sensor noise is new in every
// frame.
type drawn struct {
	person  *Person
	unit    int
	capture uint64
	dpi     int

	draw  func(lift float64) image.Image // draws the base; nil when it is settled
	base  image.Image
	frame uint64
}

func (d *drawn) next() driver.Frame {
	if d.draw != nil {
		// Slow at first: a finger that has just touched hardly prints.
		t := float64(d.frame) / settleFrames
		d.base = d.draw(1 - t*t)
		if t == 1 {
			d.draw = nil
		}
	}
	f := driver.Frame{DPI: d.dpi}
	r := d.person.random(streamNoise, 128+d.unit, Shot{Capture: d.capture, Frame: d.frame}.moment())
	d.frame++
	switch base := d.base.(type) {
	case *image.Gray:
		f.Image = grayFrame(base, r)
	case *image.RGBA:
		f.Image = colourFrame(base, r)
	}
	return f
}
