package simulator

import (
	"math"
	"math/rand/v2"
	"sync"
)

// The ridges of a finger grow out of noise by filtering it again and again
// with the local direction and period, as in SFinGe (Cappelli, 2004): first at
// half resolution, where most of the work is done, then at full resolution.
const (
	angles     = 64 // of the filter bank, over half a turn
	periods    = 10
	minPeriod  = 7.0 // px at 500 dpi
	maxPeriod  = 13.0
	halfSide   = 9 // of a filter at half resolution
	fullSide   = 15
	halfPasses = 24 // fewer leave more minutiae, more heal them
	fullPasses = 2
)

// A bank holds one filter for each direction and period.
type bank struct {
	side    int
	kernels [angles * periods][]float32
}

var (
	halfBank = sync.OnceValue(func() *bank { return newBank(halfSide, 0.5, 0.42) })
	fullBank = sync.OnceValue(func() *bank { return newBank(fullSide, 1, 0.38) })
)

// newBank makes Gabor filters of zero mean and unit sum of absolute values.
// Their Gaussian is round, with a standard deviation of spread periods.
func newBank(side int, scale, spread float64) *bank {
	b := &bank{side: side}
	for i := range b.kernels {
		sin, cos := math.Sincos(math.Pi * float64(i/periods) / angles)
		period := scale * (minPeriod + (maxPeriod-minPeriod)*float64(i%periods)/(periods-1))
		b.kernels[i] = gabor(side, sin, cos, period, spread*period)
	}
	return b
}

func gabor(side int, sin, cos, period, sd float64) []float32 {
	var wave, bell []float64
	var waves, bells float64
	for y := -side / 2; y <= side/2; y++ {
		for x := -side / 2; x <= side/2; x++ {
			across := float64(x)*sin + float64(y)*cos // y down, angle with y up
			g := math.Exp(-float64(x*x+y*y) / (2 * sd * sd))
			w := g * math.Cos(2*math.Pi*across/period)
			bell, wave = append(bell, g), append(wave, w)
			bells, waves = bells+g, waves+w
		}
	}
	var sum float64
	for i := range wave {
		wave[i] -= bell[i] * waves / bells
		sum += math.Abs(wave[i])
	}
	k := make([]float32, len(wave))
	for i := range k {
		k[i] = float32(wave[i] / sum)
	}
	return k
}

// margin is how far the growth at half resolution reaches beyond the picture,
// so that the border of the picture has neighbours.
const margin = 8

// grow returns the ridges of a picture of w×h pixels, both even: 127 is the
// middle of a ridge, -127 that of a valley. The flow's origin is at (x0, y0).
func grow(f *flow, r *rand.Rand, w, h int, x0, y0 float64) []int8 {
	hw, hh := w/2+2*margin, h/2+2*margin
	half := make([]float32, hw*hh)
	for i := range half {
		half[i] = float32(0.3 * r.NormFloat64())
	}
	choice := chooseFilters(f, hw, hh, 2, 2, x0+2*margin, y0+2*margin)
	next := make([]float32, hw*hh)
	for range halfPasses {
		halfBank().pass(next, half, hw, hh, 1, choice, 3.0)
		half, next = next, half
	}
	full := double(half, hw, w, h)
	choice = chooseFilters(f, w, h, 4, 1, x0, y0)
	next = make([]float32, w*h)
	for range fullPasses {
		fullBank().pass(next, full, w, h, 2, choice, 2.2)
		full, next = next, full
	}
	ridges := make([]int8, w*h)
	for i, v := range full {
		ridges[i] = int8(math.Round(float64(v) * 127))
	}
	return ridges
}

// chooseFilters looks up the filter of every block of block×block pixels,
// each of which is scale pixels of the flow wide. Rows hold ⌈w/block⌉ choices.
func chooseFilters(f *flow, w, h, block int, scale, x0, y0 float64) []uint16 {
	columns := (w + block - 1) / block
	choice := make([]uint16, 0, columns*((h+block-1)/block))
	for by := 0; by < h; by += block {
		for bx := 0; bx < w; bx += block {
			x := (float64(bx)+float64(block)/2)*scale - x0
			y := (float64(by)+float64(block)/2)*scale - y0
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

// pass filters src into dst and limits the result to -1…1. Blocks of
// 1<<shift by 1<<shift pixels share a filter. The border, which has too few neighbours,
// is only limited.
//
//go:norace
func (b *bank) pass(dst, src []float32, w, h, shift int, choice []uint16, gain float32) {
	copy(dst, src)
	n, reach := b.side, b.side/2
	columns := (w + 1<<shift - 1) >> shift
	for y := reach; y < h-reach; y++ {
		filters := choice[(y>>shift)*columns:]
		for x := reach; x < w-reach; x++ {
			kernel := b.kernels[filters[x>>shift]]
			var sum float32
			at := (y-reach)*w + x - reach
			for len(kernel) >= n {
				row := src[at : at+n : at+n]
				k := kernel[:len(row)]
				var s0, s1, s2 float32
				for i := 0; i+2 < len(row); i += 3 {
					s0 += float32(row[i] * k[i])
					s1 += float32(row[i+1] * k[i+1])
					s2 += float32(row[i+2] * k[i+2])
				}
				sum += s0 + s1 + s2
				kernel = kernel[n:]
				at += w
			}
			dst[y*w+x] = min(max(gain*sum, -1), 1)
		}
	}
}

// double enlarges the part of src inside its margin twofold to w×h pixels by
// bilinear interpolation.
//
//go:norace
func double(src []float32, sw, w, h int) []float32 {
	dst := make([]float32, w*h)
	for y := range h {
		// The centre of pixel y lies at y/2 - 1/4 among the smaller ones.
		j, ty := y/2+margin, float32(0.25)
		if y%2 == 0 {
			j, ty = j-1, 0.75
		}
		for x := range w {
			i, tx := x/2+margin, float32(0.25)
			if x%2 == 0 {
				i, tx = i-1, 0.75
			}
			a, b := src[j*sw+i:], src[(j+1)*sw+i:]
			top := a[0] + float32((a[1]-a[0])*tx)
			bottom := b[0] + float32((b[1]-b[0])*tx)
			dst[y*w+x] = top + float32((bottom-top)*ty)
		}
	}
	return dst
}
