package quality

import (
	"image"
	"math"
	"slices"

	"sbid/capture/segment"
)

// IrisMeasures are what is measured on an iris image, by the definitions of
// ISO/IEC 29794-6 and on its scales.
type IrisMeasures struct {
	UsableArea       float64 // percent of the iris free of lids, lashes and glints
	ScleraContrast   float64 // between iris and sclera, 0 to 100
	PupilContrast    float64 // between iris and pupil, 0 to 100
	PupilCircularity float64 // 0 to 100
	GreyUtilisation  float64 // entropy of the iris in bits
	PupilRatio       float64 // pupil radius in percent of the iris radius
	Concentricity    float64 // of pupil and iris, 0 to 100
	Margin           float64 // around the iris, percent of what a cropped image needs
	Sharpness        float64 // 0 to 100
	Diameter         float64 // of the iris, in pixels
	Noise            float64 // standard deviation of grey in the pupil, which is flat
}

// Iris returns the quality of the image of an eye found by segment.Eyes in it.
func Iris(img *image.Gray, eye segment.Eye) float64 { return MeasureIris(img, eye).Score() }

// Values from which a measure of an iris takes nothing off its score.
const (
	enoughSharpness   = 60
	enoughUsable      = 75
	enoughSclera      = 10
	enoughPupil       = 30
	enoughMargin      = 80
	enoughGrey        = 5.5
	enoughConcentric  = 90
	enoughDiameter    = 210 // MOSIP, registration
	ratioMin          = 20
	ratioMax          = 65
	oddRatio          = 0.5 // factor for a pupil ratio outside of these
	noiseFree         = 6
	noiseFatal        = noiseFree + 20
	glintGrey         = 235
	lashShare         = 0.4 // a lash is nearer to the pupil's grey than this share of the way to the iris
	circularityRadii  = 64
	circularityOrders = 16
)

// Score returns the measures as one number, 0 to 100: each takes off the share
// by which it falls short.
func (m IrisMeasures) Score() float64 {
	score := 100.0
	for _, f := range [...]struct{ is, enough float64 }{
		{m.Sharpness, enoughSharpness},
		{m.UsableArea, enoughUsable},
		{m.ScleraContrast, enoughSclera},
		{m.PupilContrast, enoughPupil},
		{m.Margin, enoughMargin},
		{m.GreyUtilisation, enoughGrey},
		{m.Concentricity, enoughConcentric},
		{m.Diameter, enoughDiameter},
		// Noise looks like sharpness and texture, so it must be taken off again.
		{noiseFatal - m.Noise, noiseFatal - noiseFree},
	} {
		score *= clamp(f.is/f.enough, 0, 1)
	}
	if m.PupilRatio < ratioMin || m.PupilRatio > ratioMax {
		score *= oddRatio
	}
	return score
}

// MeasureIris measures the image of an eye found by segment.Eyes in it. An eye
// that is not in the image measures nothing.
func MeasureIris(img *image.Gray, eye segment.Eye) IrisMeasures {
	v, ok := newIrisView(img, eye)
	if !ok {
		return IrisMeasures{}
	}
	m := v.regions()
	pupil, iris := eye.Pupil, eye.Iris
	m.PupilRatio = clamp(100*pupil.R/iris.R, 0, 100)
	m.Concentricity = clamp(100*(1-math.Hypot(pupil.X-iris.X, pupil.Y-iris.Y)/iris.R), 0, 100)
	m.Diameter = 2 * iris.R
	b := img.Bounds()
	m.Margin = 100 * clamp(min(
		(iris.X-iris.R-float64(b.Min.X))/(0.6*iris.R), (float64(b.Max.X)-iris.X-iris.R)/(0.6*iris.R),
		(iris.Y-iris.R-float64(b.Min.Y))/(0.2*iris.R), (float64(b.Max.Y)-iris.Y-iris.R)/(0.2*iris.R),
	), 0, 1)
	m.Sharpness = v.sharpness()
	return m
}

// An irisView is an eye with the pixels around it.
type irisView struct {
	img *image.Gray
	eye segment.Eye
	box image.Rectangle // around the iris, with room for the sclera, clipped
}

