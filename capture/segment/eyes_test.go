package segment_test

import (
	"errors"
	"image"
	"image/draw"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"sbid/capture/segment"
	"sbid/driver"
	"sbid/simulator"
)

// An eyeball is how an eye is painted, in pixels and greys.
type eyeball struct {
	pupil, iris segment.Circle
	open        float64 // of the upper lid's edge above the iris centre, in iris radii
	pupilGrey   float64
	irisGrey    float64
	noise       float64
}

func ordinaryEye(seed uint64) eyeball {
	r := rand.New(rand.NewPCG(seed, 1))
	iris := segment.Circle{Point: segment.Point{X: 320 + 18*normal(r), Y: 240 + 14*normal(r)}, R: 112 + 4*normal(r)}
	return eyeball{
		iris: iris,
		pupil: segment.Circle{
			Point: segment.Point{X: iris.X + 0.03*iris.R*normal(r), Y: iris.Y + 0.02*iris.R*normal(r)},
			R:     iris.R * (0.4 + 0.06*normal(r)),
		},
		open: 0.8 + 0.05*normal(r), pupilGrey: 14, irisGrey: 118, noise: 3,
	}
}

// lid returns the row of the upper lid's edge.
func (e *eyeball) lid(x float64) float64 {
	t := (x - e.iris.X) / e.iris.R
	return e.iris.Y - e.iris.R*(e.open-0.18*t*t)
}

// paint draws the eye in near-infrared light, with two glints in the pupil and
// fibres in the iris.
func (e *eyeball) paint(w, h int) *image.Gray {
	r := rand.New(rand.NewPCG(2, 3))
	img := image.NewGray(image.Rect(0, 0, w, h))
	soft := func(d float64) float64 { return clamp01(0.5 + d/3) } // an edge three pixels wide
	for y := range h {
		for x := range w {
			fx, fy := float64(x)+0.5, float64(y)+0.5
			dp := math.Hypot(fx-e.pupil.X, fy-e.pupil.Y)
			di := math.Hypot(fx-e.iris.X, fy-e.iris.Y)
			fibre := 10*math.Sin(60*math.Atan2(fy-e.pupil.Y, fx-e.pupil.X)) + 6*math.Sin(di/5)
			g := 178.0
			g += soft(e.iris.R-di) * (e.irisGrey + fibre - g)
			g += soft(e.pupil.R-dp) * (e.pupilGrey - g)
			g += soft(e.lid(fx)-fy) * (168 - g)
			for _, side := range [2]float64{-1, 1} {
				g += soft(5-math.Hypot(fx-e.pupil.X-0.15*side*e.iris.R, fy-e.pupil.Y)) * (252 - g)
			}
			img.Pix[y*w+x] = uint8(max(0, min(g+e.noise*r.NormFloat64(), 255)))
		}
	}
	return img
}

func apart(a, b segment.Circle) (centre, radius float64) {
	return math.Hypot(a.X-b.X, a.Y-b.Y), math.Abs(a.R - b.R)
}

func TestEyesFindsCircles(t *testing.T) {
	tests := map[string]func(*eyeball){
		"ordinary":     func(*eyeball) {},
		"small":        func(e *eyeball) { e.iris.R, e.pupil.R = 78, 30 },
		"wide pupil":   func(e *eyeball) { e.pupil.R = 0.62 * e.iris.R },
		"narrow pupil": func(e *eyeball) { e.pupil.R = 0.26 * e.iris.R },
		"bright pupil": func(e *eyeball) { e.pupilGrey = 60 },
		"dark iris":    func(e *eyeball) { e.irisGrey = 70 },
		"sleepy":       func(e *eyeball) { e.open = 0.5 },
		"noisy":        func(e *eyeball) { e.noise = 15 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(2) {
				e := ordinaryEye(seed)
				change(&e)
				eyes, err := segment.Eyes(e.paint(640, 480), []driver.Position{driver.LeftIris})
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
					continue
				}
				got := eyes[0]
				if d, r := apart(got.Pupil, e.pupil); d > 1.5 || r > 1.5 {
					t.Errorf("seed %d: pupil %v, drawn %v", seed, got.Pupil, e.pupil)
				}
				if d, r := apart(got.Iris, e.iris); d > 3 || r > 2.5 {
					t.Errorf("seed %d: iris %v, drawn %v", seed, got.Iris, e.iris)
				}
				for _, t0 := range []float64{-0.3, 0, 0.3} {
					x := e.iris.X + t0*e.iris.R
					if got, want := got.Upper.Y(x), e.lid(x); math.Abs(got-want) > 6 {
						t.Errorf("seed %d: upper lid at %.0f, drawn at %.0f", seed, got, want)
					}
				}
				if got.Lower.Y(e.iris.X) < e.iris.Y+e.iris.R {
					t.Errorf("seed %d: lower lid over an open eye", seed)
				}
			}
		})
	}
}

