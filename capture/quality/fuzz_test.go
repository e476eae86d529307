package quality_test

import (
	"image"
	"math"
	"testing"

	"sbid/capture/quality"
	"sbid/capture/segment"
)

// tiled makes an image of w x h pixels that repeats data.
func tiled(data []byte, w, h int) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		if len(data) > 0 {
			img.Pix[i] = data[i%len(data)]
		}
	}
	return img
}

func isScore(t *testing.T, what string, s float64) {
	t.Helper()
	if !(s >= 0 && s <= 100) {
		t.Errorf("%s: %v", what, s)
	}
}

// Any image has a score from 0 to 100.
func FuzzFinger(f *testing.F) {
	f.Add([]byte{0, 40, 90, 160, 255, 160, 90, 40}, uint8(200), uint8(210))
	f.Add([]byte{7}, uint8(32), uint8(33))
	f.Add([]byte{}, uint8(0), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, w, h uint8) {
		s := quality.Finger(tiled(data, int(w), int(h)))
		isScore(t, "finger", s)
		isScore(t, "finger on the auth scale", quality.AuthFinger(s))
	})
}

// Any eye in any image has a score from 0 to 100, wherever it is said to be.
func FuzzIris(f *testing.F) {
	f.Add([]byte{0, 40, 90, 160, 255}, uint8(200), uint8(180), 100.0, 90.0, 20.0, 3.0, 60.0)
	f.Add([]byte{9}, uint8(2), uint8(1), math.NaN(), math.Inf(1), 1e300, -1.0, 1e9)
	f.Fuzz(func(t *testing.T, data []byte, w, h uint8, x, y, r, off, outer float64) {
		if outer > 500 && outer < 1<<12 {
			outer /= 16 // a large eye is only slow
		}
		isScore(t, "iris", quality.Iris(tiled(data, int(w), int(h)), segment.Eye{
			Pupil: segment.Circle{Point: segment.Point{X: x + off, Y: y - off}, R: r},
			Iris:  segment.Circle{Point: segment.Point{X: x, Y: y}, R: outer},
			Upper: segment.Lid{X0: x, A: y - off, B: off, C: r},
			Lower: segment.Lid{X0: y, A: outer, C: off},
		}))
	})
}

// Any face in any image has a score from 0 to 100, wherever its eyes are said
// to be.
func FuzzFace(f *testing.F) {
	f.Add([]byte{0, 40, 90, 160, 255}, uint8(200), uint8(180), 80.0, 90.0, 120.0, 91.0)
	f.Add([]byte{9}, uint8(2), uint8(1), math.NaN(), math.Inf(1), 1e300, -1.0)
	f.Fuzz(func(t *testing.T, data []byte, w, h uint8, x0, y0, x1, y1 float64) {
		face := segment.FaceBox{RightEye: segment.Point{X: x0, Y: y0}, LeftEye: segment.Point{X: x1, Y: y1}}
		img := tiled(data, int(w), int(h))
		isScore(t, "portrait", quality.Face(img, face, true))
		isScore(t, "face", quality.Face(img, face, false))
	})
}
