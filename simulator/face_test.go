package simulator

import (
	"image"
	"math"
	"testing"

	"sbid/driver"
)

// luminance is the mean of a square of colour pixels.
func luminance(img *image.RGBA, x, y, reach int) float64 {
	var sum float64
	for j := y - reach; j <= y+reach; j++ {
		for i := x - reach; i <= x+reach; i++ {
			c := img.RGBAAt(i, j)
			sum += 0.299*float64(c.R) + 0.587*float64(c.G) + 0.114*float64(c.B)
		}
	}
	return sum / float64((2*reach+1)*(2*reach+1))
}

func TestFacesHaveDarkEyesAndMouth(t *testing.T) {
	for seed, p := range known[:3] {
		img, truth := p.Face(Shot{Capture: uint64(seed)})
		ied := math.Hypot(float64(truth.LeftEye.X-truth.RightEye.X), float64(truth.LeftEye.Y-truth.RightEye.Y))
		if ied < 120 {
			t.Errorf("seed %d: eyes are %.0f px apart", seed, ied)
		}
		cheekY := truth.RightEye.Y + int(0.55*ied)
		for name, eye := range map[string]image.Point{"right": truth.RightEye, "left": truth.LeftEye} {
			cheek := luminance(img, eye.X, cheekY, 8)
			if dark := luminance(img, eye.X, eye.Y, 8); dark > 0.75*cheek {
				t.Errorf("seed %d: the %s eye is %.0f, the cheek %.0f", seed, name, dark, cheek)
			}
		}
		cheek := luminance(img, truth.RightEye.X, cheekY, 8)
		if lips := luminance(img, truth.Mouth.X, truth.Mouth.Y, 4); lips > 0.85*cheek {
			t.Errorf("seed %d: the mouth is %.0f, the cheek %.0f", seed, lips, cheek)
		}
		// The registration portrait, 4 by 5.2 eye distances, fits into the frame.
		middle := truth.RightEye.Add(truth.LeftEye).Div(2)
		portrait := image.Rect(middle.X-int(2*ied), middle.Y-int(2.2*ied), middle.X+int(2*ied), middle.Y+int(3*ied))
		if !portrait.In(img.Rect) {
			t.Errorf("seed %d: portrait %v is cut by the frame", seed, portrait)
		}
		for i := 3; i < len(img.Pix); i += 4 {
			if img.Pix[i] != 255 {
				t.Fatalf("seed %d: pixel %d is transparent", seed, i/4)
			}
		}
	}
}

func TestExceptionPhotoShowsBothHandsAndWhatIsMissing(t *testing.T) {
	p := NewPerson(3)
	whole, truth := p.ExceptionPhoto(nil, Shot{})
	if len(truth.Hands) != 2 || truth.Hands[0].Max.X > truth.RightEye.X || truth.Hands[1].Min.X < truth.LeftEye.X {
		t.Fatalf("hands at %v, eyes at %v and %v", truth.Hands, truth.RightEye, truth.LeftEye)
	}
	differ := func(b *image.RGBA, r image.Rectangle) int {
		n := 0
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				if d := int(whole.RGBAAt(x, y).G) - int(b.RGBAAt(x, y).G); d > 30 || d < -30 {
					n++
				}
			}
		}
		return n
	}
	eye := func(at image.Point) image.Rectangle { return image.Rectangle{at, at}.Inset(-30) }
	places := []image.Rectangle{truth.Hands[0], truth.Hands[1], eye(truth.RightEye), eye(truth.LeftEye)}
	for _, tt := range []struct {
		missing []driver.Position
		changed [4]bool
	}{
		{[]driver.Position{driver.RightIndex, driver.LeftIris}, [4]bool{true, false, false, true}},
		{[]driver.Position{driver.LeftLittle, driver.RightIris}, [4]bool{false, true, true, false}},
	} {
		img, _ := p.ExceptionPhoto(tt.missing, Shot{})
		for i, r := range places {
			if n := differ(img, r); n > 100 != tt.changed[i] {
				t.Errorf("without %v, place %d has %d other pixels", tt.missing, i, n)
			}
		}
	}
}
