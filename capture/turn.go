package capture

import (
	"image"
	"math"
	"time"
)

// liftTime is how long no frame has to come from a scanner that does not
// stream, until nothing is on it; longer for one that was seen to need longer
// for a picture.
const liftTime = 700 * time.Millisecond

// A turn is that of the finger before, in a capture of finger after finger. It
// is over once that finger was lifted and another is there. The zero value and
// nil are over.
type turn struct {
	last    *Sample
	selects bool // the scanner asks for the finger to be lifted by itself
	lifted  bool
	since   time.Time     // the last frame, or the beginning
	slow    time.Duration // how long a picture took while a finger rested
}

// begin makes it the turn of the finger just captured.
func (t *turn) begin(last *Sample, selects bool) {
	t.last, t.selects, t.lifted, t.since = last, selects, selects, time.Now()
}

// waiting says whether the finger before has still to be lifted.
func (t *turn) waiting() bool { return t != nil && t.last != nil && !t.lifted }

// over says whether what is seen belongs to the next finger.
func (t *turn) over(v *View) bool {
	if t == nil || t.last == nil {
		return true
	}
	took := time.Since(t.since)
	t.since = time.Now()
	switch {
	case !v.Usable():
		t.lifted = t.lifted || !v.blank() && v.Problem == nil // a picture of nothing
	case resting(t.last.Image, v.Samples[0].Image):
		// It was there all the time, however long the picture took.
		t.lifted, t.slow = t.selects, took
		return false
	}
	return t.lifted
}

// pause is called while no frame comes. It says whether that was what ended the
// wait.
func (t *turn) pause() bool {
	if !t.waiting() || time.Since(t.since) < max(liftTime, t.slow*3/2) {
		return false
	}
	t.lifted = true
	return true
}

// resting says whether two pictures are of one finger that did not move between
// them. It compares slopes and not grey values: all fingers are dark in the
// middle, and only ridges that lie where they lay have the same slopes. A finger
// that was lifted and put down again lies elsewhere.
func resting(before, now image.Image) bool {
	a, ok := before.(*image.Gray)
	b, also := now.(*image.Gray)
	if !ok || !also || a.Rect.Size() != b.Rect.Size() {
		return false
	}
	const step, reach = 2, 4 // pixels; half a ridge's period at 500 dpi
	size := a.Rect.Size()
	slope := func(img *image.Gray, at, to int) float64 { return float64(img.Pix[to]) - float64(img.Pix[at]) }
	var ab, aa, bb float64
	for y := 0; y+reach < size.Y; y += step {
		for x := 0; x+reach < size.X; x += step {
			for _, d := range [2]image.Point{{X: reach}, {Y: reach}} {
				sa := slope(a, y*a.Stride+x, (y+d.Y)*a.Stride+x+d.X)
				sb := slope(b, y*b.Stride+x, (y+d.Y)*b.Stride+x+d.X)
				ab, aa, bb = ab+sa*sb, aa+sa*sa, bb+sb*sb
			}
		}
	}
	return ab > 0.5*math.Sqrt(aa*bb)
}
