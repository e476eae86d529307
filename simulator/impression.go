package simulator

import (
	"bytes"
	"image"
	"math"
	"math/rand/v2"

	"sbid/driver"
)

// Sizes of the fingerprint scanners' pictures, at 500 pixels per inch.
const (
	fingerDPI    = 500
	fingerWidth  = 400
	fingerHeight = 500
)

// An Impression says how a finger meets a platen. Zero is an ordinary capture,
// fully settled.
type Impression struct {
	Capture  uint64  // number of the capture, from which pose and skin vary
	Frame    uint64  // number of the frame in it, from which sensor noise varies
	Lift     float64 // 0 firmly pressed … 1 hardly touching
	Moisture float64 // -1 dry … 1 wet, added to what the capture brings
	Wear     float64 // 0 … 1, added to what the finger has
	Blur     float64 // standard deviation of added blur, in px
}

// moment numbers the frames of all captures.
func (i Impression) moment() uint64 { return i.Capture<<20 | i.Frame&(1<<20-1) }

// Finger returns the picture of a single finger on a platen of 400×500 pixels.
func (p *Person) Finger(pos driver.Position, how Impression) *image.Gray {
	c := p.press(fingerWidth, fingerHeight, p.placeSingle(pos, how), how)
	base := c.tone(how)
	return grayFrame(base, p.random(streamNoise, int(pos), how.moment()))
}

// A placement is where and how one finger lies on the platen.
type placement struct {
	position driver.Position
	shape    fingerShape
	// The tip's place in the picture, and the finger's tilt: clockwise, radians.
	x, y, tilt float64
	spread     float64 // of the contact, 1 is the whole outline
	joint      bool    // the middle phalanx touches, too
}

// at returns the picture point of the finger's point (u, v): u to the right of
// the axis, v below the tip.
func (l *placement) at(u, v float64) (x, y float64) {
	sin, cos := math.Sincos(l.tilt)
	return l.x + u*cos - v*sin, l.y + u*sin + v*cos
}

func (p *Person) placeSingle(pos driver.Position, how Impression) []placement {
	r := p.random(streamPlacement, int(pos), how.Capture)
	l := placement{position: pos, shape: p.shape(pos), tilt: normal(r, 0, 0.07), spread: 0.93}
	if kind, _ := fingerKind(pos); kind == 0 {
		l.spread = 0.88
	}
	// The pad's middle lies near the middle of the platen.
	dx, dy := normal(r, 0, 8), normal(r, 0, 9)
	l.x, l.y = fingerWidth/2+dx, fingerHeight/2+dy
	l.x, l.y = l.at(0, -l.shape.length*0.5)
	return []placement{l}
}

// A contact is a platen with fingers on it, kept so that pressing harder is a
// table look-up for each pixel: the picture of a pixel depends on how far
// towards the rim of the contact it lies and how high the skin stands there.
type contact struct {
	w, h  int
	area  image.Rectangle // outside it nothing touches
	rim   []uint8         // 128 on the outline of a fully pressed finger, less inside
	level []uint8         // height of the skin, see levelOf
	skin  skin
}

// rimUnit is the value of rim on the outline.
const rimUnit = 128

// levelOf encodes skin height, about -1 in valleys to 1 on ridges.
func levelOf(height float32) uint8 {
	return uint8(min(max(128+56*height, 0), 255))
}

// skin is the state of the skin in one capture.
type skin struct {
	dry, wet, pressure float64
	wear               float64 // added to that of the finger
}

func (p *Person) skin(how Impression) skin {
	r := p.random(streamSkin, 0, how.Capture)
	m := min(max(p.hand.dryness+normal(r, -0.05, 0.16), -0.38), 0.3)
	m = min(max(m+how.Moisture, -1), 1)
	return skin{
		dry: max(0, -m), wet: max(0, m),
		wear:     how.Wear,
		pressure: normal(r, 0.55, 0.05),
	}
}