// Circles beyond these are not an eye; they bound the work on a made-up one.
const (
	pupilRadiusMin = 4
	irisRadiusMax  = 4096
)

func newIrisView(img *image.Gray, eye segment.Eye) (irisView, bool) {
	p, c := eye.Pupil, eye.Iris
	if img == nil || !(p.R >= pupilRadiusMin && c.R > p.R && c.R <= irisRadiusMax) ||
		!(math.Abs(c.X) < 1<<30 && math.Abs(c.Y) < 1<<30 && math.Hypot(p.X-c.X, p.Y-c.Y) < c.R) {
		return irisView{}, false
	}
	r := 1.2 * c.R
	box := image.Rect(int(c.X-r), int(c.Y-r), int(c.X+r)+1, int(c.Y+r)+1).Intersect(img.Bounds())
	return irisView{img, eye, box}, !box.Empty() && len(img.Pix) >= (img.Rect.Dy()-1)*img.Stride+img.Rect.Dx()
}

// regions measures area, contrasts, greys and noise, which need the pixels of
// pupil, iris and sclera apart.
func (v irisView) regions() IrisMeasures {
	pupilC, irisC := v.eye.Pupil, v.eye.Iris
	var pupil, inner, outer, sclera, free greys
	var noise []float64
	var window [9]uint8
	upper, lower := make([]float64, v.box.Dx()), make([]float64, v.box.Dx())
	for i := range upper {
		x := float64(v.box.Min.X+i) + 0.5
		upper[i], lower[i] = v.eye.Upper.Y(x), v.eye.Lower.Y(x)
	}
	square := func(r float64) float64 { return r * r }
	// Limits of the regions, as squares of distances from either centre.
	pupilIn, pupilOut, innerIn := square(0.8*pupilC.R), square(pupilC.R), square(1.1*pupilC.R)
	middle := square((pupilC.R + irisC.R) / 2)
	outerOut, irisOut := square(0.9*irisC.R), square(irisC.R)
	scleraIn, scleraOut := square(1.1*irisC.R), square(1.2*irisC.R)
	for y := v.box.Min.Y; y < v.box.Max.Y; y++ {
		fy := float64(y) + 0.5
		row := v.img.Pix[v.img.PixOffset(v.box.Min.X, y):][:v.box.Dx()]
		for i, g := range row {
			fx := float64(v.box.Min.X+i) + 0.5
			covered := g > glintGrey || fy < upper[i] || fy > lower[i]
			toPupil := square(fx-pupilC.X) + square(fy-pupilC.Y)
			toIris := square(fx-irisC.X) + square(fy-irisC.Y)
			switch {
			case toPupil < pupilIn:
				if covered {
					continue
				}
				pupil.add(g)
				if y > v.box.Min.Y && y < v.box.Max.Y-1 && i > 0 && i < len(row)-1 {
					for k := range window {
						window[k] = v.img.Pix[v.img.PixOffset(v.box.Min.X+i+k%3-1, y+k/3-1)]
					}
					slices.Sort(window[:])
					noise = append(noise, math.Abs(float64(g)-float64(window[4])))
				}
			case toPupil >= pupilOut && toIris < irisOut:
				if covered {
					continue
				}
				free.add(g)
				if toPupil >= innerIn && toIris < middle {
					inner.add(g)
				} else if toIris >= middle && toIris < outerOut {
					outer.add(g)
				}
			case toIris >= scleraIn && toIris < scleraOut && math.Abs(fy-irisC.Y) < 0.5*irisC.R:
				if !covered {
					sclera.add(g)
				}
			}
		}
	}
	// Of the whole iris: what the image does not show is not usable either.
	area := math.Pi * (irisOut - pupilOut)
	P, N, I, S := pupil.quantile(0.5), inner.quantile(0.5), outer.quantile(0.5), sclera.quantile(0.5)
	lashes := 0
	for g, c := range free.count {
		if float64(g) < P+lashShare*(I-P) {
			lashes += c
		}
	}
	m := IrisMeasures{
		UsableArea:      clamp(100*float64(free.n-lashes)/area, 0, 100),
		GreyUtilisation: free.entropy(),
	}
	if d := S + I - 2*P; d > 0 && sclera.n > 0 {
		m.ScleraContrast = clamp(100*math.Abs(S-I)/d, 0, 100)
	}
	if w := (N - P) / (20 + P); w > 0 {
		m.PupilContrast = 100 * w / (0.75 + w)
		m.PupilCircularity = v.circularity((P + N) / 2)
	}
	if len(noise) > 0 {
		slices.Sort(noise)
		// The median deviation from the local median, as a standard deviation.
		m.Noise = 1.48 * noise[len(noise)/2]
	}
	return m
}

