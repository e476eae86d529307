package raster

import (
	"image"
	"math"
)

// Standard is the sampling rate of fingerprint records, in pixels per inch.
const Standard = 500

// ToStandard returns img, sampled at dpi pixels per inch, resampled to
// Standard. Where dpi is that already, or unknown (0), it is img itself.
//
// Within 5 % of the rate pixels are interpolated linearly, which keeps ridges
// sharp; beyond it a windowed sinc of three lobes (Lanczos) is used, widened
// when shrinking, so that nothing finer than the new grid folds into it.
func ToStandard(img *image.Gray, dpi int) *image.Gray {
	if dpi <= 0 || dpi == Standard {
		return img
	}
	factor := float64(Standard) / float64(dpi)
	size := img.Rect.Size()
	width := max(1, int(math.Round(float64(size.X)*factor)))
	height := max(1, int(math.Round(float64(size.Y)*factor)))
	k := lanczos
	if math.Abs(factor-1) < 0.05 {
		k = linear
	}
	across := weights(size.X, width, 1/factor, k)
	down := weights(size.Y, height, 1/factor, k)

	rows := make([]float32, width*size.Y)
	for y := range size.Y {
		src := img.Pix[y*img.Stride : y*img.Stride+size.X]
		for x, w := range across {
			var v float32
			for i, f := range w.factors {
				v += f * float32(src[w.first+i])
			}
			rows[y*width+x] = v
		}
	}
	out := image.NewGray(image.Rect(0, 0, width, height))
	line := make([]float32, width)
	for y, w := range down {
		clear(line)
		for i, f := range w.factors {
			for x, v := range rows[(w.first+i)*width:][:width] {
				line[x] += f * v
			}
		}
		for x, v := range line {
			out.Pix[y*out.Stride+x] = uint8(min(max(v+0.5, 0), 255))
		}
	}
	return out
}

// A kernel weighs a sample by its distance in samples; it is zero from radius on.
type kernel struct {
	radius float64
	weigh  func(float64) float64
}

var (
	linear  = kernel{1, func(x float64) float64 { return 1 - math.Abs(x) }}
	lanczos = kernel{3, func(x float64) float64 { return sinc(x) * sinc(x/3) }}
)

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// A window is what one new sample is made of: the old samples from first on,
// with factors that add up to one.
type window struct {
	first   int
	factors []float32
}

// weights returns the windows that turn from samples into to, step old samples
// apart. The step is exact although the sizes are rounded, so that the rate is.
func weights(from, to int, step float64, k kernel) []window {
	stretch := max(step, 1)
	out := make([]window, to)
	for i := range out {
		at := (float64(i)+0.5)*step - 0.5
		first := max(0, int(math.Ceil(at-k.radius*stretch)))
		last := min(from-1, int(math.Floor(at+k.radius*stretch)))
		factors := make([]float32, 0, last-first+1)
		var total float64
		for j := first; j <= last; j++ {
			f := k.weigh((float64(j) - at) / stretch)
			factors = append(factors, float32(f))
			total += f
		}
		for j := range factors {
			factors[j] /= float32(total)
		}
		out[i] = window{first, factors}
	}
	return out
}
