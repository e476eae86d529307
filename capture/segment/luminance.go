package segment

import (
	"image"
	"image/color"
)

// Luminance returns the luminance (ITU-R BT.601) of the part r of img, with
// its origin at (0, 0), each pixel the mean of a square of k x k. What is left
// of squares at the right and the bottom is dropped.
func Luminance(img image.Image, r image.Rectangle, k int) *image.Gray {
	r, k = r.Intersect(img.Bounds()), max(k, 1)
	w, h := r.Dx()/k, r.Dy()/k
	out := image.NewGray(image.Rect(0, 0, w, h))
	sums := make([]uint32, w)
	for y := range h {
		clear(sums)
		for dy := range k {
			addLuminance(sums, img, r.Min.X, r.Min.Y+y*k+dy, k)
		}
		for x, s := range sums {
			out.Pix[y*out.Stride+x] = uint8(s / uint32(k*k))
		}
	}
	return out
}

// addLuminance adds the row y of img from x on, k pixels a sum.
func addLuminance(sums []uint32, img image.Image, x, y, k int) {
	switch img := img.(type) {
	case *image.RGBA:
		p := img.Pix[img.PixOffset(x, y):]
		for i := range sums {
			var sum uint32
			for q := p[4*i*k : 4*(i+1)*k]; len(q) >= 4; q = q[4:] {
				// The weights 0.299, 0.587 and 0.114 times 2^16.
				sum += (19595*uint32(q[0]) + 38470*uint32(q[1]) + 7471*uint32(q[2]) + 1<<15) >> 16
			}
			sums[i] += sum
		}
	case *image.Gray:
		p := img.Pix[img.PixOffset(x, y):]
		for i := range sums {
			for _, v := range p[i*k : (i+1)*k] {
				sums[i] += uint32(v)
			}
		}
	default:
		for i := range sums {
			for d := range k {
				sums[i] += uint32(color.GrayModel.Convert(img.At(x+i*k+d, y)).(color.Gray).Y)
			}
		}
	}
}
