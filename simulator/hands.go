package simulator

import (
	"image"
	"math"
	"slices"

	"sbid/driver"
)

// A limb is a tapered capsule: a finger, the ball of the thumb, a forearm.
type limb struct {
	x0, y0, x1, y1 float64
	r0, r1         float64
}

// distance to the outline, negative inside, and how far along the limb the
// point lies: 0 at its beginning, 1 at its end.
//
//go:norace
func (l *limb) distance(x, y float64) (d, along float64) {
	dx, dy := l.x1-l.x0, l.y1-l.y0
	along = ((x-l.x0)*dx + (y-l.y0)*dy) / (dx*dx + dy*dy)
	t := min(max(along, 0), 1)
	x, y = x-l.x0-t*dx, y-l.y0-t*dy
	return math.Sqrt(x*x+y*y) - lerp(l.r0, l.r1, t), along
}

// A palm is one raised hand, palm to the camera. Its coordinates have their
// origin in the middle of the palm, x towards the thumb, y down; the unit is
// the distance between the eyes.
type palm struct {
	fingers []limb // thumb first
	stumps  []bool // which of them are cut
	arm     limb
}

// cutAt is what is left of a missing finger, over its length.
const cutAt = 0.25

func newPalm(missing func(kind int) bool) palm {
	p := palm{arm: limb{-0.02, 0.55, -0.10, 4.5, 0.40, 0.52}}
	for kind, f := range []limb{
		{0.42, 0.38, 0.98, -0.16, 0.20, 0.115},
		{0.40, -0.52, 0.56, -1.42, 0.145, 0.115},
		{0.12, -0.60, 0.16, -1.62, 0.148, 0.118},
		{-0.16, -0.56, -0.22, -1.50, 0.142, 0.112},
		{-0.42, -0.42, -0.58, -1.16, 0.125, 0.098},
	} {
		cut := missing(kind)
		if cut {
			f.x1, f.y1 = lerp(f.x0, f.x1, cutAt), lerp(f.y0, f.y1, cutAt)
			f.r1 = f.r0 * 0.9
		}
		p.fingers = append(p.fingers, f)
		p.stumps = append(p.stumps, cut)
	}
	return p
}

// drawHands draws both hands beside the face and returns where they are,
// the person's right hand, on the left of the picture, first.
func (s *sitter) drawHands(img *image.RGBA, missing []driver.Position) []image.Rectangle {
	var drawn []image.Rectangle
	for hand, thumb := range [2]driver.Position{driver.RightThumb, driver.LeftThumb} {
		p := newPalm(func(kind int) bool { return slices.Contains(missing, thumb+driver.Position(kind)) })
		side := float64(2*hand - 1) // of the face, in the picture
		drawn = append(drawn, s.drawHand(img, p, side))
	}
	return drawn
}

func (s *sitter) drawHand(img *image.RGBA, p palm, side float64) image.Rectangle {
	cx, cy := s.x+side*2.85*s.unit, s.y+1.35*s.unit
	unit := 1.12 * s.unit
	area := image.Rect(int(cx-1.3*unit), int(cy-1.9*unit), int(cx+1.3*unit), img.Rect.Max.Y).Intersect(img.Rect)
	inParallel(area.Dy(), func(i int) {
		y := area.Min.Y + i
		for x := area.Min.X; x < area.Max.X; x++ {
			// The thumbs point at the face.
			s.paintHand(img, &p, x, y, -side*(float64(x)-cx)/unit, (float64(y)-cy)/unit)
		}
	})
	return image.Rect(int(cx-1.1*unit), int(cy-1.75*unit), int(cx+1.1*unit), int(cy+0.8*unit)).Intersect(img.Rect)
}

// paintHand paints the pixel (x, y), which is the point (u, v) of the hand.
//
//go:norace
func (s *sitter) paintHand(img *image.RGBA, p *palm, x, y int, u, v float64) {
	c, cover := s.handColour(p, u, v, float64(x), float64(y))
	if cover == 0 {
		return
	}
	px := img.Pix[img.PixOffset(x, y):]
	below := colour{float64(px[0]) + noiseMean, float64(px[1]) + noiseMean, float64(px[2]) + noiseMean}
	mix(below, c, cover).put(px)
}

