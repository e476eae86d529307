package capture

import (
	"errors"
	"fmt"
	"image"
	"slices"
	"time"

	"sbid/capture/iso19794"
	"sbid/capture/quality"
	"sbid/capture/segment"
	"sbid/driver"
)

// A Sample is one position's image, cut from a frame.
type Sample struct {
	Position driver.Position
	Image    image.Image     // *image.Gray, or *image.RGBA for a face
	DPI      int             // of a fingerprint
	Native   driver.Geometry // as driver.Frame has it
	Quality  float64         // 0 to 100, on the scale of the profile
	Captured time.Time       // UTC

	eye *segment.Eye // where the iris is in Image
}

// A Mark is where in a frame a finger, an eye or a face is.
type Mark struct {
	Outline []segment.Point  // a closed polygon in the frame's pixels, may be empty
	Circles []segment.Circle // pupil and iris
	Quality float64
}

// A View is a frame with what was found in it.
type View struct {
	Frame driver.Frame
	Marks []Mark
	// Samples has one entry for each position wanted, in that order, or none.
	Samples []Sample
	// Score is the mean quality of the samples.
	Score float64
	// Problem says why there are no samples; nil while nothing is there.
	Problem error
	Hint    Hint
}

// Usable says whether the view has all that was wanted.
func (v *View) Usable() bool { return len(v.Samples) > 0 }

// blank says whether the view has no picture: the scanner gave hints alone.
func (v *View) blank() bool { return v.Frame.Image == nil && len(v.Frame.Parts) == 0 }

// analyse cuts a frame into samples and measures them.
func analyse(frame driver.Frame, target driver.Target, profile iso19794.Profile) View {
	v := View{Frame: frame}
	now := time.Now().UTC()
	modality := target.Positions[0].Modality()
	switch {
	case frame.Image == nil:
		v.parts(target)
	case modality == driver.Finger && target.Sensor == driver.Single:
		v.singleFinger(target)
	case modality == driver.Finger:
		v.slap(target)
	case modality == driver.Iris:
		v.eyes(target)
	default:
		v.face(target, profile)
	}
	if v.Hint == NoHint && len(frame.Hints) > 0 {
		v.Hint = advice(frame.Hints[0], target)
	}
	if len(v.Samples) != len(target.Positions) {
		v.Samples = nil
		return v
	}
	slices.SortFunc(v.Samples, func(a, b Sample) int {
		return slices.Index(target.Positions, a.Position) - slices.Index(target.Positions, b.Position)
	})
	for i := range v.Samples {
		s := &v.Samples[i]
		s.Captured, s.DPI, s.Native = now, frame.DPI, frame.Native
		if profile == iso19794.Auth && modality == driver.Finger {
			s.Quality = quality.AuthFinger(s.Quality)
		}
		v.Score += s.Quality / float64(len(v.Samples))
	}
	return v
}

// parts takes the samples of a scanner that cuts the scene itself as they are.
func (v *View) parts(target driver.Target) {
	for _, part := range v.Frame.Parts {
		if !slices.Contains(target.Positions, part.Position) {
			continue
		}
		switch img := part.Image.(type) {
		case *image.Gray:
			if part.Position.Modality() == driver.Iris {
				v.eyeSamples(img, []driver.Position{part.Position})
				continue
			}
			v.add(part.Position, img, quality.Finger(img))
		default:
			v.Problem = unexpected(part.Image)
		}
	}
	if len(v.Frame.Parts) > 0 && v.Problem == nil && len(v.Samples) != len(target.Positions) {
		v.Problem, v.Hint = ErrUnusable, PlaceFingers
	}
}

func (v *View) add(p driver.Position, img image.Image, score float64) {
	v.Samples = append(v.Samples, Sample{Position: p, Image: img, Quality: score})
}

func unexpected(img image.Image) error {
	return fmt.Errorf("%w: frame of type %T", ErrUnusable, img)
}

