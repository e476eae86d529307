package imagecodec

import (
	"image"
	"slices"
)

// A band is a rectangle of the plane that the wavelet transform works in place
// on: a subband, or a region that is split further. After filtering by a high
// pass, frequencies run backwards; so that all subbands lie in order of
// frequency, the halves of such a band change places when it is split.
type band struct {
	image.Rectangle
	backwardX, backwardY bool
}

// split returns the quarters of b: low, high across, high down, high both ways.
func (b band) split() [4]band {
	x := b.Min.X + firstHalf(b.Dx(), b.backwardX)
	y := b.Min.Y + firstHalf(b.Dy(), b.backwardY)
	return [4]band{
		{image.Rectangle{b.Min, image.Pt(x, y)}, false, false},
		{image.Rect(x, b.Min.Y, b.Max.X, y), true, false},
		{image.Rect(b.Min.X, y, x, b.Max.Y), false, true},
		{image.Rectangle{image.Pt(x, y), b.Max}, true, true},
	}
}

// firstHalf returns the length of the half that comes first in a line of n:
// the low pass, which is the longer one if n is odd, unless backward.
func firstHalf(n int, backward bool) int {
	if backward {
		return n / 2
	}
	return (n + 1) / 2
}

const (
	wsqBands = 60 // subbands that are coded
	wsqSlots = 64 // subbands that the tables have place for
)

// decompose returns the subband structure of a picture: the bands that are
// split, each before its quarters, and the subbands that remain and are coded,
// by number. The highest frequencies are neither split further nor coded.
func decompose(width, height int) (splits []band, subbands []band) {
	split := func(b band) [4]band {
		if !b.Empty() {
			splits = append(splits, b)
		}
		return b.split()
	}
	level1 := split(band{Rectangle: image.Rect(0, 0, width, height)})
	level2 := split(level1[0])
	level3 := split(level2[0])
	level4 := split(level3[0])
	level5 := split(level4[0])

	subbands = append(subbands, level5[:]...)  // 0 to 3
	subbands = append(subbands, level4[1:]...) // 4 to 6
	for _, b := range level3[1:] {             // 7 to 18
		quarters := split(b)
		subbands = append(subbands, quarters[:]...)
	}
	for _, b := range level2[1:3] { // 19 to 50
		for _, quarter := range split(b) {
			sixteenths := split(quarter)
			subbands = append(subbands, sixteenths[:]...)
		}
	}
	subbands = append(subbands, level2[3]) // 51
	for _, b := range level1[1:3] {        // 52 to 59
		quarters := split(b)
		subbands = append(subbands, quarters[:]...)
	}
	return splits, subbands
}

// filters are the two analysis filters, each from its centre outwards: they are
// symmetric, of 9 and 7 taps.
type filters struct {
	low  [5]float32
	high [4]float32
}

// wsqFilters are those of the standard.
var wsqFilters = filters{
	low:  [5]float32{0.85269867900940344, 0.37740285561265380, -0.11062440441842342, -0.02384946501938000, 0.03782845550699546},
	high: [4]float32{0.78848561640566439, -0.41809227322221221, -0.04068941760955844, 0.06453888262893845},
}

// reach is how far a filter looks to either side.
const reach = 4

// A plane holds the picture or its subbands, row by row.
type plane struct {
	width, height int
	v             []float32
}

func newPlane(width, height int) plane {
	return plane{width, height, make([]float32, width*height)}
}

// analyse turns the picture in p into its subbands.
func (p plane) analyse(splits []band, f filters) {
	buf := make([]float32, max(p.width, p.height)+2*reach)
	for _, b := range splits {
		for y := b.Min.Y; y < b.Max.Y; y++ {
			f.analyse(line{p.v[y*p.width+b.Min.X:], 1, b.Dx()}, b.backwardX, buf)
		}
		for x := b.Min.X; x < b.Max.X; x++ {
			f.analyse(line{p.v[b.Min.Y*p.width+x:], p.width, b.Dy()}, b.backwardY, buf)
		}
	}
}

