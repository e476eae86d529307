package segment_test

import (
	"errors"
	"fmt"
	"image"
	"image/draw"
	"math"
	"slices"
	"testing"

	"sbid/capture/segment"
	"sbid/driver"
	"sbid/simulator"
)

// Tolerances of a box in pixels at 500 dpi: a finger ridge is 9 pixels, and
// the crease has no sharp place.
const (
	sideTolerance   = 32
	tipTolerance    = 32
	creaseTolerance = 64
	boxMargin       = 12 // that Finger.Corners leave around the ridges
)

// fits tells whether f is where d was drawn, in the own frame of d.
func (d *drawn) fits(f segment.Finger) bool {
	sin, cos := math.Sincos(d.lean)
	var u, v [4]float64
	for i, p := range f.Corners {
		dx, dy := p.X-d.tipX, p.Y-d.tipY
		u[i], v[i] = dx*cos+dy*sin, dy*cos-dx*sin
	}
	return math.Abs((v[0]+v[1])/2+boxMargin) <= tipTolerance &&
		math.Abs((v[2]+v[3])/2-boxMargin-d.length) <= creaseTolerance &&
		math.Abs((u[0]+u[3])/2+boxMargin+d.width/2) <= sideTolerance &&
		math.Abs((u[1]+u[2])/2-boxMargin-d.width/2) <= sideTolerance
}

func positions(truth []drawn) []driver.Position {
	var p []driver.Position
	for _, d := range truth {
		p = append(p, d.position)
	}
	return p
}

// found counts the fingers of truth that l has under their names.
func found(l segment.Layout, truth []drawn) int {
	n := 0
	for _, d := range truth {
		if i := slices.IndexFunc(l.Fingers, func(f segment.Finger) bool { return f.Position == d.position }); i >= 0 && d.fits(l.Fingers[i]) {
			n++
		}
	}
	return n
}

func TestSlapFindsFingers(t *testing.T) {
	tests := map[string]struct {
		scene  scene
		thumbs bool
		share  float64 // of the fingers whose boxes must fit
	}{
		"plain":               {share: 0.98},
		"grey platen":         {scene: scene{platen: 225, noise: 6}, share: 0.98},
		"dark noisy platen":   {scene: scene{platen: 200, noise: 10}, share: 0.98},
		"dry":                 {scene: scene{moisture: -0.75}, share: 0.98},
		"wet":                 {scene: scene{moisture: 0.75}, share: 0.95},
		"turned to the right": {scene: scene{rotation: 0.3}, share: 0.95},
		"turned to the left":  {scene: scene{rotation: -0.3}, share: 0.95},
		"turned far":          {scene: scene{rotation: 0.42}, share: 0.9},
		"touching":            {scene: scene{touching: true}, share: 0.95},
		"without middle":      {scene: scene{missing: []driver.Position{driver.LeftMiddle, driver.RightMiddle}}, share: 0.98},
		"without ends":        {scene: scene{missing: []driver.Position{driver.LeftIndex, driver.RightLittle}}, share: 0.98},
		"palm below":          {scene: scene{palm: true}, share: 0.95},
		"thumbs":              {thumbs: true, share: 0.98},
		"turned thumbs":       {scene: scene{rotation: 0.2}, thumbs: true, share: 0.95},
	}
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fingers, fit := 0, 0
			for seed := range seeds {
				sensor := driver.Left + driver.Sensor(seed%2)
				img, truth := paintHand(seed, sensor, tt.scene)
				if tt.thumbs {
					img, truth = paintThumbs(seed, tt.scene)
				}
				l, err := segment.Slap(img, positions(truth))
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
				fingers += len(truth)
				fit += found(l, truth)
			}
			t.Logf("%d of %d boxes fit", fit, fingers)
			if float64(fit) < tt.share*float64(fingers) {
				t.Errorf("%d of %d boxes fit, want %.0f %%", fit, fingers, 100*tt.share)
			}
		})
	}
}