// singleFinger takes the frame of a single finger whole.
func (v *View) singleFinger(target driver.Target) {
	img, ok := v.Frame.Image.(*image.Gray)
	if !ok {
		v.Problem = unexpected(v.Frame.Image)
		return
	}
	score := quality.Finger(img)
	if score == 0 { // an empty platen
		v.Hint = prompt(target)
		return
	}
	v.add(target.Positions[0], img, score)
	v.Marks = []Mark{{Outline: rectangle(img.Bounds().Inset(4)), Quality: score}}
}

func (v *View) slap(target driver.Target) {
	img, ok := v.Frame.Image.(*image.Gray)
	if !ok {
		v.Problem = unexpected(v.Frame.Image)
		return
	}
	layout, err := segment.Slap(img, target.Positions)
	v.Hint = slapHints[layout.Hint]
	for _, f := range layout.Fingers {
		sample := f.Cut(img)
		score := quality.Finger(sample)
		v.Marks = append(v.Marks, Mark{Outline: f.Corners[:], Quality: score})
		if err == nil {
			v.add(f.Position, sample, score)
		}
	}
	switch {
	case errors.Is(err, segment.ErrNotFound):
		v.Hint = PlaceFingers
	case errors.Is(err, segment.ErrWrongHand), err != nil && layout.Hint == segment.Rotated:
		v.Problem = fmt.Errorf("%w: %w", ErrOrientation, err)
	case err != nil:
		v.Problem = fmt.Errorf("%w: %w", ErrUnusable, err)
	}
}

var slapHints = map[segment.Hint]Hint{
	segment.TooFew:    PlaceFingers,
	segment.TooMany:   LiftOthers,
	segment.Touching:  SpreadFingers,
	segment.WrongHand: OtherHand,
	segment.CutOff:    MoveToMiddle,
	segment.Rotated:   Straighten,
}

func (v *View) eyes(target driver.Target) {
	img, ok := v.Frame.Image.(*image.Gray)
	if !ok {
		v.Problem = unexpected(v.Frame.Image)
		return
	}
	v.eyeSamples(img, target.Positions)
}

func (v *View) eyeSamples(img *image.Gray, want []driver.Position) {
	eyes, err := segment.Eyes(img, want)
	for _, eye := range eyes {
		score := quality.Iris(img, eye)
		v.Marks = append(v.Marks, Mark{Circles: []segment.Circle{eye.Pupil, eye.Iris}, Quality: score})
		if err == nil {
			v.Samples = append(v.Samples, Sample{Position: eye.Position, Image: img, Quality: score, eye: &eye})
		}
	}
	switch {
	case errors.Is(err, segment.ErrNotFound):
		v.Hint = LookHere
	case err != nil:
		v.Problem, v.Hint = fmt.Errorf("%w: %w", ErrUnusable, err), LookHere
	}
}

func (v *View) face(target driver.Target, profile iso19794.Profile) {
	img, ok := v.Frame.Image.(*image.RGBA)
	if !ok {
		v.Problem = unexpected(v.Frame.Image)
		return
	}
	exceptionPhoto := len(target.Exceptions) > 0
	face, err := segment.Face(img)
	switch {
	case errors.Is(err, segment.ErrNotFound):
		v.Hint = LookHere
		return
	case err != nil:
		v.Problem, v.Hint = fmt.Errorf("%w: %w", ErrUnusable, err), OneFace
		return
	}
	score := quality.Face(img, face, profile == iso19794.Registration && !exceptionPhoto)
	crop := face.Portrait(img.Bounds())
	if exceptionPhoto {
		crop = face.ExceptionPhoto(img.Bounds())
	}
	v.add(driver.FullFace, img.SubImage(crop), score)
	v.Marks = []Mark{{Outline: rectangle(crop), Quality: score}}
}

func rectangle(r image.Rectangle) []segment.Point {
	x0, y0, x1, y1 := float64(r.Min.X), float64(r.Min.Y), float64(r.Max.X), float64(r.Max.Y)
	return []segment.Point{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}}
}
