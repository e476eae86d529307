package quality

import "math"

// Across a block that is turned until its ridges stand upright runs a cut of
// this many pixels, averaged over so many along the ridges.
const (
	cutLength = 32
	cutDepth  = 16
)

// fixed is the unit of fixed-point coordinates.
const fixed = 1 << 16

// A turn reads pixels of a print along and across the ridges of a block.
type turn struct {
	x, y     int // of the place with the coordinates (0, 0), in units of 1/fixed
	sin, cos int
	x0, y0   int // what lies outside of x0 ≤ x < x1, y0 ≤ y < y1 is black
	x1, y1   int
}

// newTurn turns around the place (cx, cy), seeing only size pixels to either
// side of it.
func (p *impression) newTurn(cx, cy, size int, sin, cos float64) turn {
	return turn{
		x: cx*fixed + fixed/2, y: cy*fixed + fixed/2, // so that cutting off rounds
		sin: int(math.Round(sin * fixed)), cos: int(math.Round(cos * fixed)),
		x0: max(cx-size, 0), y0: max(cy-size, 0),
		x1: min(cx+size, p.w), y1: min(cy+size, p.h),
	}
}

// scan reads the pixels u, u+1, … across and v along the ridges from the
// centre into row.
func (p *impression) scan(t *turn, u, v int, row []uint8) {
	x, y := t.x+u*t.cos-v*t.sin, t.y+u*t.sin+v*t.cos
	for i := range row {
		px, py := x>>16, y>>16
		row[i] = 0
		if px >= t.x0 && py >= t.y0 && px < t.x1 && py < t.y1 {
			row[i] = p.pix[py*p.stride+px]
		}
		x += t.cos
		y += t.sin
	}
}

// Limits of the mean width of ridges and valleys in pixels at 500 dpi.
const (
	ridgeMin, valleyMin = 3, 2
	widthMax            = 10
)

// clarity returns the local clarity score of the block at (x, y), 0 to 1, whose
// ridges are crossed in the direction (cos, sin).
func (p *impression) clarity(x, y int, sin, cos float64) float64 {
	const half = block/2 + overlap
	t := p.newTurn(x-overlap+half, y-overlap+half, half, sin, cos)
	var cut [cutDepth][cutLength]uint8
	var profile [cutLength]int // sums of the columns
	for j := range cut {
		p.scan(&t, -cutLength/2, j-cutDepth/2, cut[j][:])
		for i, g := range cut[j] {
			profile[i] += int(g)
		}
	}
	// The line through the profile parts ridges, below it, from valleys.
	var line [cutLength]float64
	var sum, moment float64
	for i, v := range profile {
		sum += float64(v)
		moment += float64(v) * (float64(i) - (cutLength-1)/2.0)
	}
	const spread = cutLength * (cutLength*cutLength - 1) / 12.0
	var ridge [cutLength]bool
	for i := range line {
		line[i] = sum/cutLength + moment/spread*(float64(i)-(cutLength-1)/2.0)
		ridge[i] = float64(profile[i]) < line[i]-1e-6
	}
	if !plausibleWidths(&ridge) {
		return 0
	}
	// Pixels on the wrong side of the line, and all, of valleys and of ridges.
	var wrong, pixels [2]int
	for i := range cutLength {
		limit := int(math.Ceil(line[i] / cutDepth)) // a grey is below the line if it is below this
		kind, n := 0, 0
		for j := range cut {
			if int(cut[j][i]) < limit {
				n++
			}
		}
		if ridge[i] {
			kind, n = 1, cutDepth-n
		}
		wrong[kind] += n
		pixels[kind] += cutDepth
	}
	return 1 - (float64(wrong[0])/float64(pixels[0])+float64(wrong[1])/float64(pixels[1]))/2
}

// plausibleWidths tells whether ridges and valleys are on average as wide as
// those of a finger. The last one, which the edge cuts, does not count, and
// the first counts one less than it shows, as in NFIQ 2.
func plausibleWidths(ridge *[cutLength]bool) bool {
	var width, runs [2]int // of valleys, of ridges
	from := 1
	for i := 1; i < cutLength; i++ {
		if ridge[i] == ridge[i-1] {
			continue
		}
		kind := 0
		if ridge[i-1] {
			kind = 1
		}
		width[kind] += i - from
		runs[kind]++
		from = i
	}
	return runs[0] > 0 && runs[1] > 0 &&
		width[0] >= valleyMin*runs[0] && width[0] <= widthMax*runs[0] &&
		width[1] >= ridgeMin*runs[1] && width[1] <= widthMax*runs[1]
}

// cosines holds cos(2πn/cutLength).
var cosines = func() (t [cutLength]float32) {
	for n := range t {
		t[n] = float32(math.Cos(2 * math.Pi * float64(n) / cutLength))
	}
	return t
}()

// frequency returns the share of the strongest spatial frequency in the cut
// across the ridges of the block at (x, y), with a part of its neighbours; 1
// if it is the lowest one, when there is no ridge pattern.
func (p *impression) frequency(x, y int, sin, cos float64) float64 {
	// As NFIQ 2 has it, the window is wider than that of clarity by two pixels
	// a side, and the cut lies two pixels from the centre of the turn.
	const half, off = block/2 + 2*overlap, 2
	t := p.newTurn(x+block/2, y+block/2, half, cos, -sin)
	var profile [cutLength]float32
	var row [cutDepth]uint8
	for j := range profile {
		p.scan(&t, -cutDepth/2-off, j-cutLength/2-off, row[:])
		sum := 0
		for _, g := range row {
			sum += int(g)
		}
		profile[j] = float32(sum)
	}
	const bins = cutLength / 2
	var amp [bins + 2]float32 // by frequency; the last mirrors the one before bins
	for k := 1; k <= bins; k++ {
		var re, im float32
		for n, v := range profile {
			re += v * cosines[k*n%cutLength]
			im += v * cosines[(k*n+cutLength/4)%cutLength]
		}
		amp[k] = float32(math.Sqrt(float64(re*re + im*im)))
	}
	amp[bins+1] = amp[bins-1]
	best, sum := 1, float32(0)
	for k := 1; k <= bins; k++ {
		if amp[k] > amp[best] {
			best = k
		}
		if k < bins {
			sum += amp[k]
		}
	}
	if best == 1 || sum == 0 {
		return 1
	}
	return float64((amp[best] + 0.3*(amp[best-1]+amp[best+1])) / sum)
}
