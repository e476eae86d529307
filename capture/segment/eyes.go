package segment

import (
	"fmt"
	"image"
	"math"
	"slices"

	"sbid/driver"
)

// An Eye is one eye in an iris frame.
type Eye struct {
	Position driver.Position
	Pupil    Circle
	Iris     Circle // the limbus
	Upper    Lid
	Lower    Lid
	// Crop is the part of the frame that is the image kind "cropped" of ISO/IEC
	// 19794-6:2011: the iris in the middle of margins of 0.6 radii left and
	// right and 0.2 radii above and below, on whole pixels. It is smaller where
	// the frame ends.
	Crop image.Rectangle
}

// A Lid is the edge of an eyelid, a parabola: at the column x it is in the row
// A + B·t + C·t², t = x - X0, all in pixels.
type Lid struct{ X0, A, B, C float64 }

// Y returns the row of the edge in column x.
func (l Lid) Y(x float64) float64 {
	t := x - l.X0
	return l.A + l.B*t + l.C*t*t
}

// Margins of a cropped iris image in iris radii, and the greys of a masked one
// (ISO/IEC 19794-6:2011, image kinds 3 and 7).
const (
	cropSide, cropTop    = 0.6, 0.2
	maskSclera, maskLids = 200, 128
)

// pairAspect is the width of a frame in heights above which it shows two eyes.
const pairAspect = 2

// Eyes finds the wanted eyes in an iris frame and returns them in the order of
// want. A frame at least twice as wide as high shows both eyes, as a camera in
// front of the person does: the right eye in its left half. Any other frame
// shows one eye, which has to be the wanted one; UnknownIris takes whichever
// is there. If an eye is missing the error is ErrNotFound or ErrTooFew, and
// the others are returned nevertheless.
func Eyes(img *image.Gray, want []driver.Position) ([]Eye, error) {
	for i, p := range want {
		if p.Modality() != driver.Iris {
			return nil, fmt.Errorf("segment eyes: %v is no eye", p)
		}
		if slices.Contains(want[:i], p) {
			return nil, fmt.Errorf("segment eyes: %v is wanted twice", p)
		}
	}
	if len(want) == 0 {
		return nil, fmt.Errorf("segment eyes: no eye is wanted")
	}
	src, origin := grayOrigin(img)
	w, h := src.Rect.Dx(), src.Rect.Dy()
	left, right := src.Rect, src.Rect // halves of the image
	if w >= pairAspect*h {
		left.Max.X, right.Min.X = w/2, w/2
	} else if len(want) > 1 {
		return nil, fmt.Errorf("segment eyes: a frame of %d x %d shows one eye: %w", w, h, ErrTooFew)
	}
	var eyes []Eye
	for _, p := range want {
		halves := []image.Rectangle{left, right}
		switch p {
		case driver.RightIris:
			halves = halves[:1]
		case driver.LeftIris:
			halves = halves[1:]
		}
		for _, half := range halves {
			part := src.SubImage(half).(*image.Gray)
			if e, ok := findEye(part); ok {
				e.Position = p
				eyes = append(eyes, e.shift(origin))
				break
			}
		}
	}
	switch {
	case len(eyes) == 0:
		return nil, fmt.Errorf("segment eyes: %w", ErrNotFound)
	case len(eyes) < len(want):
		return eyes, fmt.Errorf("segment eyes: %d of %d: %w", len(eyes), len(want), ErrTooFew)
	}
	return eyes, nil
}

// findEye finds the eye in one frame or half of one.
func findEye(img *image.Gray) (Eye, bool) {
	src, origin := grayOrigin(img)
	for _, guess := range darkDiscs(src) {
		pupil, ok := findPupil(src, guess)
		if !ok {
			continue
		}
		iris, ok := findLimbus(src, pupil)
		if !ok {
			continue
		}
		e := Eye{Pupil: pupil, Iris: iris}
		e.Upper = findLid(src, e, -1)
		e.Lower = findLid(src, e, +1)
		e.Crop = image.Rect(
			int(math.Round(iris.X-(1+cropSide)*iris.R)), int(math.Round(iris.Y-(1+cropTop)*iris.R)),
			int(math.Round(iris.X+(1+cropSide)*iris.R)), int(math.Round(iris.Y+(1+cropTop)*iris.R)),
		).Intersect(src.Rect)
		return e.shift(origin), true
	}
	return Eye{}, false
}

// shift returns e in an image whose origin is at p.
func (e Eye) shift(p image.Point) Eye {
	dx, dy := float64(p.X), float64(p.Y)
	for _, c := range []*Circle{&e.Pupil, &e.Iris} {
		c.X, c.Y = c.X+dx, c.Y+dy
	}
	for _, l := range []*Lid{&e.Upper, &e.Lower} {
		l.X0, l.A = l.X0+dx, l.A+dy
	}
	e.Crop = e.Crop.Add(p)
	return e
}

// Cropped returns the pixels of e.Crop, the image kind "cropped", with its
// origin at (0, 0).
func (e Eye) Cropped(img *image.Gray) *image.Gray {
	src, origin := grayOrigin(img)
	r := e.Crop.Sub(origin).Intersect(src.Rect)
	out := image.NewGray(image.Rect(0, 0, r.Dx(), r.Dy()))
	for y := range r.Dy() {
		o := (r.Min.Y+y)*src.Stride + r.Min.X
		copy(out.Pix[y*out.Stride:(y+1)*out.Stride], src.Pix[o:])
	}
	return out
}

// Masked returns the image kind "cropped and masked": as Cropped, with flat
// grey in place of the sclera and of the lids, which makes it compress to a
// third.
func (e Eye) Masked(img *image.Gray) *image.Gray {
	out := e.Cropped(img)
	x0, y0 := float64(e.Crop.Min.X)+0.5, float64(e.Crop.Min.Y)+0.5
	for i := range out.Rect.Dx() {
		x := float64(i) + x0
		upper, lower := e.Upper.Y(x), e.Lower.Y(x)
		for j := range out.Rect.Dy() {
			y := float64(j) + y0
			switch {
			case y < upper || y > lower:
				out.Pix[j*out.Stride+i] = maskLids
			case math.Hypot(x-e.Iris.X, y-e.Iris.Y) > e.Iris.R:
				out.Pix[j*out.Stride+i] = maskSclera
			}
		}
	}
	return out
}
