package imagecodec

import (
	"image"
	"math"
	"math/rand/v2"
	"testing"
)

// The subbands are where the standard has them, and tile all of the plane but
// the highest frequencies.
func TestDecompose(t *testing.T) {
	for _, size := range []image.Point{{1, 1}, {2, 3}, {5, 64}, {65, 97}, {259, 441}, {280, 448}, {500, 501}} {
		splits, bands := decompose(size.X, size.Y)
		if len(bands) != 60 || size.X > 32 && len(splits) != 20 {
			t.Fatalf("%v: %d subbands after %d splits, want 60 and 20", size, len(bands), len(splits))
		}
		seen := make([]int, size.X*size.Y)
		for k, b := range bands {
			if !b.In(image.Rectangle{Max: size}) {
				t.Errorf("%v: subband %d is %v", size, k, b)
			}
			for y := b.Min.Y; y < b.Max.Y; y++ {
				for x := b.Min.X; x < b.Max.X; x++ {
					seen[y*size.X+x]++
				}
			}
		}
		for i, n := range seen {
			high := i%size.X >= (size.X+1)/2 && i/size.X >= (size.Y+1)/2
			if want := map[bool]int{false: 1}[high]; n != want {
				t.Fatalf("%v: point %d is in %d subbands, want %d", size, i, n, want)
			}
		}
	}
	_, bands := decompose(512, 512)
	for k, want := range map[int]image.Rectangle{
		0: image.Rect(0, 0, 16, 16), 3: image.Rect(16, 16, 32, 32),
		4: image.Rect(32, 0, 64, 32), 6: image.Rect(32, 32, 64, 64),
		7: image.Rect(64, 0, 96, 32), 18: image.Rect(96, 96, 128, 128),
		19: image.Rect(128, 0, 160, 32), 34: image.Rect(224, 96, 256, 128),
		35: image.Rect(0, 128, 32, 160), 50: image.Rect(96, 224, 128, 256),
		51: image.Rect(128, 128, 256, 256),
		52: image.Rect(256, 0, 384, 128), 59: image.Rect(128, 384, 256, 512),
	} {
		if bands[k].Rectangle != want {
			t.Errorf("subband %d is %v, want %v", k, bands[k].Rectangle, want)
		}
	}
}

func TestWaveletIsInvertible(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, size := range []image.Point{{1, 1}, {1, 9}, {2, 2}, {3, 5}, {4, 31}, {33, 32}, {64, 65}, {100, 77}} {
		splits, _ := decompose(size.X, size.Y)
		p, want := newPlane(size.X, size.Y), newPlane(size.X, size.Y)
		for i := range p.v {
			p.v[i] = float32(rnd.Float64()*256 - 128)
		}
		copy(want.v, p.v)
		p.analyse(splits, wsqFilters)
		p.synthesise(splits, wsqFilters)
		for i, v := range p.v {
			if math.Abs(float64(v-want.v[i])) > 0.01 {
				t.Fatalf("%v: value %d came back as %g, was %g", size, i, v, want.v[i])
			}
		}
	}
}

// A constant is all in the lowest subband, a ripple of the highest frequency
// across in the last band across: numbers 52 to 55, whose order is by frequency.
func TestWaveletSeparatesFrequencies(t *testing.T) {
	splits, bands := decompose(256, 256)
	for name, tt := range map[string]struct {
		wave func(x, y int) float64
		band int
	}{
		"constant":        {func(x, y int) float64 { return 1 }, 0},
		"fastest across":  {func(x, y int) float64 { return math.Cos(math.Pi * float64(x)) }, 53},
		"fastest down":    {func(x, y int) float64 { return math.Cos(math.Pi * float64(y)) }, 58},
		"fast across":     {func(x, y int) float64 { return math.Cos(math.Pi * 0.62 * float64(x)) }, 52},
		"ridges across":   {func(x, y int) float64 { return math.Cos(2 * math.Pi / 9 * float64(x)) }, 8},
		"diagonal ridges": {func(x, y int) float64 { return math.Cos(2 * math.Pi / 5 * (float64(x) + float64(y))) }, 51},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlane(256, 256)
			for i := range p.v {
				p.v[i] = float32(tt.wave(i%256, i/256))
			}
			p.analyse(splits, wsqFilters)
			best, most := 0, 0.0
			for k, b := range bands {
				energy := 0.0
				for y := b.Min.Y; y < b.Max.Y; y++ {
					for _, v := range p.v[y*256+b.Min.X : y*256+b.Max.X] {
						energy += float64(v * v)
					}
				}
				if energy > most {
					best, most = k, energy
				}
			}
			if best != tt.band {
				t.Errorf("most energy is in subband %d, want %d", best, tt.band)
			}
		})
	}
}