// The simulator's slaps have real ridge patterns, pores and worn places.
func TestSlapFindsSimulatedFingers(t *testing.T) {
	fingers, fit := 0, 0
	for seed := range uint64(2) {
		person := simulator.NewPerson(seed + 1)
		for _, sensor := range []driver.Sensor{driver.Left, driver.Right, driver.Both} {
			img, truths := person.Slap(sensor, nil, simulator.Pose{})
			var truth []drawn
			for _, d := range truths {
				truth = append(truth, drawn{
					position: d.Position, tipX: float64(d.Tip.X), tipY: float64(d.Tip.Y), width: d.Width, lean: d.Tilt,
					length: math.Hypot(float64(d.Crease.X-d.Tip.X), float64(d.Crease.Y-d.Tip.Y)),
				})
			}
			l, err := segment.Slap(img, driver.Finger.Positions(sensor))
			if err != nil {
				t.Errorf("person %d, sensor %d: %v", seed, sensor, err)
			}
			fingers += len(truth)
			fit += found(l, truth)
		}
	}
	t.Logf("%d of %d boxes fit", fit, fingers)
	if float64(fit) < 0.95*float64(fingers) {
		t.Errorf("%d of %d boxes fit, want 95 %%", fit, fingers)
	}
}

func TestSlapHints(t *testing.T) {
	right, left := driver.Finger.Positions(driver.Right), driver.Finger.Positions(driver.Left)
	tests := map[string]struct {
		scene scene
		shift image.Point // of the picture, before the platen's edge cuts it
		want  []driver.Position
		seen  int
		hint  segment.Hint
		err   error
	}{
		"all is well":    {want: right, seen: 4},
		"one is missing": {scene: scene{missing: right[1:2]}, want: right, seen: 3, hint: segment.TooFew, err: segment.ErrTooFew},
		"one too many":   {want: right[:3], seen: 4, hint: segment.TooMany, err: segment.ErrTooMany},
		"other hand":     {want: left, seen: 4, hint: segment.WrongHand, err: segment.ErrWrongHand},
		"touching":       {scene: scene{touching: true}, want: right, seen: 4, hint: segment.Touching},
		"tip cut off":    {shift: image.Pt(0, -400), want: right, seen: 4, hint: segment.CutOff},
		"side cut off":   {shift: image.Pt(340, 0), want: right, seen: 4, hint: segment.CutOff},
		"turned too far": {scene: scene{rotation: 0.46}, want: right, seen: 4, hint: segment.Rotated},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			img, _ := paintHand(6, driver.Right, tt.scene)
			if tt.shift != (image.Point{}) {
				moved := image.NewGray(img.Rect)
				draw.Draw(moved, moved.Rect, image.White, image.Point{}, draw.Src)
				draw.Draw(moved, img.Rect.Add(tt.shift), img, image.Point{}, draw.Src)
				img = moved
			}
			l, err := segment.Slap(img, tt.want)
			if !errors.Is(err, tt.err) || l.Hint != tt.hint || l.Seen() != tt.seen || l.Wanted != len(tt.want) {
				t.Errorf("got %v, hint %d, %d of %d; want %v, hint %d, %d of %d",
					err, l.Hint, l.Seen(), l.Wanted, tt.err, tt.hint, tt.seen, len(tt.want))
			}
			for _, f := range l.Fingers {
				if named := f.Position != driver.UnknownFinger; named != (tt.seen == len(tt.want)) {
					t.Errorf("%d of %d fingers, but one is %v", tt.seen, len(tt.want), f.Position)
				}
			}
		})
	}
}

func TestSlapSingleFinger(t *testing.T) {
	for _, want := range []driver.Position{driver.RightRing, driver.LeftThumb, driver.UnknownFinger} {
		img, truth := paintHand(3, driver.Right, scene{missing: []driver.Position{driver.RightIndex, driver.RightMiddle, driver.RightLittle}})
		truth[0].position = want
		l, err := segment.Slap(img, []driver.Position{want})
		if err != nil || found(l, truth) != 1 {
			t.Errorf("%v: found %+v, %v; drawn %+v", want, l, err, truth)
		}
	}
}

// One wide thumb is not two.
func TestSlapOneOfTwoThumbs(t *testing.T) {
	for seed := range uint64(4) {
		img, _ := paintThumbs(seed, scene{missing: []driver.Position{driver.LeftThumb}})
		l, err := segment.Slap(img, driver.Finger.Positions(driver.Both))
		if !errors.Is(err, segment.ErrTooFew) || l.Seen() != 1 || l.Hint != segment.TooFew {
			t.Errorf("seed %d: %d seen, hint %d, %v", seed, l.Seen(), l.Hint, err)
		}
	}
}

