package simulator

import (
	"image"
	"math"
)

// blurGray blurs the part of img in area with a Gaussian of the given standard
// deviation in px. Beyond area the border pixel is repeated.
func blurGray(img *image.Gray, area image.Rectangle, sd float64) {
	if area = area.Intersect(img.Rect); !area.Empty() {
		blur(img.Pix[img.PixOffset(area.Min.X, area.Min.Y):], area.Dx(), area.Dy(), img.Stride, 1, sd)
	}
}

// blurRGBA blurs an opaque picture.
func blurRGBA(img *image.RGBA, sd float64) {
	blur(img.Pix, img.Rect.Dx(), img.Rect.Dy(), img.Stride, 4, sd)
}

// blur blurs w×h pixels of so many channels, in rows stride apart.
func blur(pix []uint8, w, h, stride, channels int, sd float64) {
	kernel := gaussian(sd)
	reach := len(kernel) - 1
	n := w * channels
	const band = 64 // rows
	across := make([]uint8, n*h)
	inParallel((h+band-1)/band, func(i int) {
		line := make([]uint8, n+2*reach*channels)
		sum := make([]uint32, n)
		for y := i * band; y < min((i+1)*band, h); y++ {
			row := pix[y*stride:][:n]
			copy(line[reach*channels:], row)
			for k := range reach {
				copy(line[k*channels:], row[:channels])
				copy(line[(reach+w+k)*channels:], row[n-channels:])
			}
			clear(sum)
			middle := line[reach*channels:]
			addWeighted(sum, middle, middle, kernel[0]/2)
			for k := 1; k <= reach; k++ {
				addWeighted(sum, line[(reach-k)*channels:], line[(reach+k)*channels:], kernel[k])
			}
			round(across[y*n:], sum)
		}
	})
	inParallel((h+band-1)/band, func(i int) {
		sum := make([]uint32, n)
		for y := i * band; y < min((i+1)*band, h); y++ {
			clear(sum)
			middle := across[y*n:]
			addWeighted(sum, middle, middle, kernel[0]/2)
			for k := 1; k <= reach; k++ {
				addWeighted(sum, across[max(y-k, 0)*n:], across[min(y+k, h-1)*n:], kernel[k])
			}
			round(pix[y*stride:], sum)
		}
	})
}

// gaussian returns the right half of a kernel whose whole sum is 1<<16. Its
// middle is even.
func gaussian(sd float64) []uint32 {
	n := int(math.Ceil(2.5*sd)) + 1
	half := make([]float64, n)
	sum := -1.0
	for i := range half {
		half[i] = math.Exp(-float64(i*i) / (2 * sd * sd))
		sum += 2 * half[i]
	}
	kernel := make([]uint32, n)
	rest := uint32(1 << 16)
	for i := n - 1; i > 0; i-- {
		kernel[i] = uint32(half[i] / sum * (1 << 16))
		rest -= 2 * kernel[i]
	}
	kernel[0] = rest
	return kernel
}

// addWeighted adds weight times the sum of a and b to sum.
//
//go:norace
func addWeighted(sum []uint32, a, b []uint8, weight uint32) {
	a, b = a[:len(sum)], b[:len(sum)]
	for i := range sum {
		sum[i] += weight * (uint32(a[i]) + uint32(b[i]))
	}
}

// round sets dst to sums of weights of 1<<16.
//
//go:norace
func round(dst []uint8, sum []uint32) {
	dst = dst[:len(sum)]
	for i, s := range sum {
		dst[i] = uint8((s + 1<<15) >> 16)
	}
}
