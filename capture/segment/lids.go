package segment

import (
	"image"
	"math"
)

// How the edge of a lid is looked for.
const (
	lidColumns = 21   // across the iris
	lidReach   = 3    // rows between the edge and the greys compared
	lidStep    = 12   // a rise of grey from the eye to the lid that texture makes, too
	lidStepMax = 30   // what a larger rise counts
	lidLeast   = 60   // least sum of rises, of at least four columns
	lidClear   = 5    // pixels from the outlines of pupil and iris, which rise as well
	openLid    = 1.25 // iris radii from the centre, of a lid that covers no iris
)

// findLid finds the lid of e above (dir -1) or below (dir +1): the flat
// parabola over the iris along which the grey rises most on the way out. If
// there is none the lid is open.
func findLid(img *image.Gray, e Eye, dir float64) Lid {
	r := e.Iris.R
	rise := newLidRise(img, e, dir)
	best, sum := Lid{X0: e.Iris.X, A: e.Iris.Y + dir*openLid*r}, float64(lidLeast)
	try := func(a, b, c float64) {
		l := Lid{X0: e.Iris.X, A: e.Iris.Y + dir*a, B: b, C: -dir * c / r}
		if s := rise.along(l); s > sum {
			best, sum = l, s
		}
	}
	for a := -0.2 * r; a < r; a += 2 {
		for b := -0.16; b <= 0.17; b += 0.08 {
			for c := 0.0; c <= 0.61; c += 0.15 {
				try(a, b, c)
			}
		}
	}
	if sum == lidLeast {
		return best
	}
	a, b, c := dir*(best.A-e.Iris.Y), best.B, -dir*best.C*r
	for da := -2.0; da <= 2; da++ {
		for db := -0.04; db <= 0.05; db += 0.02 {
			for dc := -0.1; dc <= 0.11; dc += 0.05 {
				try(a+da, b+db, max(c+dc, 0))
			}
		}
	}
	return best
}

// A lidRise holds how much the grey rises towards a lid, in columns across the
// iris, from which it is also clear how much of a rise texture makes.
type lidRise struct {
	x    [lidColumns]float64
	y0   float64 // of the first row
	rows [lidColumns][]float64
}

func newLidRise(img *image.Gray, e Eye, dir float64) *lidRise {
	var l lidRise
	r := e.Iris.R
	l.y0 = math.Floor(e.Iris.Y - r)
	for k := range l.x {
		t := -1 + 2*(float64(k)+0.5)/lidColumns
		l.x[k] = e.Iris.X + t*r
		l.rows[k] = make([]float64, int(2*r)+2)
		for j := range l.rows[k] {
			y := l.y0 + float64(j) + 0.5
			if math.Hypot(l.x[k]-e.Iris.X, y-e.Iris.Y) > r-lidClear ||
				math.Abs(math.Hypot(l.x[k]-e.Pupil.X, y-e.Pupil.Y)-e.Pupil.R) < lidClear {
				continue
			}
			inner, ok1 := boxMean(img, l.x[k], y-dir*lidReach)
			outer, ok2 := boxMean(img, l.x[k], y+dir*lidReach)
			if ok1 && ok2 {
				l.rows[k][j] = min(outer-inner, lidStepMax) - lidStep
			}
		}
	}
	return &l
}

// along returns the sum of what the grey rises across a lid beyond what
// texture makes.
func (l *lidRise) along(lid Lid) (sum float64) {
	for k, x := range l.x {
		if j := int(lid.Y(x) - l.y0); j >= 0 && j < len(l.rows[k]) {
			sum += l.rows[k][j]
		}
	}
	return sum
}

// boxMean returns the mean grey of the 9 x 3 pixels around (x, y); ok is false
// if they are not in the image or hold a glint.
func boxMean(img *image.Gray, x, y float64) (mean float64, ok bool) {
	cx, cy := int(math.Floor(x)), int(math.Floor(y))
	if cx < 4 || cy < 1 || cx+4 >= img.Rect.Dx() || cy+1 >= img.Rect.Dy() {
		return 0, false
	}
	sum := 0
	for j := cy - 1; j <= cy+1; j++ {
		for _, g := range img.Pix[j*img.Stride+cx-4 : j*img.Stride+cx+5] {
			if g > glintGrey-20 { // they are blurred
				return 0, false
			}
			sum += int(g)
		}
	}
	return float64(sum) / 27, true
}
