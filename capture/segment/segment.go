// Package segment finds what is in a frame: the fingers of a slap, the eyes of
// an iris frame, the face of a photograph. It measures geometry only; how good
// a sample is, package quality says.
//
// All coordinates are those of the image given: x to the right, y down, and
// the pixel (x, y) covers the square from (x, y) to (x+1, y+1). Every function
// is deterministic and safe for concurrent use, takes images of any size, and
// keeps no pixels.
package segment

import (
	"errors"
	"image"
)

// What a frame can lack. The functions wrap them with what was seen.
var (
	// ErrNotFound: there is no finger, eye or face in the frame.
	ErrNotFound = errors.New("nothing found in the frame")
	// ErrTooFew: some of the wanted fingers or eyes are not in the frame.
	ErrTooFew = errors.New("less in the frame than wanted")
	// ErrTooMany: more fingers or faces are in the frame than wanted.
	ErrTooMany = errors.New("more in the frame than wanted")
	// ErrWrongHand: the slap is of the other hand.
	ErrWrongHand = errors.New("the other hand is on the platen")
)

// A Point is a place in an image, in pixels.
type Point struct{ X, Y float64 }

// A Circle is a round outline in an image, in pixels.
type Circle struct {
	Point
	R float64
}

// grayOrigin returns img moved to the origin, sharing its pixels, and where
// its origin was. An image whose header does not fit its pixels is empty.
func grayOrigin(img *image.Gray) (*image.Gray, image.Point) {
	if img == nil {
		return &image.Gray{}, image.Point{}
	}
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	if w <= 0 || h <= 0 || img.Stride < w || len(img.Pix) < (h-1)*img.Stride+w {
		return &image.Gray{}, image.Point{}
	}
	return &image.Gray{Pix: img.Pix, Stride: img.Stride, Rect: image.Rect(0, 0, w, h)}, b.Min
}
