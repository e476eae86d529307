package simulator

import (
	"fmt"
	"image"
	"math"
	"slices"
	"testing"

	"sbid/driver"
)

var fingers = driver.Finger.Positions(driver.Single)

// someone returns a person and a finger of theirs with a pattern of the class.
func someone(t *testing.T, class Class) (*Person, driver.Position) {
	t.Helper()
	for seed := range uint64(100) {
		p := NewPerson(seed)
		if seed < uint64(len(known)) {
			p = known[seed]
		}
		for _, pos := range fingers {
			if p.class(pos) == class {
				return p, pos
			}
		}
	}
	t.Fatalf("nobody among 100 people has a finger of class %d", class)
	return nil, 0
}

// ridgeDirection measures the direction of the ridges round a point of a grey
// picture by its gradients, in radians, y up, modulo π.
func ridgeDirection(img *image.Gray, x, y, reach int) float64 {
	var xx, yy, xy float64
	for j := y - reach; j <= y+reach; j++ {
		for i := x - reach; i <= x+reach; i++ {
			gx := float64(img.GrayAt(i+1, j).Y) - float64(img.GrayAt(i-1, j).Y)
			gy := float64(img.GrayAt(i, j-1).Y) - float64(img.GrayAt(i, j+1).Y)
			xx, yy, xy = xx+gx*gx, yy+gy*gy, xy+gx*gy
		}
	}
	return math.Mod(math.Atan2(2*xy, xx-yy)/2+3*math.Pi/2, math.Pi)
}

// turns measures by how many half turns the ridge direction changes on a circle
// round a point: 1 round the core of a loop, 2 round that of a whorl, -1 round a
// delta.
func turns(img *image.Gray, x, y, radius float64) float64 {
	const steps = 48
	var sum float64
	at := func(i int) float64 {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / steps)
		return ridgeDirection(img, int(x+radius*cos), int(y-radius*sin), 8)
	}
	for i := range steps {
		d := at(i+1) - at(i)
		sum += d - math.Pi*math.Round(d/math.Pi)
	}
	return sum / math.Pi
}

// unrolled returns the ridges of a finger as a picture, ridges dark.
func unrolled(f *finger) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, f.w, f.h))
	for i, v := range f.ridges {
		img.Pix[i] = uint8(128 - int(v))
	}
	return img
}

func (p *Person) flow(pos driver.Position) *flow {
	kind, _ := fingerKind(pos)
	return newFlow(p.random(streamOrientation, int(pos), 0), p.class(pos), p.shape(pos), p.hand.period*periodFactors[kind])
}

func TestPatternsTurnAsTheirClass(t *testing.T) {
	tests := map[string]struct {
		class  Class
		radius float64
		turns  float64
	}{
		"arch":        {Arch, 40, 0},
		"tented arch": {TentedArch, 40, 1},
		"left loop":   {LeftLoop, 40, 1},
		"right loop":  {RightLoop, 40, 1},
		"whorl":       {Whorl, 50, 2},
		"twin loop":   {TwinLoop, 70, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, pos := someone(t, tt.class)
			flow, f := p.flow(pos), p.finger(pos)
			x, y := float64(f.w)/2, masterBorder+flow.coreY
			for _, c := range flow.cores {
				x += c.x / float64(len(flow.cores))
			}
			img := unrolled(f)
			if got := turns(img, x, y, tt.radius); math.Abs(got-tt.turns) > 0.1 {
				t.Errorf("%v of seed %d turns %.2f times round its core, want %g", pos, p.seed, got, tt.turns)
			}
			// Below its core, a loop leads to the side it is named after.
			below := ridgeDirection(img, int(x), int(y)+60, 16) * 180 / math.Pi
			if left := below > 10 && below < 85; tt.class == LeftLoop && !left {
				t.Errorf("ridges of a left loop run at %.0f° below the core", below)
			}
			if right := below > 95 && below < 170; tt.class == RightLoop && !right {
				t.Errorf("ridges of a right loop run at %.0f° below the core", below)
			}
		})
	}
}