func TestEyesFindsSimulatedEyes(t *testing.T) {
	for seed := range uint64(3) {
		person := simulator.NewPerson(seed + 1)
		for _, p := range []driver.Position{driver.LeftIris, driver.RightIris} {
			img, truth := person.Eye(p, simulator.Shot{Capture: seed})
			eyes, err := segment.Eyes(img, []driver.Position{p})
			if err != nil {
				t.Errorf("person %d, %v: %v", seed, p, err)
				continue
			}
			// The simulator gives the centre of a pixel a whole number.
			pupil := segment.Circle{Point: segment.Point{X: truth.Pupil.X + 0.5, Y: truth.Pupil.Y + 0.5}, R: truth.Pupil.R}
			iris := segment.Circle{Point: segment.Point{X: truth.Iris.X + 0.5, Y: truth.Iris.Y + 0.5}, R: truth.Iris.R}
			if d, r := apart(eyes[0].Pupil, pupil); d > 1.5 || r > 1.5 {
				t.Errorf("person %d, %v: pupil %v, drawn %v", seed, p, eyes[0].Pupil, pupil)
			}
			if d, r := apart(eyes[0].Iris, iris); d > 3 || r > 2.5 {
				t.Errorf("person %d, %v: iris %v, drawn %v", seed, p, eyes[0].Iris, iris)
			}
		}
	}
}