// Any order of the wanted positions gives the same names.
func TestSlapOrder(t *testing.T) {
	img, truth := paintHand(2, driver.Left, scene{})
	for _, want := range [][]driver.Position{
		{driver.LeftIndex, driver.LeftMiddle, driver.LeftRing, driver.LeftLittle},
		{driver.LeftRing, driver.LeftLittle, driver.LeftIndex, driver.LeftMiddle},
	} {
		l, err := segment.Slap(img, want)
		if err != nil || found(l, truth) != 4 {
			t.Errorf("%v: %d found, %v", want, found(l, truth), err)
		}
		var got []driver.Position
		for _, f := range l.Fingers {
			got = append(got, f.Position)
		}
		if !slices.Equal(got, []driver.Position{driver.LeftLittle, driver.LeftRing, driver.LeftMiddle, driver.LeftIndex}) {
			t.Errorf("from left to right: %v", got)
		}
	}
}

func TestSlapImpossibleWishes(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 100, 100))
	for _, want := range [][]driver.Position{
		nil,
		{driver.LeftIndex, driver.RightIndex},
		{driver.LeftThumb, driver.LeftIndex},
		{driver.RightIndex, driver.RightIndex},
		{driver.UnknownFinger, driver.RightIndex},
		{driver.LeftIris},
		{driver.FullFace},
	} {
		l, err := segment.Slap(img, want)
		if err == nil || errors.Is(err, segment.ErrNotFound) || l.Seen() != 0 {
			t.Errorf("%v: %+v, %v", want, l, err)
		}
	}
}

func TestSlapNothingThere(t *testing.T) {
	flat := func(w, h int, grey uint8) *image.Gray {
		img := image.NewGray(image.Rect(0, 0, w, h))
		for i := range img.Pix {
			img.Pix[i] = grey
		}
		return img
	}
	tests := map[string]*image.Gray{
		"nil": nil, "zero": {}, "1x1": flat(1, 1, 0), "7x9": flat(7, 9, 200), "wide": flat(3000, 3, 0),
		"white": flat(1600, 1500, 255), "black": flat(1600, 1500, 0), "grey": flat(801, 749, 128),
		"short of pixels": {Pix: make([]uint8, 10), Stride: 100, Rect: image.Rect(0, 0, 100, 100)},
		"odd stride":      {Pix: make([]uint8, 1000), Stride: 5, Rect: image.Rect(0, 0, 10, 10)},
	}
	for name, img := range tests {
		l, err := segment.Slap(img, driver.Finger.Positions(driver.Right))
		if !errors.Is(err, segment.ErrNotFound) || l.Seen() != 0 || l.Hint != segment.TooFew {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
}

// What is found does not depend on where the image's origin is.
func TestSlapOrigin(t *testing.T) {
	img, _ := paintHand(4, driver.Right, scene{rotation: 0.1})
	want := driver.Finger.Positions(driver.Right)
	plain, err := segment.Slap(img, want)
	if err != nil {
		t.Fatal(err)
	}
	at := image.Pt(-300, 1000)
	moved := &image.Gray{Pix: img.Pix, Stride: img.Stride, Rect: img.Rect.Add(at)}
	other, err := segment.Slap(moved, want)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range other.Fingers {
		a, b := f.Cut(moved), plain.Fingers[i].Cut(img)
		if !slices.Equal(a.Pix, b.Pix) {
			t.Errorf("%v: other pixels", f.Position)
		}
		for k := range f.Corners {
			want := plain.Fingers[i].Corners[k]
			if got := f.Corners[k]; math.Abs(got.X-want.X-float64(at.X)) > 1e-6 || math.Abs(got.Y-want.Y-float64(at.Y)) > 1e-6 {
				t.Errorf("%v: corner %d at %v, want %v beside %v", f.Position, k, got, want, at)
			}
		}
	}
}

// An upright finger is copied pixel by pixel, and what the box covers beyond
// the edge of the image is white.
func TestCutUpright(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 40, 30))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * 7)
	}
	box := image.Rect(-3, 5, 20, 35)
	x0, y0, x1, y1 := float64(box.Min.X), float64(box.Min.Y), float64(box.Max.X), float64(box.Max.Y)
	f := segment.Finger{Corners: [4]segment.Point{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}}}
	cut := f.Cut(img)
	if cut.Rect != image.Rect(0, 0, 23, 30) {
		t.Fatalf("cut is %v", cut.Rect)
	}
	for y := range 30 {
		for x := range 23 {
			want := uint8(255)
			if p := image.Pt(x-3, y+5); p.In(img.Rect) {
				want = img.GrayAt(p.X, p.Y).Y
			}
			if got := cut.GrayAt(x, y).Y; got != want {
				t.Fatalf("pixel (%d, %d) is %d, want %d", x, y, got, want)
			}
		}
	}
}

