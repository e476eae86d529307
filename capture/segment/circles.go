package segment

import (
	"cmp"
	"image"
	"math"
	"slices"
)

// pupilCell is the side of the squares in which the pupil is looked for first,
// in pixels.
const pupilCell = 4

// darkDiscs returns places that may be the pupil, the likeliest first: dark,
// compact parts of img. Several greys are tried as the limit of what is dark,
// since pupils differ and a dark iris must not join in.
func darkDiscs(img *image.Gray) []Circle {
	mean := Luminance(img, img.Rect, pupilCell)
	w := mean.Rect.Dx()
	type disc struct {
		Circle
		weight float64
	}
	var discs []disc
	for _, dark := range []uint8{50, 30, 80} {
		label := make([]int32, len(mean.Pix))
		for i, g := range mean.Pix {
			if g < dark {
				label[i] = unlabelled
			}
		}
		parts := connected(label, w)
		sums := make([]image.Point, len(parts))
		for i, l := range label {
			if l > 0 {
				sums[l-1] = sums[l-1].Add(image.Pt(i%w, i/w))
			}
		}
		for i, p := range parts {
			n, pw, ph := float64(p.cells), p.width(), p.bottom-p.top
			aspect := float64(min(pw, ph)) / float64(max(pw, ph))
			fill := n / float64(pw*ph)
			if p.cells < 20 || aspect < 0.5 || fill < 0.5 {
				continue
			}
			discs = append(discs, disc{Circle{
				Point{(float64(sums[i].X)/n + 0.5) * pupilCell, (float64(sums[i].Y)/n + 0.5) * pupilCell},
				math.Sqrt(n/math.Pi) * pupilCell,
			}, n * aspect * fill})
		}
	}
	slices.SortStableFunc(discs, func(a, b disc) int { return cmp.Compare(b.weight, a.weight) })
	out := make([]Circle, min(len(discs), 4))
	for i := range out {
		out[i] = discs[i].Circle
	}
	return out
}

// outlineStep is the least rise of grey, from inside to outside, across the
// outline of a pupil or an iris.
const outlineStep = 6

const glintGrey = 235 // reflections of the lamp are brighter

// A ring is a set of directions in which the outline of an eye is looked for.
type ring struct{ cos, sin []float64 }

// newRing returns n directions on each of the given arcs, in radians from x.
func newRing(n int, arcs ...[2]float64) ring {
	var r ring
	for _, a := range arcs {
		for i := range n {
			s, c := math.Sincos(a[0] + (a[1]-a[0])*(float64(i)+0.5)/float64(n))
			r.cos, r.sin = append(r.cos, c), append(r.sin, s)
		}
	}
	return r
}

const sideArc = 33 * math.Pi / 180 // lids cover the limbus above and below

var (
	fullRing  = newRing(64, [2]float64{0, 2 * math.Pi})
	sideRings = newRing(12, [2]float64{-sideArc, sideArc}, [2]float64{math.Pi - sideArc, math.Pi + sideArc})
)

// mean returns the mean grey on the circle around (x, y), without glints and
// what is outside img; ok is false if less than half of it is left.
func (r ring) mean(img *image.Gray, x, y, radius float64) (mean float64, ok bool) {
	var sum, n int
	w, h := float64(img.Rect.Dx()), float64(img.Rect.Dy())
	for i, c := range r.cos {
		px, py := x+radius*c, y+radius*r.sin[i]
		if px < 0 || py < 0 || px >= w || py >= h {
			continue
		}
		if g := int(img.Pix[int(py)*img.Stride+int(px)]); g <= glintGrey {
			sum += g
			n++
		}
	}
	return float64(sum) / float64(max(n, 1)), 2*n >= len(r.cos)
}

// edge returns the radius from r0 to r1 at which the grey around (x, y) rises
// most, and by how much: the integro-differential operator of J. Daugman
// (1993), with a box of two pixels on either side for its smoothing.
func (r ring) edge(img *image.Gray, x, y, r0, r1 float64) (radius, step float64) {
	const reach = 2
	var window [2*reach + 1]float64
	n := 0
	for rad := max(r0-reach, 1); rad <= r1+reach; rad++ {
		m, ok := r.mean(img, x, y, rad)
		if !ok {
			n = 0
			continue
		}
		copy(window[:], window[1:])
		window[2*reach] = m
		if n++; n < len(window) {
			continue
		}
		d := (window[4] + window[3] - window[1] - window[0]) / 2
		if d > step {
			radius, step = rad-reach, d
		}
	}
	return radius, step
}

// search returns the circle with the strongest edge whose centre is within
// reach of (x, y), on a grid that becomes finer by the given steps.
func (r ring) search(img *image.Gray, start Circle, r0, r1 float64, reach float64, steps ...float64) (best Circle, step float64) {
	best = start
	for _, grid := range steps {
		centre := best.Point
		for dy := -reach; dy <= reach; dy += grid {
			for dx := -reach; dx <= reach; dx += grid {
				rad, s := r.edge(img, centre.X+dx, centre.Y+dy, r0, r1)
				if s > step {
					best, step = Circle{Point{centre.X + dx, centre.Y + dy}, rad}, s
				}
			}
		}
		reach = grid
		if step > 0 { // the finer grid need not look far from the radius found
			r0, r1 = max(r0, best.R-4), min(r1, best.R+4)
		}
	}
	return best, step
}

// findPupil refines a guess at the pupil.
func findPupil(img *image.Gray, guess Circle) (Circle, bool) {
	c, step := fullRing.search(img, guess, 0.7*guess.R, 1.5*guess.R, 8, 4, 2, 1, 0.5)
	return c, step > outlineStep
}

// findLimbus finds the outer edge of the iris around its pupil.
func findLimbus(img *image.Gray, pupil Circle) (Circle, bool) {
	c, step := sideRings.search(img, pupil, 1.35*pupil.R, 4.2*pupil.R, 9, 3, 1, 0.5)
	return c, step > outlineStep
}
