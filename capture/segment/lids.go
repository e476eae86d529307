package segment

import (
	"image"
	"math"
)

// How the edge of a lid is looked for.
const (
	lidColumns = 21   // across the iris
	lidStep    = 14   // least rise of grey from the iris to the lid
	lidReach   = 3    // rows between the edge and the greys compared
	lidOutlier = 10.0 // pixels from the parabola
	openLid    = 1.05 // iris radii from the centre, of a lid that covers no iris
)

// findLid finds the lid of e above (dir -1) or below (dir +1) the pupil: in
// each column the strongest brightening on the way out, while still in the
// iris, and a parabola through those places. Where fewer than a third of the
// columns meet a lid it is open.
func findLid(img *image.Gray, e Eye, dir float64) Lid {
	lid := Lid{X0: e.Iris.X, A: e.Iris.Y + dir*openLid*e.Iris.R}
	var pts []Point
	for k := range lidColumns {
		t := -1 + 2*float64(k)/(lidColumns-1)
		x := e.Iris.X + t*e.Iris.R
		limit := e.Iris.R*math.Sqrt(1-t*t) - 2*lidReach
		start := 0.2 * e.Iris.R
		if d := math.Abs(x - e.Pupil.X); d < e.Pupil.R {
			start = max(start, math.Sqrt(e.Pupil.R*e.Pupil.R-d*d)+dir*(e.Pupil.Y-e.Iris.Y)+2*lidReach)
		}
		best, at := float64(lidStep), 0.0
		for d := start; d < limit; d++ {
			y := e.Iris.Y + dir*d
			inner, ok1 := boxMean(img, x, y-dir*lidReach)
			outer, ok2 := boxMean(img, x, y+dir*lidReach)
			if ok1 && ok2 && outer-inner > best {
				best, at = outer-inner, d
			}
		}
		if at > 0 {
			pts = append(pts, Point{x, e.Iris.Y + dir*at})
		}
	}
	for range 3 {
		if len(pts) < lidColumns/3 {
			return Lid{X0: e.Iris.X, A: e.Iris.Y + dir*openLid*e.Iris.R}
		}
		lid = fitParabola(pts, e.Iris.X)
		kept := pts[:0]
		for _, p := range pts {
			if math.Abs(lid.Y(p.X)-p.Y) <= lidOutlier {
				kept = append(kept, p)
			}
		}
		pts = kept
	}
	return lid
}

// boxMean returns the mean grey of the 9 x 3 pixels around (x, y).
func boxMean(img *image.Gray, x, y float64) (mean float64, ok bool) {
	cx, cy := int(math.Floor(x)), int(math.Floor(y))
	if cx < 4 || cy < 1 || cx+4 >= img.Rect.Dx() || cy+1 >= img.Rect.Dy() {
		return 0, false
	}
	sum := 0
	for j := cy - 1; j <= cy+1; j++ {
		for _, g := range img.Pix[j*img.Stride+cx-4 : j*img.Stride+cx+5] {
			sum += int(g)
		}
	}
	return float64(sum) / 27, true
}

// fitParabola returns the parabola through pts with the least square error.
func fitParabola(pts []Point, x0 float64) Lid {
	var s [5]float64 // sums of powers of t
	var r [3]float64 // sums of y times powers of t
	for _, p := range pts {
		t, y, pow := p.X-x0, p.Y, 1.0
		for k := range s {
			s[k] += pow
			if k < len(r) {
				r[k] += y * pow
			}
			pow *= t
		}
	}
	det := func(a, b, c [3]float64) float64 {
		return a[0]*(b[1]*c[2]-b[2]*c[1]) - b[0]*(a[1]*c[2]-a[2]*c[1]) + c[0]*(a[1]*b[2]-a[2]*b[1])
	}
	c0, c1, c2 := [3]float64{s[0], s[1], s[2]}, [3]float64{s[1], s[2], s[3]}, [3]float64{s[2], s[3], s[4]}
	d := det(c0, c1, c2)
	if d == 0 || s[0] == 0 { // fewer than three columns
		return Lid{X0: x0, A: r[0] / max(s[0], 1)}
	}
	return Lid{X0: x0, A: det(r, c1, c2) / d, B: det(c0, r, c2) / d, C: det(c0, c1, r) / d}
}
