package segment_test

import (
	"image"
	"math"
	"math/rand/v2"

	"sbid/driver"
)

// A drawn is where a finger was drawn: its tip and the middle of its crease,
// its width in pixels and its lean in radians, clockwise.
type drawn struct {
	position           driver.Position
	tipX, tipY         float64
	width, length      float64
	lean               float64
	middle             float64 // length of the middle phalanx
	pressure, moisture float64
}

// A scene is how a slap is drawn.
type scene struct {
	touching bool    // two neighbours touch
	rotation float64 // of the hand, in radians, besides what people do
	platen   float64 // grey, 0 for a white one
	noise    float64
	moisture float64
	palm     bool // a part of the palm shows below the fingers
	missing  []driver.Position
}

// Tip drops, lengths and widths of index to little finger, in pixels at 500
// dpi: medians of NIST's public ground truth of slap segmentation.
var (
	tipDrops = [4]float64{230, 0, 120, 560}
	lengths  = [4]float64{416, 436, 430, 390}
	widths   = [4]float64{268, 262, 266, 240}
)

// paintHand draws the four fingers of a hand. It is plainer than the simulator
// and a hundred times faster, which lets tests have numbers.
func paintHand(seed uint64, sensor driver.Sensor, s scene) (*image.Gray, []drawn) {
	r := rand.New(rand.NewPCG(seed, uint64(sensor)))
	size := 0.96 + 0.07*normal(r)
	side := 1.0 // index to little is left to right for a right hand
	if sensor == driver.Left {
		side = -1
	}
	touch := -1
	if s.touching {
		touch = 1 + r.IntN(3)
	}
	fan := 0.02 * r.Float64()
	var hand []drawn
	var edge float64
	for k, p := range driver.Finger.Positions(sensor) {
		w := widths[k] * size * (1 + 0.06*normal(r))
		gap := 12 + 50*r.Float64()
		if k == touch {
			gap = -12
		}
		if k > 0 {
			edge += gap
		}
		hand = append(hand, drawn{
			position: p,
			tipX:     side * (edge + w/2),
			tipY:     tipDrops[k]*size + 40*normal(r),
			width:    w,
			length:   lengths[k] * size * (1 + 0.05*normal(r)),
			lean:     side * (float64(k) - 1.5) * fan,
			middle:   60 + 200*r.Float64(),
			pressure: 0.35 + 0.4*r.Float64(),
			moisture: s.moisture,
		})
		edge += w
	}
	return paint(r, place(hand, s.rotation+0.1*normal(r)), s)
}

// paintThumbs draws both thumbs, each leaning inwards.
func paintThumbs(seed uint64, s scene) (*image.Gray, []drawn) {
	r := rand.New(rand.NewPCG(seed, uint64(driver.Both)))
	size := 0.98 + 0.05*normal(r)
	apart := 400 + 120*r.Float64()
	var hand []drawn
	for k, p := range driver.Finger.Positions(driver.Both) {
		side := float64(2*k - 1)
		hand = append(hand, drawn{
			position: p,
			tipX:     side * apart / 2,
			tipY:     40 * normal(r),
			width:    345 * size,
			length:   500 * size * (1 + 0.05*normal(r)),
			lean:     -side * (-0.05 + 0.3*r.Float64()),
			middle:   40 + 60*r.Float64(),
			pressure: 0.35 + 0.4*r.Float64(),
			moisture: s.moisture,
		})
	}
	return paint(r, place(hand, s.rotation), s)
}

func normal(r *rand.Rand) float64 { return max(-2, min(r.NormFloat64(), 2)) }

const slapW, slapH = 1600, 1500

// place turns the fingers together and moves them to the middle of the platen.
func place(hand []drawn, rotation float64) []drawn {
	sin, cos := math.Sincos(rotation)
	x0, y0, x1, y1 := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for i := range hand {
		f := &hand[i]
		f.tipX, f.tipY = f.tipX*cos-f.tipY*sin, f.tipX*sin+f.tipY*cos
		f.lean += rotation
		for _, v := range [2]float64{0, f.length} {
			x, y := f.at(0, v)
			x0, x1 = min(x0, x-f.width/2), max(x1, x+f.width/2)
			y0, y1 = min(y0, y), max(y1, y)
		}
	}
	for i := range hand {
		hand[i].tipX += slapW/2 - (x0+x1)/2
		hand[i].tipY += slapH/2 - (y0+y1)/2 - 60
	}
	return hand
}

