package capture

import (
	"image"
	"math"
	"time"
)

// liftTime is how long no frame has to come from a scanner that does not
// stream, until nothing is on it. A module that is slow to send a picture may
// take as long with a finger on it; that picture then shows the finger that
// rests there.
const liftTime = 700 * time.Millisecond

// A turn is that of the finger before, in a capture of finger after finger. It
// is over once the finger was lifted and another is there.
type turn struct {
	last   Sample
	lifted bool
	since  time.Time // the last frame, or the beginning
}

// over says whether what is seen belongs to the next finger. No turn is over.
func (t *turn) over(v *View) bool {
	if t == nil {
		return true
	}
	t.since = time.Now()
	if !v.blank() && !v.Usable() && v.Problem == nil { // a picture of nothing
		t.lifted = true
	}
	if !v.Usable() {
		return t.lifted
	}
	return t.lifted && !resting(t.last.Image, v.Samples[0].Image)
}

// pause is called while no frame comes.
func (t *turn) pause() {
	if t != nil && time.Since(t.since) >= liftTime {
		t.lifted = true
	}
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
