package simulator

import (
	"image"
	"math"

	"sbid/driver"
)

// Size of the picture of one eye.
const (
	eyeWidth  = 640
	eyeHeight = 480
)

// A Shot says how eyes or a face meet a camera. Zero is an ordinary capture,
// in focus.
type Shot struct {
	Capture uint64  // number of the capture, from which gaze, pose and lids vary
	Frame   uint64  // number of the frame in it, from which sensor noise varies
	Blur    float64 // standard deviation of added blur, in px
	Closed  float64 // 0 eyes as open as they come … 1 closed

	Yaw, Pitch, Roll float64 // radians, added to what the capture brings; of the face only
}

// moment numbers the frames of all captures.
func (s Shot) moment() uint64 { return s.Capture<<20 | s.Frame&(1<<20-1) }

// An EyeTruth tells where an eye was drawn.
type EyeTruth struct {
	Position    driver.Position
	Pupil, Iris Circle
}

// A Circle is given in pixels.
type Circle struct{ X, Y, R float64 }

// Eye returns a near-infrared picture of one eye, 640×480 pixels.
func (p *Person) Eye(pos driver.Position, shot Shot) (*image.Gray, EyeTruth) {
	img, truth := p.drawOneEye(pos, shot)
	blurGray(img, img.Rect, math.Hypot(eyeBlur, shot.Blur))
	return grayFrame(img, p.random(streamNoise, int(pos), shot.moment())), truth
}

// look is one eye in one capture.
type look struct {
	eyeTraits
	*eye
	truth  EyeTruth
	nose   float64 // +1 if the nose is on the right of the picture
	roll   float64
	open   float64 // 0 the lids meet … 1 wide open
	wander ring
	drift  float64
	blotch noise
	pores  noise
	veins  noise
}

func (p *Person) look(pos driver.Position, shot Shot) *look {
	r := p.random(streamLook, int(pos), shot.Capture)
	l := &look{eyeTraits: p.eyeTraits(), eye: p.eye(pos), nose: 1}
	if pos == driver.LeftIris {
		l.nose = -1
	}
	iris := Circle{eyeWidth/2 + normal(r, 0, 12), eyeHeight/2 + normal(r, 6, 9), l.radius}
	ratio := min(max(l.dilation+normal(r, 0, 0.02), 0.28), 0.58)
	l.truth = EyeTruth{pos, Circle{iris.X + l.nose*l.nasal*iris.R, iris.Y + l.down*iris.R, ratio * iris.R}, iris}
	l.roll = normal(r, 0, 0.03)
	l.open = normal(r, 1, 0.04) * (1 - shot.Closed)
	l.wander, l.drift = newRing(r, 9, 2), 0.35*(ratio-0.4)
	l.blotch, l.pores, l.veins = newNoise(r, 60), newNoise(r, 5), newNoise(r, 18)
	return l
}

// lid returns the height of the edges of the lids at x, in radii of the iris
// from its centre, y down.
//
//go:norace
func (l *look) lid(x float64) (upper, lower float64) {
	const corner = 2.15 // half the width of the opening of the eye
	mid := 0.5 * (l.upper + l.lower)
	// The outer corner lies a little higher than the inner one.
	line := mid + 0.12 + l.slant*x*l.nose
	t := min(math.Abs(x)/corner, 1)
	arch := 1 - t*t
	lower = line + (l.lower-mid-0.12)*(1-0.6*t*t-0.4*t*t*t*t)
	upper = line + (l.upper-mid-0.12)*arch
	return lerp(lower+0.03, upper, l.open), lower
}

// drawEye draws the base of an eye, not yet blurred.
func (p *Person) drawEye(img *image.Gray, pos driver.Position, shot Shot) EyeTruth {
	l := p.look(pos, shot)
	inParallel(eyeHeight, func(y int) { l.drawRow(img.Pix[y*img.Stride:][:eyeWidth], y) })
	l.drawLashes(img, p)
	return l.truth
}

//go:norace
func (l *look) drawRow(row []uint8, y int) {
	for x := range row {
		row[x] = toBase(l.grey(float64(x), float64(y)))
	}
}

// grey returns the grey value of a pixel.
//
//go:norace
func (l *look) grey(px, py float64) float64 {
	iris := l.truth.Iris
	sin, cos := math.Sincos(l.roll)
	dx, dy := px-iris.X, py-iris.Y
	x, y := (dx*cos+dy*sin)/iris.R, (dy*cos-dx*sin)/iris.R
	upper, lower := l.lid(x)
	open := smoothstep(-0.015, 0.02, y-upper) * smoothstep(-0.015, 0.02, lower-y)
	var inside, skin float64
	if open > 0 {
		inside = l.ball(px, py, x)
		// The upper lid throws a shadow on the eye.
		inside -= 24 * math.Exp(-max(y-upper, 0)/0.12)
		inside -= 10 * math.Exp(-max(lower-y, 0)/0.06)
	}
	if open < 1 {
		skin = l.lidSkin(float32(px), float32(py), x, y, upper, lower)
	}
	return lerp(skin, inside, open)
}