// handColour returns the colour at a point of the hand and how much of the
// pixel it covers.
//
//go:norace
func (s *sitter) handColour(p *palm, x, y, px, py float64) (colour, float64) {
	soft := 1 / s.unit
	skin := mix(s.skin, colour{238, 196, 172}, 0.3) // palms are light on everybody
	grain := 1 + 0.016*float64(s.pores.at(float32(px), float32(py))) + 0.02*float64(s.blotches.at(float32(px), float32(py)))

	// The sleeve ends below the wrist.
	arm, _ := p.arm.distance(x, y)
	if y > 2.2 {
		sleeve := arm - 0.10
		fold := 1 + 0.05*math.Sin(9*y+3*x) + 0.02*float64(s.cloth.at(float32(px), float32(py)))
		cover := smoothstep(soft, -soft, sleeve) * smoothstep(2.2-soft, 2.2+soft, y-0.05*x*x)
		if cover > 0.5 {
			return s.shirt.times(fold * (1 - 0.35*smoothstep(-0.22, 0, sleeve)) * (1 - 0.2*math.Exp(-(y-2.2)/0.05))), cover
		}
	}

	d := merge(arm, roundedBox(x, y-0.02, 0.56, 0.62, 0.26), 0.10)
	ball := limb{0.30, 0.46, 0.42, 0.10, 0.22, 0.20}
	bd, _ := ball.distance(x, y)
	d = merge(d, bd, 0.10)
	between := math.Inf(1) // distance to the second nearest finger: a shadow falls between
	nearest := math.Inf(1)
	mark := 0.0
	for i := range p.fingers {
		f := &p.fingers[i]
		fd, along := f.distance(x, y)
		if fd < nearest {
			nearest, between = fd, nearest
		} else {
			between = min(between, fd)
		}
		if fd < 0 {
			joints := []float64{0.06, 0.36, 0.68}
			if p.stumps[i] {
				joints = joints[:0]
				// Scars where the skin was closed.
				mark = max(mark, 0.16*bell(along, fd, 1.25, -0.08, 0.18, 0.03))
			}
			for _, joint := range joints {
				q := (along - joint) * 32
				mark = max(mark, 0.18*math.Exp(-q*q))
			}
		}
		d = merge(d, fd, 0.05)
	}
	cover := smoothstep(soft, -soft, d)
	if cover == 0 {
		return colour{}, 0
	}
	// Towards the outline the surface turns away from the light.
	light := 1.0 - 0.36*math.Exp(d/0.045)
	if between < 0.03 && y < -0.5 {
		light -= 0.10 * smoothstep(0.03, -0.01, between)
	}
	// Cushions under the fingers and the thumb, the hollow between, and lines.
	light += 0.05*bell(x, y, 0.32, 0.30, 0.18, 0.22) + 0.04*bell(x, y, -0.34, 0.32, 0.16, 0.3) + 0.04*bell(x, y, 0, -0.42, 0.4, 0.10)
	light -= 0.07 * bell(x, y, -0.02, 0.10, 0.2, 0.22)
	for _, line := range [3]float64{
		math.Hypot(x-0.62, y-0.56) - 0.62,               // of life
		y + 0.06 - 0.16*x - 0.25*(x-0.3)*(x-0.3) + 0.04, // of the head
		y + 0.30 + 0.42*(x-0.05)*(x-0.05) + 0.20*x,      // of the heart
	} {
		if math.Abs(x) < 0.52 && y > -0.5 && y < 0.55 {
			q := line / 0.018
			mark = max(mark, 0.24*math.Exp(-q*q))
		}
	}
	wrist := (y - 0.72 - 0.03*x) / 0.016
	if math.Abs(x) < 0.4 {
		mark = max(mark, 0.16*math.Exp(-wrist*wrist))
	}
	tip := 0.3 * smoothstep(0, -0.03, nearest) * smoothstep(-0.7, -1.1, y)
	c := mix(skin, colour{skin[0], skin[1] * 0.9, skin[2] * 0.88}, tip+0.4*bell(x, y, 0.3, 0.3, 0.3, 0.3))
	return c.times(light * grain * (1 - mark)), cover
}

// merge is the smaller of two distances with the corner between rounded.
func merge(a, b, k float64) float64 {
	h := max(k-math.Abs(a-b), 0) / k
	return min(a, b) - h*h*k/4
}

// roundedBox is the distance to a box of the given half sizes and corner radius.
func roundedBox(x, y, halfX, halfY, radius float64) float64 {
	qx, qy := math.Abs(x)-halfX+radius, math.Abs(y)-halfY+radius
	return math.Hypot(max(qx, 0), max(qy, 0)) + min(max(qx, qy), 0) - radius
}
