package segment_test

import (
	"errors"
	"image"
	"image/draw"
	"math"
	"testing"

	"sbid/capture/segment"
	"sbid/driver"
	"sbid/simulator"
)

func eyeError(f segment.FaceBox, truth simulator.FaceTruth) float64 {
	ied := math.Hypot(float64(truth.LeftEye.X-truth.RightEye.X), float64(truth.LeftEye.Y-truth.RightEye.Y))
	return max(
		math.Hypot(f.RightEye.X-float64(truth.RightEye.X), f.RightEye.Y-float64(truth.RightEye.Y)),
		math.Hypot(f.LeftEye.X-float64(truth.LeftEye.X), f.LeftEye.Y-float64(truth.LeftEye.Y)),
	) / ied
}

func TestFaceFindsEyes(t *testing.T) {
	tests := map[string]simulator.Shot{
		"straight":     {},
		"turned":       {Yaw: 0.2},
		"leaning":      {Roll: 0.15},
		"nodding":      {Pitch: 0.15},
		"out of focus": {Blur: 2},
	}
	for name, shot := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shot.Capture = uint64(len(name)) // another person in another pose each
			img, truth := simulator.NewPerson(shot.Capture).Face(shot)
			f, err := segment.Face(img)
			if err != nil || f.Count != 1 {
				t.Fatalf("%d faces, %v", f.Count, err)
			}
			if e := eyeError(f, truth); e > 0.05 {
				t.Errorf("eyes off by %.3f of their distance", e)
			}
			want := math.Atan2(float64(truth.LeftEye.Y-truth.RightEye.Y), float64(truth.LeftEye.X-truth.RightEye.X))
			if got := f.Roll(); math.Abs(got-want) > 0.06 {
				t.Errorf("roll %.2f, drawn %.2f", got, want)
			}
		})
	}
}

// Raised hands are no faces.
func TestFaceExceptionPhoto(t *testing.T) {
	img, truth := simulator.NewPerson(3).ExceptionPhoto([]driver.Position{driver.LeftIndex}, simulator.Shot{})
	f, err := segment.Face(img)
	if err != nil || eyeError(f, truth) > 0.05 {
		t.Fatalf("%+v, %v; drawn %+v", f, err, truth)
	}
	crop := f.ExceptionPhoto(img.Rect)
	if crop != img.Rect {
		t.Errorf("a frame of 3:2 is cut to %v", crop)
	}
	for _, hand := range truth.Hands {
		if !hand.In(crop) {
			t.Errorf("hand %v is outside of %v", hand, crop)
		}
	}
}

func TestFaceTwoFaces(t *testing.T) {
	a, _ := simulator.NewPerson(1).Face(simulator.Shot{})
	b, _ := simulator.NewPerson(2).Face(simulator.Shot{})
	both := image.NewRGBA(image.Rect(0, 0, 2*a.Rect.Dx(), a.Rect.Dy()))
	draw.Draw(both, a.Rect, a, image.Point{}, draw.Src)
	draw.Draw(both, b.Rect.Add(image.Pt(a.Rect.Dx(), 0)), b, image.Point{}, draw.Src)
	f, err := segment.Face(both)
	if !errors.Is(err, segment.ErrTooMany) || f.Count != 2 {
		t.Errorf("%d faces, %v", f.Count, err)
	}
	// The kind of image, where its origin is and how often it is asked do not
	// matter.
	want, err := segment.Face(a)
	if err != nil {
		t.Fatal(err)
	}
	part := both.SubImage(a.Rect)
	at := image.Pt(a.Rect.Dx(), 0)
	other := image.NewNRGBA(both.Rect)
	draw.Draw(other, a.Rect.Add(at), a, image.Point{}, draw.Src)
	if got, err := segment.Face(part); err != nil || got != want {
		t.Errorf("part of an image: %+v, %v; want %+v", got, err, want)
	}
	got, err := segment.Face(other.SubImage(a.Rect.Add(at)))
	if moved := got.RightEye; err != nil || math.Hypot(moved.X-want.RightEye.X-float64(at.X), moved.Y-want.RightEye.Y) > 1 {
		t.Errorf("moved NRGBA image: %+v, %v; want %+v", got, err, want)
	}
}

func TestFaceNothingThere(t *testing.T) {
	body, truth := simulator.NewPerson(1).Face(simulator.Shot{})
	below := truth.Chin.Y + 10
	for name, img := range map[string]image.Image{
		"nil":       nil,
		"zero":      &image.RGBA{},
		"1x1":       image.NewRGBA(image.Rect(0, 0, 1, 1)),
		"sliver":    image.NewRGBA(image.Rect(0, 0, 5000, 2)),
		"black":     image.NewRGBA(image.Rect(0, 0, 960, 720)),
		"shoulders": body.SubImage(image.Rect(0, below, body.Rect.Dx(), body.Rect.Dy())),
	} {
		if f, err := segment.Face(img); !errors.Is(err, segment.ErrNotFound) || f != (segment.FaceBox{}) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

func TestPortrait(t *testing.T) {
	face := func(x, y, ied float64) segment.FaceBox {
		return segment.FaceBox{RightEye: segment.Point{X: x - ied/2, Y: y}, LeftEye: segment.Point{X: x + ied/2, Y: y}}
	}
	tests := map[string]struct {
		frame image.Rectangle
		face  segment.FaceBox
		want  image.Rectangle
	}{
		"in the middle":  {image.Rect(0, 0, 1920, 1080), face(960, 440, 100), image.Rect(760, 220, 1160, 740)},
		"too far left":   {image.Rect(0, 0, 1920, 1080), face(150, 440, 100), image.Rect(0, 220, 400, 740)},
		"too low":        {image.Rect(0, 0, 1920, 1080), face(960, 900, 100), image.Rect(760, 560, 1160, 1080)},
		"too close":      {image.Rect(0, 0, 640, 480), face(320, 200, 150), image.Rect(20, 0, 620, 480)},
		"another origin": {image.Rect(1000, 1000, 2920, 2080), face(1960, 1440, 100), image.Rect(1760, 1220, 2160, 1740)},
	}
	for name, tt := range tests {
		if got := tt.face.Portrait(tt.frame); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	// B/A of the standard, and where the eyes are.
	r := face(960, 440, 120).Portrait(image.Rect(0, 0, 1920, 1080))
	if aspect := float64(r.Dy()) / float64(r.Dx()); aspect < 1.25 || aspect > 1.34 {
		t.Errorf("portrait is %v, %.2f high", r, aspect)
	}
	if up := float64(r.Max.Y-440) / float64(r.Dy()); up < 0.5 || up > 0.7 {
		t.Errorf("eyes at %.2f from the bottom", up)
	}
}

func TestExceptionPhotoCrop(t *testing.T) {
	f := segment.FaceBox{RightEye: segment.Point{X: 900, Y: 350}, LeftEye: segment.Point{X: 1020, Y: 350}}
	for _, tt := range []struct{ frame, want image.Rectangle }{
		{image.Rect(0, 0, 1440, 960), image.Rect(0, 0, 1440, 960)},
		{image.Rect(0, 0, 1920, 1080), image.Rect(150, 0, 1770, 1080)},
		{image.Rect(0, 0, 1920, 1920), image.Rect(0, 0, 1920, 1280)},
	} {
		if got := f.ExceptionPhoto(tt.frame); got != tt.want {
			t.Errorf("of %v: %v, want %v", tt.frame, got, tt.want)
		}
	}
}
