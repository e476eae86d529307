package segment

import (
	_ "embed"
	"fmt"
	"image"
	"math"
	"sync"

	pigo "github.com/esimov/pigo/core"
)

// A FaceBox is the face in a photograph.
type FaceBox struct {
	// Box is the square that the detector takes for the face, brows to mouth.
	Box image.Rectangle
	// RightEye and LeftEye are the centres of the person's pupils; the right eye
	// is on the left of the image.
	RightEye, LeftEye Point
	// Confidence is the detector's own measure, 20 or more.
	Confidence float64
	// Count is how many faces are in the photograph; the others are less sure.
	Count int
}

// The detector: a cascade of decision trees over pixel differences (N. Markuš
// and others, 2013), as trained by the authors of pigo.
//
//go:embed facefinder/facefinder
var cascade []byte

var detector = sync.OnceValue(func() *pigo.Pigo {
	d, err := pigo.NewPigo().Unpack(cascade)
	if err != nil {
		panic(fmt.Sprintf("segment: embedded face detector: %v", err))
	}
	return d
})

// How the detector is run. Its confidence is a sum over the windows that agree,
// so that the limits below hold for these steps only.
const (
	detectSide    = 240  // shorter side of the image it sees, in pixels, at least
	windowShift   = 0.1  // of the window
	windowGrowth  = 1.1  // from one size to the next
	sameFace      = 0.2  // overlap of two windows that are one face
	surelyFace    = 20   // least confidence
	secondFace    = 0.25 // least confidence of another face, of the first one's
	smallestFace  = 6    // window sizes begin at the height of the image divided by this
	minDetectSide = 24   // nothing smaller is looked at
)

// Face finds the face in a photograph. If there is none the error is
// ErrNotFound. With several faces it is ErrTooMany, and the surest of them is
// returned all the same.
func Face(img image.Image) (FaceBox, error) {
	if img == nil {
		return FaceBox{}, fmt.Errorf("segment face: %w", ErrNotFound)
	}
	b := img.Bounds()
	k := max(1, min(b.Dx(), b.Dy())/detectSide)
	small := Luminance(img, b, k)
	w, h := small.Rect.Dx(), small.Rect.Dy()
	if min(w, h) < minDetectSide {
		return FaceBox{}, fmt.Errorf("segment face: %w", ErrNotFound)
	}
	d := detector()
	found := d.ClusterDetections(d.RunCascade(pigo.CascadeParams{
		MinSize:     max(h/smallestFace, minDetectSide),
		MaxSize:     min(w, h),
		ShiftFactor: windowShift,
		ScaleFactor: windowGrowth,
		ImageParams: pigo.ImageParams{Pixels: small.Pix, Rows: h, Cols: w, Dim: small.Stride},
	}, 0), sameFace)
	var best pigo.Detection
	for _, f := range found {
		if f.Q > best.Q {
			best = f
		}
	}
	if best.Q < surelyFace {
		return FaceBox{}, fmt.Errorf("segment face: %w", ErrNotFound)
	}
	face := FaceBox{Confidence: float64(best.Q), Count: 1, Box: square(best, k).Add(b.Min)}
	for _, f := range found {
		if f.Q >= secondFace*best.Q && f.Q >= surelyFace && square(f, k).Add(b.Min).Intersect(face.Box).Empty() {
			face.Count++
		}
	}
	face.RightEye, face.LeftEye = findFaceEyes(img, face.Box)
	if face.Count > 1 {
		return face, fmt.Errorf("segment face: %d faces: %w", face.Count, ErrTooMany)
	}
	return face, nil
}

// square returns the window of a detection in an image that was shrunk by k.
func square(d pigo.Detection, k int) image.Rectangle {
	x, y, s := d.Col*k, d.Row*k, d.Scale*k
	return image.Rect(x-s/2, y-s/2, x-s/2+s, y-s/2+s)
}

// IED returns the inter-eye distance in pixels.
func (f FaceBox) IED() float64 {
	return math.Hypot(f.LeftEye.X-f.RightEye.X, f.LeftEye.Y-f.RightEye.Y)
}

// Roll returns the angle of the line through the eyes in radians, positive
// where the head leans to the right of the image.
func (f FaceBox) Roll() float64 {
	return math.Atan2(f.LeftEye.Y-f.RightEye.Y, f.LeftEye.X-f.RightEye.X)
}

// Eyes returns the point half-way between the eyes.
func (f FaceBox) Eyes() Point {
	return Point{(f.LeftEye.X + f.RightEye.X) / 2, (f.LeftEye.Y + f.RightEye.Y) / 2}
}

// A portrait in inter-eye distances (within the full frontal proportions of
// ISO/IEC 19794-5:2011), and the shape of an exception photo.
const (
	portraitWidth, portraitHeight = 4, 5.2
	portraitAbove                 = 2.2
	photoAspect                   = 1.5 // 60 mm x 40 mm
)

// Portrait returns the part of a frame of the given bounds that is a full
// frontal portrait: four inter-eye distances wide and 5.2 high, with the eyes
// 2.2 below its upper edge. Where the frame is too small for that it is moved,
// and then clipped.
func (f FaceBox) Portrait(frame image.Rectangle) image.Rectangle {
	eyes, ied := f.Eyes(), f.IED()
	return fitInto(frame,
		eyes.X-portraitWidth/2*ied, eyes.Y-portraitAbove*ied, portraitWidth*ied, portraitHeight*ied)
}

// ExceptionPhoto returns the part of a frame that is an exception photo, 3:2
// and as large as the frame allows: the face and both hands beside it are in
// it. A frame that is 3:2 stays whole.
func (f FaceBox) ExceptionPhoto(frame image.Rectangle) image.Rectangle {
	w, h := float64(frame.Dx()), float64(frame.Dy())
	w, h = min(w, h*photoAspect), min(h, w/photoAspect)
	eyes := f.Eyes()
	return fitInto(frame, eyes.X-w/2, eyes.Y-h/3, w, h)
}

// fitInto returns the rectangle w x h at (x, y), on whole pixels, moved into
// frame as far as it fits and clipped to it.
func fitInto(frame image.Rectangle, x, y, w, h float64) image.Rectangle {
	iw, ih := min(int(math.Round(w)), frame.Dx()), min(int(math.Round(h)), frame.Dy())
	ix := max(frame.Min.X, min(int(math.Round(x)), frame.Max.X-iw))
	iy := max(frame.Min.Y, min(int(math.Round(y)), frame.Max.Y-ih))
	return image.Rect(ix, iy, ix+iw, iy+ih)
}