// press lays fingers on a platen of w×h pixels.
func (p *Person) press(w, h int, fingers []placement, how Impression) *contact {
	c := &contact{w: w, h: h, rim: bytes.Repeat([]byte{255}, w*h), level: make([]uint8, w*h), skin: p.skin(how)}
	masters := make([]*finger, len(fingers))
	inParallel(len(fingers), func(i int) { masters[i] = p.finger(fingers[i].position) })
	imprints := make([]*imprint, len(fingers))
	for i := range fingers {
		imprints[i] = newImprint(p.random(streamSkin, int(fingers[i].position), how.Capture), &fingers[i], masters[i], c.skin)
		c.area = c.area.Union(imprints[i].bounds(w, h))
	}
	const band = 64 // rows
	inParallel((h+band-1)/band, func(i int) {
		for _, pr := range imprints {
			pr.draw(c, i*band, min((i+1)*band, h))
		}
	})
	return c
}

// An imprint is one finger about to be drawn on a contact.
type imprint struct {
	*placement
	finger *finger
	skin   skin

	sin, cos             float64 // of the tilt
	slipX, slipY, twist  float32 // how far the rim of the skin is dragged
	edge, patch          noise
	blotch, grain, speck noise
}

func newImprint(r *rand.Rand, l *placement, f *finger, s skin) *imprint {
	pr := &imprint{
		placement: l, finger: f, skin: s,
		edge: newNoise(r, 26), patch: newNoise(r, 60),
		blotch: newNoise(r, 40), grain: newNoise(r, 7), speck: newNoise(r, 2.2),
	}
	pr.sin, pr.cos = math.Sincos(l.tilt)
	drag, towards := min(math.Abs(normal(r, 0, 4)), 12), uniform(r, 0, 2*math.Pi)
	pr.slipX, pr.slipY = float32(drag*math.Cos(towards)), float32(drag*math.Sin(towards))
	pr.twist = float32(min(max(normal(r, 0, 0.04), -0.12), 0.12))
	pr.skin.wear = min(f.wear+s.wear, 1)
	return pr
}

// bounds returns the part of a w×h picture that the finger can reach.
func (pr *imprint) bounds(w, h int) image.Rectangle {
	u, v := pr.shape.width/2+masterBorder, pr.shape.length+masterBorder
	if pr.joint {
		v += creaseGap + pr.shape.phalanx
	}
	minX, minY, maxX, maxY := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, corner := range [4][2]float64{{-u, -masterBorder}, {u, -masterBorder}, {-u, v}, {u, v}} {
		x, y := pr.at(corner[0], corner[1])
		minX, maxX = min(minX, x), max(maxX, x)
		minY, maxY = min(minY, y), max(maxY, y)
	}
	return image.Rect(int(minX), int(minY), int(maxX)+1, int(maxY)+1).Intersect(image.Rect(0, 0, w, h))
}

// rimAt returns how far towards the rim of the contact the point (u, v) of the
// finger lies: 0 in the middle of a phalanx, 1 on its outline.
//
//go:norace
func (pr *imprint) rimAt(u, v float32) float32 {
	w, l := float32(pr.shape.width/2), float32(pr.shape.length)
	edge := pr.edge.at(u, v) / w // the outline is uneven
	middle := 1.24 * w           // of the pad: above it the outline is an ellipse
	x := abs(u) / (w * (1 - 0.16*smoothstep(0.6*l, l, v)))
	var rim float32
	if v < middle {
		y := (v - middle) / middle
		rim = sqrt(x*x + y*y)
	} else {
		rim = fourthRoot(x, (v-middle)/(l-middle))
	}
	rim += 4 * edge
	if pr.joint {
		// The middle phalanx touches less firmly and ends where it happens to.
		half := float32(pr.shape.phalanx / 2)
		y := (v - l - creaseGap - half) / half
		rim = min(rim, 0.08+fourthRoot(u/(0.84*w), y)+(7+9*max(y, 0))*edge)
	}
	return rim / float32(pr.spread)
}

// fourthRoot is the fourth root of x⁴+y⁴: 1 on the outline of a rounded square.
func fourthRoot(x, y float32) float32 {
	x, y = x*x, y*y
	return sqrt(sqrt(x*x + y*y))
}

func abs(x float32) float32  { return max(x, -x) }
func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }

