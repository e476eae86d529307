// Package raster brings the pixels of fingerprint sensors into the one form
// that everything above the drivers expects: 8-bit grey, dark ridges on a light
// ground, 500 pixels per inch.
package raster

import (
	"fmt"
	"image"
)

// Unpack4 expands a picture of two pixels a byte, the left one in the high
// four bits, rows from the top, to one byte a pixel: 0 to 0x00, 15 to 0xFF.
// It fails when packed is not exactly width times height pixels.
func Unpack4(packed []byte, width, height int) (*image.Gray, error) {
	n := len(packed)
	if width <= 0 || height <= 0 || width%2 != 0 || width > 2*n || height > n || width/2*height != n {
		return nil, fmt.Errorf("unpack %d bytes: not %dx%d pixels of 4 bits", len(packed), width, height)
	}
	img := image.NewGray(image.Rect(0, 0, width, height))
	for i, b := range packed {
		img.Pix[2*i] = b >> 4 * 17
		img.Pix[2*i+1] = b & 15 * 17
	}
	return img, nil
}

// Ridges says how a sensor draws ridges.
type Ridges uint8

const (
	RidgesUnknown Ridges = iota // look at each picture
	RidgesDark
	RidgesLight
)

// frame is the width in pixels of the edge that is taken for empty ground.
const frame = 8

// Darken inverts img in place where its ridges are light. Where that is
// unknown, they are taken to be light if the edge of the picture is darker than
// its central quarter.
func Darken(img *image.Gray, r Ridges) {
	if r == RidgesDark || r == RidgesUnknown && !edgeDarker(img) {
		return
	}
	for i, v := range img.Pix {
		img.Pix[i] = 255 - v
	}
}

func edgeDarker(img *image.Gray) bool {
	b := img.Rect
	inner := b.Inset(frame)
	centre := image.Rect(b.Min.X+b.Dx()/4, b.Min.Y+b.Dy()/4, b.Max.X-b.Dx()/4, b.Max.Y-b.Dy()/4)
	whole, inside := sum(img, b), sum(img, inner)
	edgePixels := area(b) - area(inner)
	if edgePixels == 0 || area(centre) == 0 {
		return false
	}
	return float64(whole-inside)/float64(edgePixels) < float64(sum(img, centre))/float64(area(centre))
}

func area(r image.Rectangle) int { return r.Dx() * r.Dy() }

func sum(img *image.Gray, r image.Rectangle) int {
	total := 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		o := img.PixOffset(r.Min.X, y)
		for _, v := range img.Pix[o : o+r.Dx()] {
			total += int(v)
		}
	}
	return total
}
