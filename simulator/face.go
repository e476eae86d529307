package simulator

import (
	"image"
	"math"
	"math/rand/v2"

	"sbid/driver"
)

// Sizes of the camera's pictures: a face, and a face with both hands.
const (
	faceWidth   = 960
	faceHeight  = 720
	photoWidth  = 1440
	photoHeight = 960
)

// A colour is red, green and blue, 0 to 255.
type colour [3]float64

// put writes c to the base of a pixel.
func (c colour) put(p []uint8) {
	p[0], p[1], p[2], p[3] = toBase(c[0]), toBase(c[1]), toBase(c[2]), 255
}

func (c colour) times(f float64) colour { return colour{c[0] * f, c[1] * f, c[2] * f} }

func mix(a, b colour, t float64) colour {
	return colour{lerp(a[0], b[0], t), lerp(a[1], b[1], t), lerp(a[2], b[2], t)}
}

// faceTraits are the proportions and colours of a face. The unit of length is
// the distance between the eyes, the origin half-way between them, y down.
type faceTraits struct {
	width, jaw, chin, crown  float64
	hairline, volume, length float64 // of the hair
	brow, browThick          float64
	eyeHalf, eyeHigh         float64
	nose, noseHalf           float64
	mouth, mouthHalf, lips   float64
	skin, hair, iris, shirt  colour
}

var (
	hairColours  = []colour{{28, 24, 22}, {46, 34, 27}, {78, 54, 38}, {120, 88, 58}, {150, 146, 142}}
	irisColours  = []colour{{62, 42, 30}, {78, 54, 34}, {96, 84, 56}, {88, 112, 128}, {98, 110, 92}}
	shirtColours = []colour{{62, 78, 104}, {92, 60, 64}, {66, 92, 80}, {84, 84, 92}, {142, 128, 104}}
)

func newFaceTraits(p *Person) faceTraits {
	r := p.random(streamFace, 0, 0)
	t := faceTraits{
		width: normal(r, 1.10, 0.04), jaw: normal(r, 0.96, 0.03), chin: normal(r, 1.80, 0.06), crown: normal(r, -1.78, 0.06),
		hairline: normal(r, -1.16, 0.06), volume: normal(r, 0.15, 0.04),
		brow: normal(r, -0.34, 0.02), browThick: normal(r, 0.062, 0.012),
		eyeHalf: normal(r, 0.235, 0.012), eyeHigh: normal(r, 0.088, 0.009),
		nose: normal(r, 0.74, 0.04), noseHalf: normal(r, 0.26, 0.025),
		mouth: normal(r, 1.13, 0.04), mouthHalf: normal(r, 0.40, 0.03), lips: normal(r, 0.078, 0.014),
	}
	t.length = uniform(r, -0.2, 0.5)
	if r.IntN(2) == 0 {
		t.length = uniform(r, 1.2, 2.4)
	}
	t.skin = mix(colour{236, 200, 178}, colour{128, 86, 64}, r.Float64())
	t.hair = pick(r, hairColours)
	t.iris = pick(r, irisColours)
	t.shirt = pick(r, shirtColours)
	return t
}

func pick(r *rand.Rand, from []colour) colour { return from[r.IntN(len(from))] }

// A FaceTruth tells where a face was drawn. Right and left are the person's,
// so that the right eye is on the left of the picture.
type FaceTruth struct {
	RightEye, LeftEye image.Point
	Mouth, Chin       image.Point
	Hands             []image.Rectangle // right and left; none without an exception photo
}

// Face returns the picture of a camera, 960×720 pixels.
func (p *Person) Face(shot Shot) (*image.RGBA, FaceTruth) {
	img, truth := p.drawFace(shot)
	return p.photograph(img, shot), truth
}

// ExceptionPhoto returns a picture of 1440×960 pixels of the face between both
// raised hands, with the fingers cut and the eyes covered that are missing.
func (p *Person) ExceptionPhoto(missing []driver.Position, shot Shot) (*image.RGBA, FaceTruth) {
	img, truth := p.drawPhoto(missing, shot)
	return p.photograph(img, shot), truth
}

// photograph adds the blur of the lens and the noise of the sensor.
func (p *Person) photograph(base *image.RGBA, shot Shot) *image.RGBA {
	blurRGBA(base, math.Hypot(faceBlur, shot.Blur))
	return colourFrame(base, p.random(streamNoise, int(driver.FullFace), shot.moment()))
}

// drawFace draws the base of a face, not yet blurred.
func (p *Person) drawFace(shot Shot) (*image.RGBA, FaceTruth) {
	img := image.NewRGBA(image.Rect(0, 0, faceWidth, faceHeight))
	s := p.newSitter(shot, faceWidth/2, 0.41*faceHeight, 132)
	s.draw(img)
	return img, s.truth()
}

// drawPhoto draws the base of an exception photo, not yet blurred.
func (p *Person) drawPhoto(missing []driver.Position, shot Shot) (*image.RGBA, FaceTruth) {
	img := image.NewRGBA(image.Rect(0, 0, photoWidth, photoHeight))
	s := p.newSitter(shot, photoWidth/2, 0.36*photoHeight, 0.09*photoWidth)
	for _, pos := range missing {
		switch pos {
		case driver.RightIris:
			s.closed[0] = 1
		case driver.LeftIris:
			s.closed[1] = 1
		}
	}
	s.draw(img)
	truth := s.truth()
	truth.Hands = s.drawHands(img, missing)
	return img, truth
}