// strongestPeriod returns the period of the strongest wave in a square of
// side px, in px.
func strongestPeriod(img *image.Gray, x0, y0, side int) float64 {
	var mean float64
	for y := range side {
		for x := range side {
			mean += float64(img.GrayAt(x0+x, y0+y).Y) / float64(side*side)
		}
	}
	var best, period float64
	for p := 6.0; p < 14; p += 0.25 {
		for a := range 30 {
			sin, cos := math.Sincos(math.Pi * float64(a) / 30)
			var re, im float64
			for y := range side {
				for x := range side {
					s, c := math.Sincos(2 * math.Pi / p * (float64(x)*cos + float64(y)*sin))
					v := float64(img.GrayAt(x0+x, y0+y).Y) - mean
					re, im = re+v*c, im+v*s
				}
			}
			if power := re*re + im*im; power > best {
				best, period = power, p
			}
		}
	}
	return period
}

func TestRidgesAreAboutNinePixelsApart(t *testing.T) {
	for _, p := range known[:3] {
		img := p.Finger(driver.RightIndex, Impression{})
		got := strongestPeriod(img, 160, 150, 48)
		if want := p.hand.period; got < 0.85*want || got > 1.2*want {
			t.Errorf("seed %d: ridges %.1f px apart, want about %.1f", p.seed, got, want)
		}
	}
}

// likeness is the highest correlation of a patch in the middle of a with b, over
// shifts and rotations such as there are between captures.
//
//go:norace
func likeness(a, b *image.Gray) float64 {
	const half, step = 42, 4
	best := -1.0
	for turn := -0.3; turn <= 0.3; turn += 0.05 {
		sin, cos := math.Sincos(turn)
		for sy := -48; sy <= 48; sy += 3 {
			for sx := -48; sx <= 48; sx += 3 {
				var n, sa, sb, saa, sbb, sab float64
				for y := -half; y <= half; y += step {
					for x := -half; x <= half; x += step {
						fx, fy := float64(x), float64(y)
						va := float64(a.Pix[(250+y)*a.Stride+200+x])
						vb := float64(b.Pix[(250+sy+int(math.Round(fx*sin+fy*cos)))*b.Stride+200+sx+int(math.Round(fx*cos-fy*sin))])
						n, sa, sb, saa, sbb, sab = n+1, sa+va, sb+vb, saa+va*va, sbb+vb*vb, sab+va*vb
					}
				}
				r := (n*sab - sa*sb) / math.Sqrt((n*saa-sa*sa)*(n*sbb-sb*sb))
				best = max(best, r)
			}
		}
	}
	return best
}

func TestCapturesAreOfTheSameFinger(t *testing.T) {
	p := known[1]
	a := p.Finger(driver.RightIndex, Impression{Capture: 1})
	b := p.Finger(driver.RightIndex, Impression{Capture: 2})
	if slices.Equal(a.Pix, b.Pix) {
		t.Error("two captures are one picture")
	}
	same := likeness(a, b)
	if same < 0.5 {
		t.Errorf("captures of one finger are alike by %.2f only", same)
	}
	for name, other := range map[string]*image.Gray{
		"the middle finger":   p.Finger(driver.RightMiddle, Impression{Capture: 2}),
		"the other hand":      p.Finger(driver.LeftIndex, Impression{Capture: 2}),
		"another's finger":    known[2].Finger(driver.RightIndex, Impression{Capture: 2}),
		"the mirrored finger": mirrored(b),
	} {
		if r := likeness(a, other); r > same-0.1 {
			t.Errorf("%s is alike by %.2f, the same finger by %.2f", name, r, same)
		}
	}
}

func mirrored(img *image.Gray) *image.Gray {
	m := image.NewGray(img.Rect)
	for y := range img.Rect.Dy() {
		copy(m.Pix[y*m.Stride:][:m.Stride], img.Pix[y*img.Stride:])
		slices.Reverse(m.Pix[y*m.Stride:][:m.Stride])
	}
	return m
}

// dark is the share of a rectangle that is darker than the platen.
func dark(img *image.Gray, r image.Rectangle) float64 {
	var n int
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if img.GrayAt(x, y).Y < 160 {
				n++
			}
		}
	}
	return float64(n) / float64(r.Dx()*r.Dy())
}

