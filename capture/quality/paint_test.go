package quality_test

import (
	"image"
	"math"
	"math/rand/v2"

	"sbid/capture/segment"
)

// A fingerprint is how a finger is painted.
type fingerprint struct {
	size   float64 // of the contact, 1 is 250 x 370 pixels
	ridge  float64 // grey of the ridges
	platen float64 // grey of the platen, before sensor noise and clipping
	noise  float64 // standard deviation
	blur   float64 // standard deviation in pixels
	gaps   float64 // share of the ridges that dry or worn skin does not print
	period float64 // of the ridges in pixels
}

func ordinaryFinger() fingerprint {
	return fingerprint{size: 1, ridge: 45, platen: 258, noise: 3, blur: 0.7, gaps: 0.1, period: 9}
}

// paint draws a print of arches around a core on a platen of w x h pixels.
func (f fingerprint) paint(w, h int) *image.Gray {
	r := rand.New(rand.NewPCG(1, 2))
	cover := make([]float64, w*h)
	patches := noiseField(r, w, h, 7)
	cx, cy := float64(w)/2, float64(h)/2
	for y := range h {
		for x := range w {
			dx, dy := float64(x)-cx, float64(y)-cy
			e := math.Hypot(dx/(125*f.size), dy/(185*f.size))
			in := clamp((1 - e) * 12 * f.size)
			if in == 0 {
				continue
			}
			ridge := math.Sin(2 * math.Pi * (math.Hypot(dx, 0.8*(dy+30)) + 6*math.Sin(dx/70)) / f.period)
			lost := clamp((patches[y*w+x] - 1.6 + 2.2*f.gaps) * 2)
			cover[y*w+x] = in * (0.06 + 0.94*clamp(0.5+ridge/0.7)*(1-lost))
		}
	}
	blur(cover, w, h, f.blur)
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i, c := range cover {
		img.Pix[i] = grey(f.platen - (f.platen-f.ridge)*c + f.noise*r.NormFloat64())
	}
	return img
}

// An eyeball is how an eye is painted.
type eyeball struct {
	pupil, iris segment.Circle
	open        float64 // of the upper lid above the iris centre, in iris radii
	irisGrey    float64
	scleraGrey  float64
	texture     float64 // standard deviation of the iris
	noise       float64
	blur        float64
}

func ordinaryEye() eyeball {
	return eyeball{
		pupil: segment.Circle{Point: segment.Point{X: 323, Y: 242}, R: 45},
		iris:  segment.Circle{Point: segment.Point{X: 320, Y: 240}, R: 112},
		open:  0.95, irisGrey: 118, scleraGrey: 178, texture: 20, noise: 3, blur: 0.9,
	}
}

// paint draws the eye on 640 x 480 pixels, and returns where it is.
func (e eyeball) paint() (*image.Gray, segment.Eye) {
	const w, h = 640, 480
	r := rand.New(rand.NewPCG(3, 4))
	fibres := noiseField(r, w, h, 6)
	g := make([]float64, w*h)
	lid := e.iris.Y - e.open*e.iris.R
	for y := range h {
		for x := range w {
			fx, fy := float64(x)+0.5, float64(y)+0.5
			v := 168.0
			switch {
			case fy < lid:
			case math.Hypot(fx-e.pupil.X, fy-e.pupil.Y) < e.pupil.R:
				v = 14
			case math.Hypot(fx-e.iris.X, fy-e.iris.Y) < e.iris.R:
				v = e.irisGrey + e.texture*fibres[y*w+x]
			default:
				v = e.scleraGrey
			}
			g[y*w+x] = v
		}
	}
	blur(g, w, h, e.blur)
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i, v := range g {
		img.Pix[i] = grey(v + e.noise*r.NormFloat64())
	}
	return img, segment.Eye{
		Pupil: e.pupil, Iris: e.iris,
		Upper: segment.Lid{X0: e.iris.X, A: lid},
		Lower: segment.Lid{X0: e.iris.X, A: e.iris.Y + 2*e.iris.R},
	}
}

// noiseField returns smooth noise of unit variance whose grains are cell
// pixels wide.
func noiseField(r *rand.Rand, w, h, cell int) []float64 {
	gw := w/cell + 2
	grid := make([]float64, gw*(h/cell+2))
	for i := range grid {
		grid[i] = 1.5 * r.NormFloat64()
	}
	out := make([]float64, w*h)
	for y := range h {
		for x := range w {
			tx, ty := float64(x%cell)/float64(cell), float64(y%cell)/float64(cell)
			g := grid[y/cell*gw+x/cell:]
			out[y*w+x] = (g[0]*(1-tx)+g[1]*tx)*(1-ty) + (g[gw]*(1-tx)+g[gw+1]*tx)*ty
		}
	}
	return out
}

// blur filters p with a Gaussian of the standard deviation sd, in pixels.
func blur(p []float64, w, h int, sd float64) {
	n := int(3*sd) + 1
	kernel := make([]float64, n+1)
	sum := 0.0
	for i := range kernel {
		kernel[i] = math.Exp(-float64(i*i) / (2 * sd * sd))
		sum += kernel[i]
		if i > 0 {
			sum += kernel[i]
		}
	}
	line := make([]float64, max(w, h))
	pass := func(from, step, length int) {
		for i := range length {
			line[i] = p[from+i*step]
		}
		for i := range length {
			v := kernel[0] * line[i]
			for k := 1; k <= n; k++ {
				v += kernel[k] * (line[max(i-k, 0)] + line[min(i+k, length-1)])
			}
			p[from+i*step] = v / sum
		}
	}
	for y := range h {
		pass(y*w, 1, w)
	}
	for x := range w {
		pass(x, w, h)
	}
}

func clamp(x float64) float64 { return max(0, min(x, 1)) }

func grey(v float64) uint8 { return uint8(max(0, min(v+0.5, 255))) }
