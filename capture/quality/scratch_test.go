package quality

import (
	"image"
	"math"
	"testing"
)

// Scratch that has seen a frame needs no memory for the next. (The pool around
// it may lose scratch at any time, so that it is tested without.)
func TestFingerAllocatesNothing(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 300, 400))
	for i := range img.Pix {
		img.Pix[i] = uint8(128 + 100*math.Sin(float64(i%300+i/300)/1.4))
	}
	p := new(impression)
	if m := p.measure(img); m.Blocks == 0 {
		t.Fatalf("nothing was measured: %+v", m)
	}
	if n := testing.AllocsPerRun(5, func() { p.measure(img) }); n > 0 {
		t.Errorf("%v allocations a finger", n)
	}
}
