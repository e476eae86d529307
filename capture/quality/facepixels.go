package quality

import (
	"image"
	"image/color"
	"math"

	"sbid/capture/segment"
)

// symmetry returns the correlation of the luminance right and left of the
// middle of the face, which leans as the eyes do, -1 to 1.
func (v faceView) symmetry() float64 {
	const perEye = 40 // places looked at in an inter-eye distance: enough for light and features
	const reach = 2   // whatever the face leans
	r := v.rect(-reach, -reach, reach, reach)
	k := max(1, int(v.ied/perEye))
	g := segment.Luminance(v.img, r, k)
	sin, cos := math.Sincos(v.box.Roll())
	at := func(x, y float64) (float64, bool) { // in inter-eye distances, along the eyes and across
		px := (v.eyes.X - float64(r.Min.X) + (x*cos-y*sin)*v.ied) / float64(k)
		py := (v.eyes.Y - float64(r.Min.Y) + (x*sin+y*cos)*v.ied) / float64(k)
		p := image.Pt(int(math.Floor(px)), int(math.Floor(py)))
		return float64(g.GrayAt(p.X, p.Y).Y), p.In(g.Rect)
	}
	var n, sa, sb, saa, sbb, sab float64
	for y := faceTop; y < faceBottom; y += 1.0 / perEye {
		for x := 0.5 / perEye; x < faceSide; x += 1.0 / perEye {
			a, ok1 := at(-x, y)
			b, ok2 := at(x, y)
			if !ok1 || !ok2 {
				continue
			}
			n, sa, sb = n+1, sa+a, sb+b
			saa, sbb, sab = saa+a*a, sbb+b*b, sab+a*b
		}
	}
	va, vb := n*saa-sa*sa, n*sbb-sb*sb
	if va <= 0 || vb <= 0 {
		return 0
	}
	return (n*sab - sa*sb) / math.Sqrt(va*vb)
}

// edges returns how steep the steepest edges around the eyes are, for their
// contrast and for the size of the face: 0.57 when sharp, 0.22 when blurred
// over a thirtieth of the inter-eye distance. Noise hardly changes it, in
// contrast to the usual variance of the Laplacian.
func (v faceView) edges() float64 {
	img := v.luminance(-0.85, -0.2, 0.85, 0.2)
	w, h := img.Rect.Dx(), img.Rect.Dy()
	if w < 5 || h < 5 {
		return 0
	}
	grey := binomial(img)
	var levels greys
	var slopes [4 * 512]int // histogram of slopes in quarters of a grey
	n := 0
	for y := 1; y < h-1; y++ {
		for x := 1; x < w-1; x++ {
			i := y*w + x
			s := math.Hypot(float64(grey[i+1]-grey[i-1]), float64(grey[i+w]-grey[i-w]))
			slopes[min(int(4*s), len(slopes)-1)]++
			levels.add(uint8(grey[i]))
			n++
		}
	}
	steep := 0
	for sum := 0; steep < len(slopes); steep++ {
		if sum += slopes[steep]; float64(sum) >= 0.97*float64(n) {
			break
		}
	}
	contrast := levels.quantile(0.97) - levels.quantile(0.03)
	if contrast <= 0 {
		return 0
	}
	return float64(steep) / 4 / contrast * v.ied / 100
}

// binomial returns img filtered by the 3 x 3 binomial kernel.
func binomial(img *image.Gray) []float32 {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	out := make([]float32, w*h)
	rows := make([]int, w) // sums of three rows, the middle one twice
	for y := range h {
		up := img.Pix[max(y-1, 0)*img.Stride:][:w]
		mid := img.Pix[y*img.Stride:][:w]
		down := img.Pix[min(y+1, h-1)*img.Stride:][:w]
		for x := range rows {
			rows[x] = int(up[x]) + 2*int(mid[x]) + int(down[x])
		}
		for x := range w {
			out[y*w+x] = float32(rows[max(x-1, 0)]+2*rows[x]+rows[min(x+1, w-1)]) / 16
		}
	}
	return out
}

