package zfm_test

import (
	"image"
	"math"
	"testing"
	"time"

	"sbid/driver"
)

// answer is short, so that a module that never answers costs the tests little.
const answer = 500 * time.Millisecond

// ridges is a picture of curved ridges, 9 pixels apart, on a light ground: no
// one's finger.
func ridges() *image.Gray {
	img := image.NewGray(image.Rect(0, 0, 150, 170))
	for i := range img.Pix {
		x, y := float64(i%150)-75, float64(i/150)-85
		img.Pix[i] = 255
		if math.Hypot(x/75, y/85) < 1 {
			img.Pix[i] = uint8(120 + 100*math.Cos(2*math.Pi*math.Hypot(x-10, y-120)/9))
		}
	}
	return img
}

// check compares a frame with ridges, laid on the middle of the window, by the
// correlation of both: 4 bits a pixel and another sampling rate change little.
func check(t *testing.T, f driver.Frame) {
	t.Helper()
	img, picture := f.Image.(*image.Gray), ridges()
	scale := float64(f.DPI) / float64(f.Native.DPI)
	var n, sx, sy, sxx, syy, sxy float64
	for i, v := range picture.Pix {
		x := scale*(float64(i%150)+float64((f.Native.Width-150)/2)+0.5) - 0.5
		y := scale*(float64(i/150)+float64((f.Native.Height-170)/2)+0.5) - 0.5
		a, b := float64(v), float64(img.GrayAt(int(math.Round(x)), int(math.Round(y))).Y)
		n, sx, sy, sxx, syy, sxy = n+1, sx+a, sy+b, sxx+a*a, syy+b*b, sxy+a*b
	}
	r := (n*sxy - sx*sy) / math.Sqrt((n*sxx-sx*sx)*(n*syy-sy*sy))
	if r < 0.9 {
		t.Errorf("the frame correlates %.2f with what was shown", r)
	}
}