func TestSlapHasItsFingersInOrder(t *testing.T) {
	tests := map[string]struct {
		sensor  driver.Sensor
		missing []driver.Position
		want    []driver.Position // from left to right
	}{
		"right": {driver.Right, nil, []driver.Position{driver.RightIndex, driver.RightMiddle, driver.RightRing, driver.RightLittle}},
		"left":  {driver.Left, nil, []driver.Position{driver.LeftLittle, driver.LeftRing, driver.LeftMiddle, driver.LeftIndex}},
		"thumb": {driver.Both, nil, []driver.Position{driver.LeftThumb, driver.RightThumb}},
		"three": {driver.Right, []driver.Position{driver.RightMiddle, driver.LeftIndex}, []driver.Position{driver.RightIndex, driver.RightRing, driver.RightLittle}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for capture := range uint64(2) {
				img, truths := known[1].Slap(tt.sensor, tt.missing, Pose{Impression: Impression{Capture: capture}})
				slices.SortFunc(truths, func(a, b Truth) int { return a.Tip.X - b.Tip.X })
				var got []driver.Position
				for _, tr := range truths {
					got = append(got, tr.Position)
					box := tr.Bounds()
					if !box.In(img.Rect) {
						t.Errorf("capture %d: %v at %v is not on the platen", capture, tr.Position, box)
					}
					if d := dark(img, box.Inset(box.Dx()/4)); d < 0.2 || d > 0.8 {
						t.Errorf("capture %d: %.0f %% of %v is dark, which is no ridges", capture, 100*d, tr.Position)
					}
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("capture %d: fingers %v, want %v", capture, got, tt.want)
				}
			}
		})
	}
}

func TestFingersAreDrawnAgainAlike(t *testing.T) {
	a, b := NewPerson(7), NewPerson(7)
	how := Impression{Capture: 3, Frame: 5}
	if !slices.Equal(a.Finger(driver.LeftRing, how).Pix, b.Finger(driver.LeftRing, how).Pix) {
		t.Error("one seed makes two fingers")
	}
	if slices.Equal(a.Finger(driver.LeftRing, how).Pix, NewPerson(8).Finger(driver.LeftRing, how).Pix) {
		t.Error("two seeds make one finger")
	}
	how.Frame++
	if slices.Equal(a.Finger(driver.LeftRing, how).Pix, b.Finger(driver.LeftRing, Impression{Capture: 3, Frame: 5}).Pix) {
		t.Error("two frames have the same noise")
	}
}

func TestMoistureDarkensAndDrynessBreaksRidges(t *testing.T) {
	p := known[1]
	area := image.Rect(140, 150, 260, 350)
	var darkness []float64
	for _, m := range []float64{-0.8, 0, 0.8} {
		darkness = append(darkness, dark(p.Finger(driver.RightIndex, Impression{Moisture: m}), area))
	}
	if !slices.IsSorted(darkness) || darkness[2]-darkness[0] < 0.1 {
		t.Errorf("dark shares of dry, ordinary and wet fingers: %.2f", darkness)
	}
}

func TestClassesFollowThePopulation(t *testing.T) {
	counts := map[Class]float64{}
	const people = 400
	for seed := range uint64(people) {
		p := NewPerson(seed)
		for _, pos := range fingers {
			counts[p.class(pos)] += 1.0 / (people * 10)
		}
	}
	for _, tt := range []struct {
		name  string
		share float64
		low   float64
		high  float64
	}{
		{"left loops", counts[LeftLoop], 0.26, 0.40},
		{"right loops", counts[RightLoop], 0.26, 0.40},
		{"whorls", counts[Whorl] + counts[TwinLoop], 0.22, 0.36},
		{"arches", counts[Arch] + counts[TentedArch], 0.02, 0.11},
	} {
		if tt.share < tt.low || tt.share > tt.high {
			t.Errorf("%s: %.1f %%, want %g to %g", tt.name, 100*tt.share, 100*tt.low, 100*tt.high)
		}
	}
}

func ExamplePerson_Slap() {
	_, truths := NewPerson(1).Slap(driver.Left, []driver.Position{driver.LeftRing}, Pose{})
	for _, t := range truths {
		fmt.Println(t.Position)
	}
	// Output:
	// left-index
	// left-middle
	// left-little
}