// draw adds the rows from top to bottom of the finger to the contact. Where
// fingers overlap, the one that presses more firmly prints.
//
//go:norace
func (pr *imprint) draw(c *contact, top, bottom int) {
	area := pr.bounds(c.w, c.h)
	wear, dry, wet := float32(pr.skin.wear), float32(pr.skin.dry), float32(pr.skin.wet)
	for y := max(top, area.Min.Y); y < min(bottom, area.Max.Y); y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			dx, dy := float64(x)-pr.x, float64(y)-pr.y
			u, v := float32(dx*pr.cos+dy*pr.sin), float32(dy*pr.cos-dx*pr.sin)
			rim := pr.rimAt(u, v)
			i := y*c.w + x
			coded := uint8(min(max(rim*rimUnit, 0), 254))
			if rim > 1.05 || coded >= c.rim[i] {
				continue
			}
			// Under the middle of the pad the skin sticks, further out it slides.
			slide := smoothstep(0.25, 1, rim)
			mu := u - slide*(pr.slipX-pr.twist*v)
			mv := v - slide*(pr.slipY+pr.twist*u)
			ridge, lost := pr.finger.sample(mu, mv)

			height := ridge * (1 - wear*(0.55+0.35*pr.patch.at(u, v)))
			height -= 1.1 * lost * (1 - 0.75*wet)
			blotch, grain, speck := pr.blotch.at(u, v), pr.grain.at(u, v), pr.speck.at(u, v)
			height -= (0.18+0.3*wet+0.5*wear)*blotch + 0.8*(0.23+0.9*dry+0.8*wear)*grain + (0.25+0.8*dry+0.3*wear)*speck
			if wet > 0 {
				// Sweat bridges valleys.
				height = max(height, 2*smoothstep(1.6-1.5*wet, 2.4-1.5*wet, 0.8*blotch+0.6*grain)-1)
			}
			c.rim[i], c.level[i] = coded, levelOf(height)
		}
	}
}

// sample returns the ridge, -1 to 1, and what detail takes from it, 0 to 1, at
// the point (u, v).
//
//go:norace
func (f *finger) sample(u, v float32) (ridge, lost float32) {
	x, y := u+float32(f.w)/2, v+masterBorder
	x = min(max(x, 0), float32(f.w-2))
	y = min(max(y, 0), float32(f.h-2))
	i, j := int(x), int(y)
	x, y = x-float32(i), y-float32(j)
	at := j*f.w + i
	return bilinear(f.ridges[at:], f.w, x, y) / 127, bilinear(f.detail[at:], f.w, x, y) / 127
}

func bilinear(p []int8, w int, x, y float32) float32 {
	top := lerp(float32(p[0]), float32(p[1]), x)
	bottom := lerp(float32(p[w]), float32(p[w+1]), x)
	return lerp(top, bottom, y)
}

// Grey values of a whitening scanner. Its white lies well above the largest
// value there is, so that the empty platen is white in spite of sensor noise.
const (
	platenGrey = 262
	ridgeGrey  = 45
)

// tone makes the base of a contact.
//
//go:norace
func (c *contact) tone(how Impression) *image.Gray {
	dst := filled(c.w, c.h, platenGrey)
	table := c.skin.table(how.Lift)
	for y := c.area.Min.Y; y < c.area.Max.Y; y++ {
		row := dst.Pix[y*dst.Stride:][:c.w]
		rim, level := c.rim[y*c.w:][:c.w], c.level[y*c.w:][:c.w]
		for x := c.area.Min.X; x < c.area.Max.X; x++ {
			row[x] = table[rim[x]][level[x]]
		}
	}
	blurGray(dst, c.area, math.Hypot(0.7, how.Blur))
	return dst
}

// table returns the grey value for each rim and level.
func (s skin) table(lift float64) *[256][256]uint8 {
	press := 1 - lift
	pressure := lerp(0.15, s.pressure, press)
	spread := lerp(0.55, 1, press)  // contact grows from the middle of the pad
	wetting := lerp(0.36, 1, press) // a dry touch couples little light
	threshold := 0.9*s.dry - 0.8*s.wet - 0.25*(pressure-0.5) + 0.8*lift
	valley := 0.06 + 0.25*s.wet
	soft := 0.08 + 0.11*pressure
	var t [256][256]uint8
	for rim := range t {
		in := smoothstep(-0.015, soft, spread-float64(rim)/rimUnit)
		for level := range t[rim] {
			height := (float64(level) - 128) / 56
			tau := threshold + 0.6*(1-in)
			ink := smoothstep(tau-0.35, tau+0.35, height) * (1 - 0.25*s.dry)
			coverage := in * (valley + (1-valley)*ink) * wetting
			t[rim][level] = toBase(platenGrey - (platenGrey-ridgeGrey)*coverage)
		}
	}
	return &t
}
