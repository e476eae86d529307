package quality

import (
	"image"
	"math"

	"sbid/capture/segment"
)

// FaceMeasures are what is measured on the photograph of a face, each from 0
// to 100, after ISO/IEC 29794-5 and its reference implementation OFIQ, as far
// as the eyes are the only landmarks needed.
type FaceMeasures struct {
	InterEye   float64 // distance of the eyes
	OneFace    float64 // 0 if there are others
	Framing    float64 // room for the whole portrait around the eyes
	Roll       float64 // uprightness
	Symmetry   float64 // of the halves: turned heads and light from the side lower it
	Sharpness  float64
	EyesOpen   float64
	NotDark    float64 // under-exposure
	NotBright  float64 // over-exposure
	Range      float64 // of luminance
	Brightness float64
	EvenLight  float64 // on both cheeks
	Colour     float64 // of the skin
	Background float64 // evenness
}

// Face returns the quality of the photograph of a face found by segment.Face
// in it: with icao as a portrait for registration, to be cut from it by
// FaceBox.Portrait, else for recognition only.
func Face(img image.Image, f segment.FaceBox, icao bool) float64 {
	return MeasureFace(img, f).Score(icao)
}

// Score returns the measures as one number, 0 to 100. A portrait is as good as
// the worst of what must be right and the mean of what should be.
func (m FaceMeasures) Score(icao bool) float64 {
	if !icao {
		return min(m.InterEye, m.Sharpness, m.NotDark, m.NotBright)
	}
	should := [...]float64{m.Symmetry, m.Sharpness, m.EyesOpen, m.NotDark, m.NotBright,
		m.Range, m.Brightness, m.EvenLight, m.Colour, m.Background}
	var mean float64
	for _, s := range should {
		mean += s / float64(len(should))
	}
	return min(m.InterEye, m.OneFace, m.Framing, m.Roll, mean)
}

// Places in a face, in inter-eye distances right of and below the point
// between the eyes.
const (
	faceSide, faceTop, faceBottom = 0.9, -0.7, 1.5 // skin, mostly
	cheekX, cheekY, cheekSide     = 0.55, 0.57, 0.3
	headSide                      = 1.45 // beside it only background
	shoulders                     = 0.8  // below it clothes
	portraitSide, portraitTop     = 2, -2.2
	portraitBottom                = 3
)

// Inter-eye distances beyond these are not measured: what is smaller shows no
// face, what is larger was not found by segment.Face.
const interEyeMin, interEyeMax = 12, 1 << 13

// leastRange is the information of a pixel, in bits, below which a picture is
// blank.
const leastRange = 1

// MeasureFace measures the photograph of a face found by segment.Face in it. A
// face that is not in the image measures nothing.
func MeasureFace(img image.Image, f segment.FaceBox) FaceMeasures {
	if img == nil {
		return FaceMeasures{}
	}
	ied, eyes, frame := f.IED(), f.Eyes(), img.Bounds()
	if !(ied >= interEyeMin && ied <= interEyeMax) ||
		!image.Pt(int(clamp(eyes.X, -1<<30, 1<<30)), int(clamp(eyes.Y, -1<<30, 1<<30))).In(frame) {
		return FaceMeasures{}
	}
	v := faceView{img: img, box: f, ied: ied, eyes: eyes}
	skin := v.luminance(-faceSide, faceTop, faceSide, faceBottom)
	if skin.Rect.Empty() {
		return FaceMeasures{}
	}
	var hist greys
	for _, g := range skin.Pix {
		hist.add(g)
	}
	if hist.entropy() < leastRange {
		return FaceMeasures{}
	}
	n := float64(hist.n)
	dark, bright, sum := 0, 0, 0
	for g, c := range hist.count {
		if g <= 25 {
			dark += c
		}
		if g >= 247 {
			bright += c
		}
		sum += g * c
	}
	mean := float64(sum) / n / 255
	roll := math.Cos(f.Roll())
	m := FaceMeasures{
		InterEye:   100 * logistic((ied-70)/20),
		Framing:    v.framing(),
		Roll:       100 * roll * roll,
		Symmetry:   clamp((v.symmetry()-0.3)/0.5, 0, 1) * 100,
		Sharpness:  clamp((v.edges()-0.15)/0.35, 0, 1) * 100,
		EyesOpen:   clamp((v.opening()-0.06)/0.08, 0, 1) * 100,
		NotDark:    clamp(120*(0.832-logistic((float64(dark)/n-0.92)/0.05)), 0, 100),
		NotBright:  clamp(math.Round(1/(float64(bright)/n+0.01)), 0, 100),
		Range:      clamp(12.5*hist.entropy(), 0, 100),
		Brightness: clamp(100*logistic((mean-0.2)/0.05)*(1-logistic((mean-0.8)/0.05)), 0, 100),
		EvenLight:  100 * math.Pow(v.evenness(), 0.3),
		Colour:     clamp(200*(1-logistic(v.tint()/10)), 0, 100),
		Background: clamp(190*(1-logistic((v.clutter()-10)/100)), 0, 100),
	}
	if f.Count <= 1 {
		m.OneFace = 100
	}
	return m
}

// A faceView is a face with the photograph around it.
type faceView struct {
	img  image.Image
	box  segment.FaceBox
	ied  float64
	eyes segment.Point
}

// rect returns the part of the photograph between two corners given in
// inter-eye distances from the point between the eyes.
func (v faceView) rect(x0, y0, x1, y1 float64) image.Rectangle {
	at := func(origin, d float64) int { return int(math.Round(origin + d*v.ied)) }
	return image.Rect(at(v.eyes.X, x0), at(v.eyes.Y, y0), at(v.eyes.X, x1), at(v.eyes.Y, y1)).
		Intersect(v.img.Bounds())
}

func (v faceView) luminance(x0, y0, x1, y1 float64) *image.Gray {
	return segment.Luminance(v.img, v.rect(x0, y0, x1, y1), 1)
}

// framing tells how much of the portrait, side by side, is inside the
// photograph: 100 if all is, 0 if a side lacks 30 percent.
func (v faceView) framing() float64 {
	b := v.img.Bounds()
	room := min(
		(v.eyes.X-float64(b.Min.X))/(portraitSide*v.ied),
		(float64(b.Max.X)-v.eyes.X)/(portraitSide*v.ied),
		(v.eyes.Y-float64(b.Min.Y))/(-portraitTop*v.ied),
		(float64(b.Max.Y)-v.eyes.Y)/(portraitBottom*v.ied),
	)
	return 100 * clamp((room-0.7)/0.3, 0, 1)
}