// sharpKernel is the band-pass filter of ISO/IEC 29794-6, its upper left
// quarter with the middle row and column.
var sharpKernel = [5][5]int{
	{0, 1, 1, 2, 2},
	{1, 2, 4, 5, 5},
	{1, 4, 5, 3, 0},
	{2, 5, 3, -12, -24},
	{2, 5, 0, -24, -40},
}

// sharpHalf is the mean square response to the kernel at which sharpness is 50.
const sharpHalf = 180000

func (v irisView) sharpness() float64 {
	const reach = 4
	c := v.eye.Iris
	r := image.Rect(int(c.X-c.R), int(c.Y-c.R), int(c.X+c.R)+1, int(c.Y+c.R)+1).
		Intersect(v.img.Bounds().Inset(reach))
	var power, n float64
	for y := r.Min.Y; y < r.Max.Y; y += 4 {
		for x := r.Min.X; x < r.Max.X; x += 4 {
			sum := 0
			for j := -reach; j <= reach; j++ {
				k := &sharpKernel[reach-max(j, -j)]
				row := v.img.Pix[v.img.PixOffset(x-reach, y+j):][:2*reach+1]
				for i, g := range row[:reach] {
					sum += k[i] * (int(g) + int(row[2*reach-i]))
				}
				sum += k[reach] * int(row[reach])
			}
			power += float64(sum * sum)
			n++
		}
	}
	p := power / max(n, 1)
	return 100 * p * p / (p*p + sharpHalf*sharpHalf)
}

// circularity returns how little the outline of the pupil, where the grey
// passes edge, leaves a circle: 100 less the power of its first harmonics.
func (v irisView) circularity(edge float64) float64 {
	var radii [circularityRadii]float64
	p := v.eye.Pupil
	for k := range radii {
		s, c := math.Sincos(2 * math.Pi * float64(k) / circularityRadii)
		const step = 0.5
		radii[k] = 1.3 * p.R
		last := 0.0
		for r := 0.7 * p.R; r < 1.3*p.R; r += step {
			// The mean of three pixels, against noise.
			g := (v.grey(p.X+(r-1)*c, p.Y+(r-1)*s) + v.grey(p.X+r*c, p.Y+r*s) + v.grey(p.X+(r+1)*c, p.Y+(r+1)*s)) / 3
			if g >= edge {
				radii[k] = r - step*clamp((g-edge)/max(g-last, 1), 0, 1)
				break
			}
			last = g
		}
	}

	var power float64
	for order := 1; order <= circularityOrders; order++ {
		var re, im float64
		for k, r := range radii {
			s, c := math.Sincos(2 * math.Pi * float64(k*order%circularityRadii) / circularityRadii)
			re, im = re+r*c, im+r*s
		}
		power += re*re + im*im
	}
	return clamp(100-power/circularityRadii, 0, 100)
}

// grey returns the grey at a place, interpolated between pixels; outside of the
// image that of its edge. Glints count as pupil, in which they lie.
func (v irisView) grey(x, y float64) float64 {
	b := v.img.Bounds()
	x = clamp(x-0.5, float64(b.Min.X), float64(b.Max.X-1))
	y = clamp(y-0.5, float64(b.Min.Y), float64(b.Max.Y-1))
	x0, y0 := math.Floor(x), math.Floor(y)
	at := func(dx, dy int) float64 {
		g := v.img.GrayAt(min(int(x0)+dx, b.Max.X-1), min(int(y0)+dy, b.Max.Y-1)).Y
		if g > glintGrey {
			return 0
		}
		return float64(g)
	}
	tx, ty := x-x0, y-y0
	return (at(0, 0)*(1-tx)+at(1, 0)*tx)*(1-ty) + (at(0, 1)*(1-tx)+at(1, 1)*tx)*ty
}