// at returns the place u right of the axis and v below the tip.
func (d *drawn) at(u, v float64) (x, y float64) {
	sin, cos := math.Sincos(d.lean)
	return d.tipX + u*cos - v*sin, d.tipY + u*sin + v*cos
}

// paint draws the fingers on the platen, by the strongest cover at each pixel.
func paint(r *rand.Rand, hand []drawn, s scene) (*image.Gray, []drawn) {
	kept := hand[:0]
next:
	for _, f := range hand {
		for _, p := range s.missing {
			if f.position == p {
				continue next
			}
		}
		kept = append(kept, f)
	}
	cover := make([]float32, slapW*slapH)
	for i := range kept {
		kept[i].paint(cover)
	}
	if s.palm {
		for y := slapH - 130; y < slapH; y++ {
			for x := 500; x < 1150; x++ {
				cover[y*slapW+x] = 0.5 * float32(clamp01(0.5+sines[(x*28+y*11)&255]))
			}
		}
	}
	platen, ink := 258.0, 45.0
	if s.platen != 0 {
		platen = s.platen
	}
	noise := max(s.noise, 2)
	var grain [4096]float64
	for i := range grain {
		grain[i] = noise * r.NormFloat64()
	}
	img := image.NewGray(image.Rect(0, 0, slapW, slapH))
	at := r.IntN(len(grain))
	for i, c := range cover {
		if i%slapW == 0 {
			at = r.IntN(len(grain))
		}
		g := platen - (platen-ink)*float64(c) + grain[(at+i)%len(grain)]
		img.Pix[i] = uint8(max(0, min(g, 255)))
	}
	return img, kept
}

const ridgePeriod = 9 // pixels at 500 dpi

var sines = func() (t [256]float64) {
	for i := range t {
		t[i] = math.Sin(2 * math.Pi * float64(i) / float64(len(t)))
	}
	return t
}()

// paint draws one finger: the distal phalanx with an oval tip, a crease, and a
// paler middle phalanx.
func (d *drawn) paint(cover []float32) {
	reach := d.length + d.middle + d.width
	sin, cos := math.Sincos(d.lean)
	for y := max(0, int(d.tipY-d.width)); y < min(slapH, int(d.tipY+reach)); y++ {
		for x := max(0, int(d.tipX-reach)); x < min(slapW, int(d.tipX+reach)); x++ {
			dx, dy := float64(x)+0.5-d.tipX, float64(y)+0.5-d.tipY
			u, v := dx*cos+dy*sin, dy*cos-dx*sin
			if u < -d.width/2 || u > d.width/2 || v < 0 || v > d.length+14+d.middle {
				continue
			}
			c := d.contact(u, v)
			if c <= 0 {
				continue
			}
			down := 0.8 * (v - 0.45*d.length)
			ridge := sines[int(math.Sqrt(u*u+down*down)/ridgePeriod*float64(len(sines)))%len(sines)]
			threshold := 0.9*max(0, -d.moisture) - 0.8*max(0, d.moisture)
			ink := clamp01((ridge-threshold)/0.7 + 0.5)
			valley := 0.06 + 0.25*max(0, d.moisture)
			i := y*slapW + x
			cover[i] = max(cover[i], float32(c*(valley+(1-valley)*ink)))
		}
	}
}

// contact returns how firmly the place (u, v) of the finger touches, 0 to 1.
func (d *drawn) contact(u, v float64) float64 {
	half := d.width / 2 * (1 - 0.03*(0.75-d.pressure))
	if v > d.length {
		in := min(0.84*half-math.Abs(u), v-d.length-14, d.length+14+d.middle-v)
		return 0.85 * clamp01(in/20)
	}
	if narrow := (v - 0.6*d.length) / (0.4 * d.length); narrow > 0 {
		half *= 1 - 0.16*narrow
	}
	edge := half - math.Abs(u)
	if high := 0.62 * d.width; v < high {
		across, up := u/half, (high-v)/high
		edge = (1 - across*across - up*up) * half / 2
	}
	return clamp01(edge/14) * clamp01((d.length-v)/16)
}

func clamp01(x float64) float64 { return max(0, min(x, 1)) }
