package simulator

import (
	"image"
	"math"
)

// blurGray blurs the part of img in area with a Gaussian of the given standard
// deviation in px. Beyond area the border pixel is repeated.
func blurGray(img *image.Gray, area image.Rectangle, sd float64) {
	area = area.Intersect(img.Rect)
	if area.Empty() {
		return
	}
	blurPlane(img.Pix[img.PixOffset(area.Min.X, area.Min.Y):], area.Dx(), area.Dy(), 1, img.Stride, sd)
}

// blurRGBA blurs the colours of img.
func blurRGBA(img *image.RGBA, sd float64) {
	for channel := range 3 {
		blurPlane(img.Pix[channel:], img.Rect.Dx(), img.Rect.Dy(), 4, img.Stride, sd)
	}
}

// blurPlane blurs w×h values, step apart in a row and stride apart in a column.
func blurPlane(p []uint8, w, h, step, stride int, sd float64) {
	kernel := gaussian(sd)
	const lines = 32
	inParallel((h+lines-1)/lines, func(i int) {
		line := make([]uint8, w)
		for y := i * lines; y < min((i+1)*lines, h); y++ {
			row := p[y*stride:]
			for x := range line {
				line[x] = row[x*step]
			}
			blurLine(row, step, line, kernel)
		}
	})
	inParallel((w+lines-1)/lines, func(i int) {
		// Columns side by side share cache lines, hence several at once.
		first, n := i*lines, min(lines, w-i*lines)
		block := make([]uint8, n*h)
		for y := range h {
			row := p[y*stride:]
			for x := range n {
				block[x*h+y] = row[(first+x)*step]
			}
		}
		for x := range n {
			blurLine(p[(first+x)*step:], stride, block[x*h:][:h], kernel)
		}
	})
}

// gaussian returns the right half of a kernel whose whole sum is 1<<16.
func gaussian(sd float64) []int32 {
	n := int(math.Ceil(2.5*sd)) + 1
	half := make([]float64, n)
	sum := -1.0
	for i := range half {
		half[i] = math.Exp(-float64(i*i) / (2 * sd * sd))
		sum += 2 * half[i]
	}
	kernel := make([]int32, n)
	rest := int32(1 << 16)
	for i := n - 1; i > 0; i-- {
		kernel[i] = int32(half[i] / sum * (1 << 16))
		rest -= 2 * kernel[i]
	}
	kernel[0] = rest
	return kernel
}

// blurLine writes the filtered line to dst, step apart.
func blurLine(dst []uint8, step int, line []uint8, kernel []int32) {
	last := len(line) - 1
	for i := range line {
		sum := kernel[0] * int32(line[i])
		for k := 1; k < len(kernel); k++ {
			sum += kernel[k] * (int32(line[max(i-k, 0)]) + int32(line[min(i+k, last)]))
		}
		dst[i*step] = uint8((sum + 1<<15) >> 16)
	}
}
