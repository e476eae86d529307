package simulator

import (
	"image"
	"math"
	"slices"

	"sbid/driver"
)

// Size of the slap scanner's picture: a platen of 3.2 by 3 inches.
const (
	slapWidth  = 1600
	slapHeight = 1500
)

// A Pose says how a hand lies on the platen. Zero is an ordinary capture.
type Pose struct {
	Impression
	Rotation float64 // radians clockwise, added to what the capture brings
	Spread   float64 // px between fingers, added to what the capture brings
}

// A Truth tells where a finger was drawn.
type Truth struct {
	Position    driver.Position
	Tip, Crease image.Point // ends of the axis of the distal phalanx
	Width       float64     // of the distal phalanx, px
	Tilt        float64     // of the axis, radians clockwise
}

// Bounds returns the rectangle round the distal phalanx.
func (t Truth) Bounds() image.Rectangle {
	across := image.Pt(int(t.Width/2*math.Abs(math.Cos(t.Tilt))), int(t.Width/2*math.Abs(math.Sin(t.Tilt))))
	r := image.Rectangle{t.Tip, t.Crease}.Canon()
	return image.Rectangle{r.Min.Sub(image.Pt(across.X, 0)), r.Max.Add(image.Pt(across.X, 0))}
}

// Slap returns the picture of the fingers of one hand, or of both thumbs, on a
// platen of 1600×1500 pixels, without the missing ones.
func (p *Person) Slap(sensor driver.Sensor, missing []driver.Position, pose Pose) (*image.Gray, []Truth) {
	fingers := p.placeSlap(sensor, missing, pose)
	c := p.press(slapWidth, slapHeight, fingers, pose.Impression)
	base := c.tone(pose.Impression)
	truths := make([]Truth, len(fingers))
	for i := range fingers {
		truths[i] = fingers[i].truth()
	}
	return grayFrame(base, p.random(streamNoise, int(sensor), pose.moment())), truths
}

func (l *placement) truth() Truth {
	point := func(v float64) image.Point {
		x, y := l.at(0, v)
		return image.Pt(int(math.Round(x)), int(math.Round(y)))
	}
	return Truth{l.position, point(0), point(l.shape.length + creaseGap/2), l.shape.width, l.tilt}
}

func (p *Person) placeSlap(sensor driver.Sensor, missing []driver.Position, pose Pose) []placement {
	var fingers []placement
	if sensor == driver.Both {
		fingers = p.placeThumbs(pose)
	} else {
		fingers = p.placeHand(sensor, pose)
	}
	return slices.DeleteFunc(fingers, func(l placement) bool { return slices.Contains(missing, l.position) })
}

// placeHand lays the four fingers of a hand side by side, then turns and moves
// the hand so that it lies in the middle of the platen.
func (p *Person) placeHand(sensor driver.Sensor, pose Pose) []placement {
	r := p.random(streamPlacement, 32+int(sensor), pose.Capture)
	side := 1.0 // index to little is left to right for a right hand
	if sensor == driver.Left {
		side = -1
	}
	fan := uniform(r, 0.005, 0.025)
	var fingers []placement
	var edge float64
	for k, pos := range driver.Finger.Positions(sensor) {
		l := placement{position: pos, shape: p.shape(pos), spread: uniform(r, 0.94, 1.02), joint: true}
		l.shape.phalanx *= uniform(r, 0.75, 1)
		if k > 0 {
			edge += uniform(r, 18, 60) + pose.Spread
		}
		l.x = side * (edge + l.shape.width/2)
		l.y = p.hand.tipDrop[k+1] + normal(r, 0, 10)
		l.tilt = side * (float64(k) - 1.2) * fan
		edge += l.shape.width
		fingers = append(fingers, l)
	}
	turn := pose.Rotation + normal(r, 0, 0.06) - side*0.05
	p.centre(fingers, turn, normal(r, 0, 25), normal(r, -10, 25))
	return fingers
}

func (p *Person) placeThumbs(pose Pose) []placement {
	r := p.random(streamPlacement, 32+int(driver.Both), pose.Capture)
	apart := uniform(r, 430, 540) + pose.Spread
	var fingers []placement
	for k, pos := range driver.Finger.Positions(driver.Both) {
		side := float64(2*k - 1)
		l := placement{position: pos, shape: p.shape(pos), spread: uniform(r, 0.92, 1), joint: true}
		l.x, l.y = side*apart/2, normal(r, 0, 15)
		l.tilt = side * -uniform(r, 0.0, 0.14)
		fingers = append(fingers, l)
	}
	p.centre(fingers, pose.Rotation+normal(r, 0, 0.03), normal(r, 0, 25), normal(r, 0, 25))
	return fingers
}

// centre turns the fingers together and moves them so that their distal
// phalanges and half of the middle ones lie round a point near the middle.
func (p *Person) centre(fingers []placement, turn, dx, dy float64) {
	sin, cos := math.Sincos(turn)
	minX, minY, maxX, maxY := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for i := range fingers {
		l := &fingers[i]
		l.x, l.y = l.x*cos-l.y*sin, l.x*sin+l.y*cos
		l.tilt += turn
		for _, end := range [2]float64{0, l.shape.length + l.shape.phalanx/2} {
			x, y := l.at(0, end)
			minX, maxX = min(minX, x-l.shape.width/2), max(maxX, x+l.shape.width/2)
			minY, maxY = min(minY, y), max(maxY, y)
		}
	}
	dx += slapWidth/2 - (minX+maxX)/2
	dy += slapHeight/2 - (minY+maxY)/2
	for i := range fingers {
		fingers[i].x += dx
		fingers[i].y += dy
	}
}