// A sitter is a face in front of the camera in one capture.
type sitter struct {
	faceTraits
	x, y, unit       float64 // midpoint of the eyes in the picture; px between the eyes
	yaw, pitch, roll turn
	closed           [2]float64
	smile            float64
	light            [3]float64
	pores, blotches  noise
	strands, waves   noise
	cloth            noise
}

func (p *Person) newSitter(shot Shot, x, y, unit float64) *sitter {
	r := p.random(streamPose, 0, shot.Capture)
	s := &sitter{
		faceTraits: p.face,
		x:          x + normal(r, 0, 0.05)*unit, y: y + normal(r, 0, 0.03)*unit, unit: unit * normal(r, 1, 0.008),
		yaw: newTurn(shot.Yaw + normal(r, 0, 0.02)), pitch: newTurn(shot.Pitch + normal(r, 0, 0.015)), roll: newTurn(shot.Roll + normal(r, 0, 0.015)),
		smile:  uniform(r, 0, 0.02),
		closed: [2]float64{shot.Closed, shot.Closed},
	}
	side := normal(r, 0, 0.12)
	s.light = unitVector(side, -0.32, 0.9)
	h := p.random(streamHair, 0, 0)
	s.pores, s.blotches = newNoise(h, 2.2), newNoise(h, 30)
	s.strands, s.waves = newNoise(h, 1), newNoise(h, 1)
	s.cloth = newNoise(h, 3)
	return s
}

// A turn is an angle.
type turn struct{ sin, cos float64 }

func newTurn(radians float64) turn {
	sin, cos := math.Sincos(radians)
	return turn{sin, cos}
}

func unitVector(x, y, z float64) [3]float64 {
	n := math.Sqrt(x*x + y*y + z*z)
	return [3]float64{x / n, y / n, z / n}
}

// toFace returns the point of the face that is seen at a pixel.
//
//go:norace
func (s *sitter) toFace(px, py float64) (u, v float64) {
	dx, dy := (px-s.x)/s.unit, (py-s.y)/s.unit
	x, y := dx*s.roll.cos+dy*s.roll.sin, dy*s.roll.cos-dx*s.roll.sin
	// What lies nearer to the camera moves more when the head turns.
	u, v = x, y
	for range 2 {
		z := s.bulk(u, v)
		u = (x - z*s.yaw.sin) / s.yaw.cos
		v = (y + z*s.pitch.sin) / s.pitch.cos
	}
	return u, v
}

// toPicture is the inverse of toFace.
func (s *sitter) toPicture(u, v float64) image.Point {
	z := s.bulk(u, v)
	x := u*s.yaw.cos + z*s.yaw.sin
	y := v*s.pitch.cos - z*s.pitch.sin
	return image.Pt(
		int(math.Round(s.x+s.unit*(x*s.roll.cos-y*s.roll.sin))),
		int(math.Round(s.y+s.unit*(x*s.roll.sin+y*s.roll.cos))),
	)
}

func (s *sitter) truth() FaceTruth {
	return FaceTruth{
		RightEye: s.toPicture(-0.5, 0), LeftEye: s.toPicture(0.5, 0),
		Mouth: s.toPicture(0, s.mouth), Chin: s.toPicture(0, s.chin),
	}
}

// draw fills the whole picture. The relief of the face is laid down first, so
// that its slope lights every pixel.
func (s *sitter) draw(img *image.RGBA) {
	relief := make([]float32, img.Rect.Dx()*img.Rect.Dy())
	head := image.Rect(int(s.x-1.7*s.unit), int(s.y-2.4*s.unit), int(s.x+1.7*s.unit), int(s.y+2.5*s.unit)).Intersect(img.Rect)
	inParallel(head.Dy(), func(i int) {
		y := head.Min.Y + i
		s.reliefRow(relief[y*img.Rect.Dx():], head.Min.X, head.Max.X, y)
	})
	inParallel(img.Rect.Dy(), func(y int) { s.paintRow(img, relief, y) })
}

//go:norace
func (s *sitter) reliefRow(row []float32, from, to, y int) {
	for x := from; x < to; x++ {
		u, v := s.toFace(float64(x), float64(y))
		row[x] = float32(s.relief(u, v))
	}
}

//go:norace
func (s *sitter) paintRow(img *image.RGBA, relief []float32, y int) {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	above, row, below := relief[max(y-1, 0)*w:], relief[y*w:], relief[min(y+1, h-1)*w:]
	for x := range w {
		left, right := max(x-1, 0), min(x+1, w-1)
		slopeX := float64(row[right]-row[left]) * s.unit / 2
		slopeY := float64(below[x]-above[x]) * s.unit / 2
		c := s.colourAt(float64(x), float64(y), float64(h), slopeX, slopeY)
		c.put(img.Pix[img.PixOffset(x, y):])
	}
}