// A turned finger comes out upright: what is drawn leaning and cut looks like
// what is drawn upright and cut.
func TestCutTurned(t *testing.T) {
	for _, lean := range []float64{0.3, -0.2} {
		img := image.NewGray(image.Rect(0, 0, 600, 600))
		sin, cos := math.Sincos(lean)
		const w, h = 200, 300
		x0, y0 := 200.0, 130.0
		pattern := func(u, v float64) float64 { return 128 + 100*math.Sin(u/9)*math.Cos(v/13) }
		for y := range 600 {
			for x := range 600 {
				dx, dy := float64(x)+0.5-x0, float64(y)+0.5-y0
				img.Pix[y*600+x] = uint8(pattern(dx*cos+dy*sin, dy*cos-dx*sin) + 0.5)
			}
		}
		at := func(u, v float64) segment.Point { return segment.Point{X: x0 + u*cos - v*sin, Y: y0 + u*sin + v*cos} }
		f := segment.Finger{Angle: lean, Corners: [4]segment.Point{at(0, 0), at(w, 0), at(w, h), at(0, h)}}
		cut := f.Cut(img)
		if cut.Rect != image.Rect(0, 0, w, h) {
			t.Fatalf("cut is %v", cut.Rect)
		}
		for y := range h {
			for x := range w {
				if want := pattern(float64(x)+0.5, float64(y)+0.5); math.Abs(float64(cut.GrayAt(x, y).Y)-want) > 3 {
					t.Fatalf("lean %v: pixel (%d, %d) is %d, want %.0f", lean, x, y, cut.GrayAt(x, y).Y, want)
				}
			}
		}
	}
}

func TestCutNonsense(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 10, 10))
	nan, huge := math.NaN(), 1e300
	for _, p := range []segment.Point{{}, {X: nan, Y: 1}, {X: huge, Y: huge}, {X: 1e9, Y: 1e9}} {
		for _, angle := range []float64{0, 1, nan} {
			f := segment.Finger{Angle: angle, Corners: [4]segment.Point{{}, p, p, {X: p.Y, Y: p.X}}}
			if cut := f.Cut(img); !cut.Rect.Empty() {
				t.Errorf("%v, %v: cut %v", p, angle, cut.Rect)
			}
			far := segment.Finger{Angle: angle, Corners: [4]segment.Point{p, {X: p.X + 4, Y: p.Y}, {X: p.X + 4, Y: p.Y + 3}, {X: p.X, Y: p.Y + 3}}}
			if p.X > 100 {
				for _, g := range far.Cut(img).Pix {
					if g != 255 {
						t.Errorf("%v, %v: %d outside of the image", p, angle, g)
					}
				}
			}
		}
	}
	if cut := (segment.Finger{}).Cut(nil); !cut.Rect.Empty() {
		t.Errorf("cut %v of nothing", cut.Rect)
	}
}

func ExampleSlap() {
	img, _ := paintHand(1, driver.Right, scene{})
	layout, err := segment.Slap(img, driver.Finger.Positions(driver.Right))
	if err != nil {
		fmt.Println(err)
	}
	for _, f := range layout.Fingers {
		fmt.Println(f.Position, f.Cut(img).Rect.Dx() > 200)
	}
	// Output:
	// right-index true
	// right-middle true
	// right-ring true
	// right-little true
}