// synthesise undoes analyse.
func (p plane) synthesise(splits []band, f filters) {
	buf := make([]float32, max(p.width, p.height)+2*reach)
	for _, b := range slices.Backward(splits) {
		for x := b.Min.X; x < b.Max.X; x++ {
			f.synthesise(line{p.v[b.Min.Y*p.width+x:], p.width, b.Dy()}, b.backwardY, buf)
		}
		for y := b.Min.Y; y < b.Max.Y; y++ {
			f.synthesise(line{p.v[y*p.width+b.Min.X:], 1, b.Dx()}, b.backwardX, buf)
		}
	}
}

// A line is a row or column of a band: n values, step apart.
type line struct {
	v    []float32
	step int
	n    int
}

// halves returns the places of the first low and the first high pass value.
func (l line) halves(backward bool) (low, high int) {
	first := firstHalf(l.n, backward) * l.step
	if backward {
		return first, 0
	}
	return 0, first
}

// analyse replaces l by its low and high pass, the low taken around the values
// of even index, the high around those of odd index.
func (f *filters) analyse(l line, backward bool, buf []float32) {
	for i := range l.n {
		buf[reach+i] = l.v[i*l.step]
	}
	mirror(buf, l.n)
	low, high := l.halves(backward)
	for i := 0; i < l.n; i += 2 {
		x := buf[i : i+2*reach+1]
		l.v[low] = f.low[0]*x[4] + f.low[1]*(x[3]+x[5]) + f.low[2]*(x[2]+x[6]) +
			f.low[3]*(x[1]+x[7]) + f.low[4]*(x[0]+x[8])
		low += l.step
	}
	for i := 1; i < l.n; i += 2 {
		x := buf[i : i+2*reach+1]
		l.v[high] = f.high[0]*x[4] + f.high[1]*(x[3]+x[5]) + f.high[2]*(x[2]+x[6]) +
			f.high[3]*(x[1]+x[7])
		high += l.step
	}
}

// synthesise undoes analyse. Low and high pass are laid alternately; then the
// filter for each output has the taps of the analysis filters by turns, those at
// an odd distance from their own centre negated.
func (f *filters) synthesise(l line, backward bool, buf []float32) {
	low, high := l.halves(backward)
	for i := range l.n {
		at := &low
		if i&1 == 1 {
			at = &high
		}
		buf[reach+i] = l.v[*at]
		*at += l.step
	}
	mirror(buf, l.n)
	if l.n == 1 { // there is no high pass to mirror
		buf[reach-3], buf[reach-1], buf[reach+1], buf[reach+3] = 0, 0, 0, 0
	}
	for i := 0; i < l.n; i += 2 {
		l.v[i*l.step] = f.even(buf[i : i+2*reach+1])
	}
	for i := 1; i < l.n; i += 2 {
		l.v[i*l.step] = f.odd(buf[i : i+2*reach+1])
	}
}

// even returns the value at x[4], where x begins with a low pass value. Terms
// are rounded to single precision and added in the order of NIST's decoder, so
// that pixels come out the same; the conversions forbid a fused multiply-add.
func (f *filters) even(x []float32) float32 {
	v := float32(f.high[2] * x[2])
	v += float32(f.high[0] * x[4])
	v += float32(f.high[2] * x[6])
	v -= float32(f.low[3] * x[1])
	v -= float32(f.low[1] * x[3])
	v -= float32(f.low[1] * x[5])
	v -= float32(f.low[3] * x[7])
	return v
}

// odd returns the value at x[4], where x begins with a high pass value.
func (f *filters) odd(x []float32) float32 {
	v := float32(-f.high[3] * x[1])
	v -= float32(f.high[1] * x[3])
	v -= float32(f.high[1] * x[5])
	v -= float32(f.high[3] * x[7])
	v += float32(f.low[4] * x[0])
	v += float32(f.low[2] * x[2])
	v += float32(f.low[0] * x[4])
	v += float32(f.low[2] * x[6])
	v += float32(f.low[4] * x[8])
	return v
}

// mirror continues the n values in buf at either end, around the outermost one,
// which is not repeated.
func mirror(buf []float32, n int) {
	period := max(2*(n-1), 1)
	for i := 1; i <= reach; i++ {
		buf[reach-i] = buf[reach+fold(i%period, n)]
		buf[reach+n-1+i] = buf[reach+fold((n-1+i)%period, n)]
	}
}

// fold returns which of n values stands at i in one period of the mirrored line.
func fold(i, n int) int {
	if i < n {
		return i
	}
	return 2*(n-1) - i
}