// opening returns the height of the less open eye, in inter-eye distances: how
// much of a vertical cut through the pupil is dark.
func (v faceView) opening() float64 {
	open := math.Inf(1)
	for _, eye := range [2]segment.Point{v.box.RightEye, v.box.LeftEye} {
		reach := 0.22 * v.ied
		r := image.Rect(int(eye.X)-2, int(eye.Y-reach), int(eye.X)+3, int(eye.Y+reach)+1).Intersect(v.img.Bounds())
		g := segment.Luminance(v.img, r, 1)
		low, high := math.Inf(1), 0.0
		profile := make([]float64, g.Rect.Dy())
		for y := range profile {
			for _, p := range g.Pix[y*g.Stride:][:g.Rect.Dx()] {
				profile[y] += float64(p) / float64(g.Rect.Dx())
			}
			low, high = min(low, profile[y]), max(high, profile[y])
		}
		dark := 0.0
		for _, p := range profile {
			if p < (low+high)/2 {
				dark++
			}
		}
		open = min(open, dark/v.ied)
	}
	return open
}

// cheek returns the square on the cheek at the side, -1 for the image's left.
func (v faceView) cheek(side float64) image.Rectangle {
	const half = cheekSide / 2
	return v.rect(side*cheekX-half, cheekY-half, side*cheekX+half, cheekY+half)
}

// evenness returns how far the luminance histograms of both cheeks overlap, 0
// to 1.
func (v faceView) evenness() float64 {
	var hist [2]greys
	for i, side := range [2]float64{-1, 1} {
		for _, g := range segment.Luminance(v.img, v.cheek(side), 1).Pix {
			hist[i].add(g)
		}
	}
	if hist[0].n == 0 || hist[1].n == 0 {
		return 0
	}
	var common float64
	for g := range hist[0].count {
		common += min(float64(hist[0].count[g])/float64(hist[0].n), float64(hist[1].count[g])/float64(hist[1].n))
	}
	return common
}

// Skin, in CIELAB.
const skinA0, skinA1, skinB0, skinB1 = 5, 25, 5, 35

// tint returns how far the mean colour of the cheeks is from that of skin, in
// units of CIELAB.
func (v faceView) tint() float64 {
	var r, g, b, n float64
	for _, side := range [2]float64{-1, 1} {
		c := v.cheek(side)
		for y := c.Min.Y; y < c.Max.Y; y += 2 {
			for x := c.Min.X; x < c.Max.X; x += 2 {
				var p color.RGBA
				if rgba, ok := v.img.(*image.RGBA); ok {
					p = rgba.RGBAAt(x, y) // without an allocation
				} else {
					p = color.RGBAModel.Convert(v.img.At(x, y)).(color.RGBA)
				}
				r, g, b, n = r+float64(p.R), g+float64(p.G), b+float64(p.B), n+1
			}
		}
	}
	if n == 0 {
		return math.Inf(1)
	}
	la, lb := lab(r/n/255, g/n/255, b/n/255)
	da := max(skinA0-la, la-skinA1, 0)
	db := max(skinB0-lb, lb-skinB1, 0)
	return math.Hypot(da, db)
}

// lab returns the a and b of CIELAB (D65) of an sRGB colour from 0 to 1.
func lab(r, g, b float64) (la, lb float64) {
	linear := func(c float64) float64 {
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	r, g, b = linear(r), linear(g), linear(b)
	f := func(t float64) float64 {
		if t > 216.0/24389 {
			return math.Cbrt(t)
		}
		return (24389.0/27*t + 16) / 116
	}
	x := f((0.4124*r + 0.3576*g + 0.1805*b) / 0.9505)
	y := f(0.2126*r + 0.7152*g + 0.0722*b)
	z := f((0.0193*r + 0.1192*g + 0.9505*b) / 1.089)
	return 500 * (x - y), 200 * (y - z)
}

// clutter returns the mean Sobel magnitude of the luminance beside the head.
func (v faceView) clutter() float64 {
	var sum, n float64
	for _, side := range [2][2]float64{{-portraitSide, -headSide}, {headSide, portraitSide}} {
		img := v.luminance(side[0], portraitTop, side[1], shoulders)
		w, h := img.Rect.Dx(), img.Rect.Dy()
		for y := 1; y < h-1; y++ {
			up, mid, down := img.Pix[(y-1)*img.Stride:][:w], img.Pix[y*img.Stride:][:w], img.Pix[(y+1)*img.Stride:][:w]
			for x := 1; x < w-1; x++ {
				gx := int(up[x+1]) + 2*int(mid[x+1]) + int(down[x+1]) - int(up[x-1]) - 2*int(mid[x-1]) - int(down[x-1])
				gy := int(down[x-1]) + 2*int(down[x]) + int(down[x+1]) - int(up[x-1]) - 2*int(up[x]) - int(up[x+1])
				sum += math.Sqrt(float64(gx*gx + gy*gy))
				n++
			}
		}
	}
	return sum / max(n, 1)
}
