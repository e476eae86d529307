package simulator

import (
	"math"
	"math/rand/v2"
	"sync"
)

// The ridges of a finger grow out of noise by filtering it again and again
// with the local direction and period, as in SFinGe (Cappelli, 2004). They grow
// at half resolution: ridges are 4 to 5 px apart there, so that nothing is lost.
const (
	angles     = 64 // of the filter bank, over half a turn
	periods    = 10
	minPeriod  = 7.0 // px at 500 dpi
	maxPeriod  = 13.0
	filterSide = 9    // of a filter, at half resolution
	spread     = 0.42 // standard deviation of its bell, in periods
	passes     = 20   // fewer leave more minutiae, more heal them
)

// A filter is a square of weights, row by row.
type filter [filterSide * filterSide]float32

// bank holds a filter for each direction and period.
var bank = sync.OnceValue(func() *[angles * periods]filter {
	var b [angles * periods]filter
	for i := range b {
		period := minPeriod + (maxPeriod-minPeriod)*float64(i%periods)/(periods-1)
		b[i] = gabor(math.Pi*float64(i/periods)/angles, period/2)
	}
	return &b
})

// gabor returns a filter for ridges of the given direction (y up) and period,
// with zero mean and unit sum of absolute values.
func gabor(direction, period float64) filter {
	sin, cos := math.Sincos(direction)
	var wave, bell [filterSide * filterSide]float64
	var waves, bells float64
	for i := range wave {
		x, y := float64(i%filterSide-filterSide/2), float64(i/filterSide-filterSide/2)
		bell[i] = math.Exp(-(x*x + y*y) / (2 * spread * period * spread * period))
		wave[i] = bell[i] * math.Cos(2*math.Pi*(x*sin+y*cos)/period)
		bells, waves = bells+bell[i], waves+wave[i]
	}
	var sum float64
	for i := range wave {
		wave[i] -= bell[i] * waves / bells
		sum += math.Abs(wave[i])
	}
	var f filter
	for i := range f {
		f[i] = float32(wave[i] / sum)
	}
	return f
}

// margin is how far the growth reaches beyond the picture, in px at half
// resolution, so that the border of the picture has neighbours.
const margin = 8

// grow returns the ridges of a picture of w×h pixels, both even: 127 is the
// middle of a ridge, -127 that of a valley. The flow's origin is at (x0, y0).
func grow(f *flow, r *rand.Rand, w, h int, x0, y0 float64) []int8 {
	hw, hh := w/2+2*margin, h/2+2*margin
	cells, next := make([]float32, hw*hh), make([]float32, hw*hh)
	for i := range cells {
		cells[i] = float32(0.3 * r.NormFloat64())
	}
	choice := chooseFilters(f, hw, hh, x0+2*margin, y0+2*margin)
	for range passes - 1 {
		pass(next, cells, hw, hh, choice, 3)
		cells, next = next, cells
	}
	// The last pass is not limited, so that ridges are pure waves, which can be
	// enlarged without steps.
	pass(next, cells, hw, hh, choice, 1)
	return enlarge(next, hw, w, h, 2.6*127)
}

// chooseFilters looks up the filter of every square of 2×2 cells. Rows hold
// ⌈w/2⌉ choices.
func chooseFilters(f *flow, w, h int, x0, y0 float64) []uint16 {
	choice := make([]uint16, 0, (w+1)/2*((h+1)/2))
	for j := 0; j < h; j += 2 {
		for i := 0; i < w; i += 2 {
			x, y := float64(i+1)*2-x0, float64(j+1)*2-y0
			a := int(math.Round(f.direction(x, y)/(math.Pi/angles))) % angles
			if a < 0 {
				a += angles
			}
			p := (f.periodAt(x, y) - minPeriod) / (maxPeriod - minPeriod) * (periods - 1)
			choice = append(choice, uint16(a*periods+min(max(int(math.Round(p)), 0), periods-1)))
		}
	}
	return choice
}

// pass filters src into dst and limits the result to -1…1. The border, which
// has too few neighbours, is copied.
//
//go:norace
func pass(dst, src []float32, w, h int, choice []uint16, gain float32) {
	copy(dst, src)
	filters := bank()
	const reach = filterSide / 2
	for y := reach; y < h-reach; y++ {
		choices := choice[(y/2)*((w+1)/2):]
		for x := reach; x < w-reach; x++ {
			f := &filters[choices[x/2]]
			var sum float32
			for j := range filterSide {
				// The conversions keep the compiler from fusing multiplications with
				// additions, which would round differently.
				k := (*[filterSide]float32)(f[j*filterSide:])
				p := (*[filterSide]float32)(src[(y-reach+j)*w+x-reach:])
				sum += float32(p[0]*k[0]) + float32(p[1]*k[1]) + float32(p[2]*k[2]) +
					(float32(p[3]*k[3]) + float32(p[4]*k[4]) + float32(p[5]*k[5])) +
					(float32(p[6]*k[6]) + float32(p[7]*k[7]) + float32(p[8]*k[8]))
			}
			dst[y*w+x] = min(max(gain*sum, -1), 1)
		}
	}
}

// taps is the number of weights of the enlarging filter.
const taps = 6

// lanczos are the weights for a point a quarter of the way from the third
// value to the fourth; in reverse, from the fourth to the third.
var lanczos = sync.OnceValue(func() (weights [taps]float32) {
	sum := 0.0
	var l [taps]float64
	for i := range l {
		x := math.Pi * (float64(i-2) - 0.25)
		l[i] = math.Sin(x) / x * math.Sin(x/3) / (x / 3)
		sum += l[i]
	}
	for i := range l {
		weights[i] = float32(l[i] / sum)
	}
	return weights
})

// enlarge doubles the part of src inside its margin to w×h pixels, multiplies
// it with gain and limits it to ±127.
//
//go:norace
func enlarge(src []float32, sw, w, h int, gain float32) []int8 {
	k := lanczos()
	dst := make([]int8, w*h)
	line := make([]float32, sw)
	for y := range h {
		// The centre of pixel y lies at y/2 - 1/4 among the smaller ones.
		for i := range line {
			line[i] = interpolate(src[i:], sw, y, &k)
		}
		for x := range w {
			v := gain * interpolate(line, 1, x, &k)
			dst[y*w+x] = int8(math.Round(float64(min(max(v, -127), 127))))
		}
	}
	return dst
}

// interpolate returns the value at pixel i of the doubled line whose values are
// step apart in src, margin of them before the first.
func interpolate(src []float32, step, i int, k *[taps]float32) float32 {
	var sum float32
	first := (i/2 + margin - 2) * step
	if i%2 == 1 {
		for t, weight := range k {
			sum += float32(src[first+t*step] * weight)
		}
		return sum
	}
	first -= step
	for t, weight := range k {
		sum += float32(src[first+(taps-1-t)*step] * weight)
	}
	return sum
}