// ball returns the grey of the eyeball: pupil, iris, sclera and caruncle.
//
//go:norace
func (l *look) ball(px, py, x float64) float64 {
	iris, pupil := l.truth.Iris, l.truth.Pupil
	dx, dy := px-pupil.X, py-pupil.Y
	dist := math.Hypot(dx, dy)
	angle := math.Atan2(dy, dx)/(2*math.Pi) + l.roll/(2*math.Pi)
	edge := pupil.R * (1 + 0.012*l.pupil.at(angle, 0))
	radius := math.Hypot(px-iris.X, py-iris.Y)

	grey := l.sclera - 16*smoothstep(1.0, 2.2, math.Abs(x)) - 9*max(float64(l.veins.at(float32(px), float32(py))), 0)
	if toNose := x * l.nose; toNose > 1.7 {
		grey = lerp(grey, 150, smoothstep(1.72, 1.95, toNose))
	}
	if radius < iris.R+4 {
		// Along the ray from the pupil's centre to the limbus.
		limbus := toLimbus(dx/max(dist, 1e-9), dy/max(dist, 1e-9), pupil, iris)
		v := min(max((dist-edge)/(limbus-edge), 0), 1)
		turn := angle + 0.012*l.wander.at(angle, v)
		stroma := l.iris + l.contrast*l.stroma(turn, v+l.drift*math.Sin(math.Pi*v))
		stroma -= 20 * smoothstep(0.86, 1, v)
		grey = lerp(stroma, grey, smoothstep(-3, 3, radius-iris.R))
	}
	grey = lerp(14, grey, smoothstep(-1, 1, dist-edge))
	for _, side := range [2]float64{-1, 1} {
		glint := math.Hypot(px-pupil.X-side*0.16*iris.R, py-pupil.Y+0.05*iris.R)
		grey = lerp(252, grey, smoothstep(4.2, 6.2, glint))
	}
	return grey
}

// toLimbus returns how far the limbus is from the pupil's centre along a unit
// vector.
func toLimbus(ux, uy float64, pupil, iris Circle) float64 {
	cx, cy := iris.X-pupil.X, iris.Y-pupil.Y
	along := ux*cx + uy*cy
	return along + math.Sqrt(iris.R*iris.R-cx*cx-cy*cy+along*along)
}

// lidSkin returns the grey of the skin round the eye.
//
//go:norace
func (l *look) lidSkin(px, py float32, x, y, upper, lower float64) float64 {
	grey := l.tone + 7*float64(l.blotch.at(px, py)) + 2.5*float64(l.pores.at(px, py))
	grey -= 20 * smoothstep(1.6, 3.0, math.Abs(x)) // the light falls off sideways
	if y < upper {
		crease := (upper - y - 0.30 + 0.05*math.Abs(x)) / 0.055
		grey -= 30 * math.Exp(-crease*crease) * smoothstep(2.4, 1.6, math.Abs(x))
		grey += 9 * smoothstep(0.9, 0.45, upper-y) * smoothstep(0.3, 0.45, upper-y)
	} else {
		bag := (y - lower - 0.42) / 0.10
		grey -= 12 * math.Exp(-bag*bag) * smoothstep(2.2, 1.2, math.Abs(x))
		grey += 8 * math.Exp(-max(y-lower, 0)/0.08) * smoothstep(2.3, 1.8, math.Abs(x))
	}
	// The brow begins above the lid.
	return grey - 45*smoothstep(1.55, 2.1, upper-y+0.12*x*l.nose)
}

// drawLashes draws curved, tapering hairs along both lids.
func (l *look) drawLashes(img *image.Gray, p *Person) {
	r := p.random(streamLashes, int(l.truth.Position), 0)
	for i := range l.lashes + l.lashes/2 {
		above := i < l.lashes
		x := uniform(r, -2.0, 2.0)
		upper, lower := l.lid(x)
		y, length, thick := upper, uniform(r, 0.30, 0.55), uniform(r, 1.6, 2.6)
		heading := -math.Pi/2 + 0.45*x + 0.15*r.NormFloat64() // upwards, fanning out
		bend := -0.5 * x
		if above && r.Float64() < 0.22 {
			// Some hang into the eye.
			heading, length = math.Pi/2-0.35*x+0.2*r.NormFloat64(), uniform(r, 0.12, 0.28)
		}
		if !above {
			y, length, thick = lower, uniform(r, 0.10, 0.2), uniform(r, 1, 1.5)
			heading = math.Pi/2 - 0.35*x + 0.2*r.NormFloat64()
		}
		l.stroke(img, x, y, heading, bend, length, thick)
	}
}

// stroke draws one hair from a point in eye coordinates.
func (l *look) stroke(img *image.Gray, x, y, heading, bend, length, thick float64) {
	const step = 0.006
	sin, cos := math.Sincos(l.roll)
	iris := l.truth.Iris
	for s := 0.0; s < length; s += step {
		half := thick / 2 * (1 - 0.85*s/length)
		dab(img, iris.X+iris.R*(x*cos-y*sin), iris.Y+iris.R*(x*sin+y*cos), half, 45)
		hs, hc := math.Sincos(heading + bend*s/length)
		x += step * hc
		y += step * hs
	}
}

// dab darkens a soft disc.
func dab(img *image.Gray, x, y, radius, grey float64) {
	reach := int(radius) + 1
	for j := int(y) - reach; j <= int(y)+reach+1; j++ {
		for i := int(x) - reach; i <= int(x)+reach+1; i++ {
			if !(image.Point{i, j}).In(img.Rect) {
				continue
			}
			cover := 1 - smoothstep(radius-0.5, radius+0.5, math.Hypot(float64(i)-x, float64(j)-y))
			at := img.PixOffset(i, j)
			v := float64(img.Pix[at])
			img.Pix[at] = toByte(v - (v-min(v, grey-noiseMean))*cover)
		}
	}
}
