package simulator

import (
	"math"
	"math/rand/v2"

	"sbid/driver"
)

// handTraits are what the fingers of a person have in common.
type handTraits struct {
	size         float64 // 1 is the average adult
	period       float64 // of the ridges of the index finger, in px
	whorlLiking  float64
	wear         float64    // 0 unworn, 1 no ridges left
	dryness      float64    // added to the moisture of every capture
	tipDrop      [5]float64 // px below the tip of the middle finger; the thumb's is unused
	phalanxShare float64    // length of the middle phalanx over that of the distal one
}

func newHandTraits(p *Person) handTraits {
	r := p.random(streamHand, 0, 0)
	t := handTraits{
		size:         normal(r, 0.98, 0.05),
		period:       min(max(normal(r, 9.0, 0.5), 7.8), 10.4),
		whorlLiking:  r.NormFloat64(),
		wear:         max(0.1, normal(r, 0.11, 0.03)),
		dryness:      normal(r, -0.1, 0.12),
		tipDrop:      [5]float64{0, normal(r, 230, 40), 0, normal(r, 120, 35), normal(r, 530, 55)},
		phalanxShare: normal(r, 0.78, 0.06),
	}
	for i := range t.tipDrop {
		t.tipDrop[i] *= t.size
	}
	return t
}

// A fingerShape is the outline of a finger pressed flat, in px at 500 dpi.
type fingerShape struct {
	width   float64 // where it is widest
	length  float64 // of the distal phalanx, from the tip to the crease
	phalanx float64 // length of the middle phalanx that can touch the platen
}

// fingerSizes are the average width and length by kind of finger: the medians
// of the ground truth of NIST's slap segmentation tests less the white in it.
var fingerSizes = [5]struct{ width, length float64 }{{345, 510}, {256, 408}, {252, 428}, {250, 420}, {226, 380}}

// periodFactors make the ridges of thumbs wider and of little fingers finer.
var periodFactors = [5]float64{1.06, 1, 1, 1, 0.95}

// wearOf is how much more than others the fingers that work hardest are worn.
var wearOf = [5]float64{0.08, 0.03, 0, 0, 0}

// creaseGap is the strip of skin in the joint that does not touch the platen.
const creaseGap = 14

// The master picture of a finger reaches this far beyond its outline.
const masterBorder = 16

// A finger is the skin of one finger, as it would print if it were flat.
type finger struct {
	shape  fingerShape
	class  Class
	wear   float64
	w, h   int    // of the master pictures
	ridges []int8 // 127 on a ridge, -127 in a valley
	detail []int8 // what pores, creases and scars take from the ridge, 127 is all
}

func (p *Person) finger(pos driver.Position) *finger {
	slot := &p.fingers[pos]
	slot.once.Do(func() { slot.finger = p.growFinger(pos) })
	return slot.finger
}

// shape returns the outline of a finger, which costs nothing.
func (p *Person) shape(pos driver.Position) fingerShape {
	kind, _ := fingerKind(pos)
	r := p.random(streamHand, int(pos), 0)
	s := fingerShape{
		width:  normal(r, fingerSizes[kind].width, 8) * p.hand.size,
		length: normal(r, fingerSizes[kind].length, 12) * p.hand.size,
	}
	s.phalanx = s.length * p.hand.phalanxShare
	if kind == 0 {
		s.phalanx = 0.35 * s.length
	}
	return s
}

func (p *Person) growFinger(pos driver.Position) *finger {
	kind, _ := fingerKind(pos)
	shape := p.shape(pos)
	f := &finger{shape: shape, class: p.class(pos), wear: p.hand.wear + wearOf[kind]}
	f.w = int(shape.width+2*masterBorder) &^ 3
	f.h = int(shape.length+creaseGap+shape.phalanx+2*masterBorder) &^ 3
	// The period follows the size of the hand: a small one has as many ridges.
	period := p.hand.period * periodFactors[kind]
	pattern := newFlow(p.random(streamOrientation, int(pos), 0), f.class, shape, period)
	f.ridges = grow(pattern, p.random(streamGrowth, int(pos), 0), f.w, f.h, float64(f.w)/2, masterBorder)
	f.detail = newDetail(p.random(streamDetail, int(pos), 0), f, period)
	return f
}

// newDetail draws what interrupts ridges: pores along them, fine creases, and
// on few fingers a scar.
func newDetail(r *rand.Rand, f *finger, period float64) []int8 {
	d := detail{w: f.w, h: f.h, pixels: make([]int8, f.w*f.h)}
	d.pores(r, f.ridges, 1.1*period)
	for range r.IntN(5) {
		d.crease(r, uniform(r, 0.8, 1.6), uniform(r, 40, 140))
	}
	if r.Float64() < 0.05 {
		d.crease(r, uniform(r, 2, 3.5), uniform(r, 50, 150))
	}
	return d.pixels
}

type detail struct {
	w, h   int
	pixels []int8
}

// take raises what is taken at a pixel to share, 0 to 1.
func (d *detail) take(x, y int, share float64) {
	if x >= 0 && y >= 0 && x < d.w && y < d.h {
		i := y*d.w + x
		d.pixels[i] = max(d.pixels[i], int8(127*share))
	}
}

func (d *detail) pores(r *rand.Rand, ridges []int8, step float64) {
	for y := step; y < float64(d.h)-step; y += step {
		for x := step; x < float64(d.w)-step; x += step {
			px, py := int(x+uniform(r, -0.4, 0.4)*step), int(y+uniform(r, -0.4, 0.4)*step)
			keep, size := r.Float64() < 0.6, uniform(r, 0.5, 0.9)
			// Pores open on the crest of a ridge.
			best, bx, by := int8(60), 0, 0
			for j := max(py-4, 0); j <= min(py+4, d.h-1); j++ {
				for i := max(px-4, 0); i <= min(px+4, d.w-1); i++ {
					if v := ridges[j*d.w+i]; v > best {
						best, bx, by = v, i, j
					}
				}
			}
			if !keep || best == 60 {
				continue
			}
			for j := -2; j <= 2; j++ {
				for i := -2; i <= 2; i++ {
					d.take(bx+i, by+j, 0.75*math.Exp(-float64(i*i+j*j)/(2*size*size)))
				}
			}
		}
	}
}

// crease draws a line that wanders and tapers towards its ends.
func (d *detail) crease(r *rand.Rand, halfWidth, length float64) {
	x, y := uniform(r, 0, float64(d.w)), uniform(r, 0, float64(d.h))
	heading := uniform(r, 0, 2*math.Pi)
	for s := 0.0; s < length; s++ {
		w := halfWidth * math.Sqrt(math.Sin(math.Pi*(s+0.5)/length))
		reach := int(w) + 2
		for j := -reach; j <= reach; j++ {
			for i := -reach; i <= reach; i++ {
				px, py := math.Floor(x)+float64(i), math.Floor(y)+float64(j)
				away := math.Hypot(px-x, py-y)
				d.take(int(px), int(py), 0.9*(1-smoothstep(w-0.5, w+1, away)))
			}
		}
		heading += 0.03 * r.NormFloat64()
		x += math.Cos(heading)
		y += math.Sin(heading)
	}
}