// A wide frame shows the right eye on the left.
func TestEyesBoth(t *testing.T) {
	a, b := ordinaryEye(1), ordinaryEye(2)
	frame := image.NewGray(image.Rect(0, 0, 1280, 480))
	draw.Draw(frame, image.Rect(0, 0, 640, 480), a.paint(640, 480), image.Point{}, draw.Src)
	draw.Draw(frame, image.Rect(640, 0, 1280, 480), b.paint(640, 480), image.Point{}, draw.Src)
	right, left := a.iris, b.iris
	left.X += 640
	one := image.NewGray(frame.Rect) // the left eye is covered
	draw.Draw(one, one.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(one, image.Rect(0, 0, 640, 480), frame, image.Point{}, draw.Src)

	tests := map[string]struct {
		img    *image.Gray
		want   []driver.Position
		irises []segment.Circle
		err    error
	}{
		"both":              {frame, []driver.Position{driver.LeftIris, driver.RightIris}, []segment.Circle{left, right}, nil},
		"both, other order": {frame, []driver.Position{driver.RightIris, driver.LeftIris}, []segment.Circle{right, left}, nil},
		"only the left":     {frame, []driver.Position{driver.LeftIris}, []segment.Circle{left}, nil},
		"only the right":    {frame, []driver.Position{driver.RightIris}, []segment.Circle{right}, nil},
		"either":            {frame, []driver.Position{driver.UnknownIris}, []segment.Circle{right}, nil},
		"one covered":       {one, []driver.Position{driver.LeftIris, driver.RightIris}, []segment.Circle{right}, segment.ErrTooFew},
		"covered one":       {one, []driver.Position{driver.LeftIris}, nil, segment.ErrNotFound},
		"narrow frame":      {a.paint(640, 480), []driver.Position{driver.LeftIris, driver.RightIris}, nil, segment.ErrTooFew},
	}
	for name, tt := range tests {
		eyes, err := segment.Eyes(tt.img, tt.want)
		if !errors.Is(err, tt.err) || len(eyes) != len(tt.irises) {
			t.Errorf("%s: %d eyes, %v; want %d, %v", name, len(eyes), err, len(tt.irises), tt.err)
			continue
		}
		for i, e := range eyes {
			if d, _ := apart(e.Iris, tt.irises[i]); d > 3 {
				t.Errorf("%s: iris %d is %v, drawn %v", name, i, e.Iris, tt.irises[i])
			}
			if tt.err == nil && e.Position != tt.want[i] {
				t.Errorf("%s: eye %d is %v", name, i, e.Position)
			}
		}
	}
}

func TestEyesImpossibleWishes(t *testing.T) {
	e := ordinaryEye(1)
	img := e.paint(640, 480)
	for _, want := range [][]driver.Position{nil, {driver.FullFace}, {driver.LeftIris, driver.LeftIris}, {driver.LeftThumb}} {
		if eyes, err := segment.Eyes(img, want); err == nil || len(eyes) != 0 {
			t.Errorf("%v: %d eyes, %v", want, len(eyes), err)
		}
	}
}

func TestEyesNothingThere(t *testing.T) {
	noise := image.NewGray(image.Rect(0, 0, 640, 480))
	r := rand.New(rand.NewPCG(1, 1))
	for i := range noise.Pix {
		noise.Pix[i] = uint8(r.UintN(256))
	}
	square := image.NewGray(image.Rect(0, 0, 640, 480))
	draw.Draw(square, square.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(square, image.Rect(0, 200, 640, 280), image.Black, image.Point{}, draw.Src)
	for name, img := range map[string]*image.Gray{
		"nil": nil, "zero": {}, "1x1": image.NewGray(image.Rect(0, 0, 1, 1)), "3x5": image.NewGray(image.Rect(0, 0, 3, 5)),
		"black": image.NewGray(image.Rect(0, 0, 640, 480)), "noise": noise, "bar": square,
	} {
		eyes, err := segment.Eyes(img, []driver.Position{driver.LeftIris})
		if !errors.Is(err, segment.ErrNotFound) || len(eyes) != 0 {
			t.Errorf("%s: %d eyes, %v", name, len(eyes), err)
		}
	}
}

// The crop has the margins of the standard, and its pixels are the frame's.
func TestEyeCrop(t *testing.T) {
	e := ordinaryEye(5)
	img := e.paint(640, 480)
	moved := &image.Gray{Pix: img.Pix, Stride: img.Stride, Rect: img.Rect.Add(image.Pt(50, -70))}
	eyes, err := segment.Eyes(moved, []driver.Position{driver.RightIris})
	if err != nil {
		t.Fatal(err)
	}
	got := eyes[0]
	r := got.Iris.R
	for side, margin := range map[string]float64{
		"left":  (got.Iris.X - r - float64(got.Crop.Min.X)) / r / 0.6,
		"right": (float64(got.Crop.Max.X) - got.Iris.X - r) / r / 0.6,
		"above": (got.Iris.Y - r - float64(got.Crop.Min.Y)) / r / 0.2,
		"below": (float64(got.Crop.Max.Y) - got.Iris.Y - r) / r / 0.2,
	} {
		if math.Abs(margin-1) > 0.03 {
			t.Errorf("%s: %.2f of the margin", side, margin)
		}
	}
	crop := got.Cropped(moved)
	if crop.Rect.Min != (image.Point{}) || crop.Rect.Size() != got.Crop.Size() {
		t.Fatalf("cropped is %v, crop is %v", crop.Rect, got.Crop)
	}
	masked := got.Masked(moved)
	if masked.Rect != crop.Rect {
		t.Fatalf("masked is %v", masked.Rect)
	}
	kept, sclera, lids := 0, 0, 0
	for y := range crop.Rect.Dy() {
		for x := range crop.Rect.Dx() {
			p := image.Pt(x, y).Add(got.Crop.Min)
			if crop.GrayAt(x, y) != moved.GrayAt(p.X, p.Y) {
				t.Fatalf("pixel (%d, %d) differs from the frame's", x, y)
			}
			fx, fy := float64(p.X)+0.5, float64(p.Y)+0.5
			switch g := masked.GrayAt(x, y).Y; {
			case fy < got.Upper.Y(fx) || fy > got.Lower.Y(fx):
				lids++
				if g != 128 {
					t.Fatalf("lid at (%d, %d) is %d", x, y, g)
				}
			case math.Hypot(fx-got.Iris.X, fy-got.Iris.Y) > r:
				sclera++
				if g != 200 {
					t.Fatalf("sclera at (%d, %d) is %d", x, y, g)
				}
			default:
				kept++
				if g != crop.GrayAt(x, y).Y {
					t.Fatalf("iris at (%d, %d) changed", x, y)
				}
			}
		}
	}
	if all := crop.Rect.Dx() * crop.Rect.Dy(); kept < all/4 || sclera < all/10 || lids < all/20 {
		t.Errorf("%d pixels kept, %d sclera, %d lids", kept, sclera, lids)
	}
}

// At the edge of the frame the crop is clipped.
func TestEyeCropAtEdge(t *testing.T) {
	e := ordinaryEye(1)
	shift := 150 - e.iris.X
	e.iris.X, e.pupil.X = e.iris.X+shift, e.pupil.X+shift
	img := e.paint(640, 480)
	eyes, err := segment.Eyes(img, []driver.Position{driver.LeftIris})
	if err != nil {
		t.Fatal(err)
	}
	if got := eyes[0].Crop; got.Min.X != 0 || !got.In(img.Rect) || !slices.Equal(eyes[0].Cropped(img).Pix, pixels(img, got)) {
		t.Errorf("crop is %v", got)
	}
}

func pixels(img *image.Gray, r image.Rectangle) []uint8 {
	var p []uint8
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			p = append(p, img.GrayAt(x, y).Y)
		}
	}
	return p
}
