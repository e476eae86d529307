package simulator

import (
	"math"
	"math/rand/v2"

	"sbid/driver"
)

// An eye is what never changes about one eye.
type eye struct {
	texture []float32 // textureAngles × textureRadii, rows from the pupil outwards
	nasal   float64   // offset of the pupil towards the nose, over the radius of the iris
	down    float64   // and downwards
	pupil   ring      // deviation of the pupil's outline from a circle
}

// eyeTraits are what the two eyes of a person have in common.
type eyeTraits struct {
	radius          float64 // of the iris, px
	iris, sclera    float64 // grey
	tone            float64 // of the skin, grey
	contrast        float64 // of the texture, grey
	dilation        float64 // radius of the pupil over that of the iris
	upper, lower    float64 // edges of the lids over the radius, y down
	lashes          int
	caruncle, slant float64
}

func (p *Person) eyeTraits() eyeTraits {
	r := p.random(streamEyes, 0, 0)
	return eyeTraits{
		radius: normal(r, 112, 1.2), // the average iris of 11.8 mm at 19 px/mm
		iris:   normal(r, 118, 9), sclera: normal(r, 178, 6), tone: normal(r, 168, 9),
		contrast: normal(r, 15, 2),
		dilation: normal(r, 0.40, 0.04),
		upper:    normal(r, -0.84, 0.05), lower: normal(r, 0.96, 0.05),
		lashes: 45 + r.IntN(25), caruncle: normal(r, 0.30, 0.05), slant: normal(r, 0.06, 0.03),
	}
}

const (
	textureAngles = 1024
	textureRadii  = 96
)

func (p *Person) eye(pos driver.Position) *eye {
	i := 0
	if pos == driver.LeftIris {
		i = 1
	}
	slot := &p.eyes[i]
	slot.once.Do(func() { slot.eye = newEye(p.random(streamTexture, i, 0)) })
	return slot.eye
}

func newEye(r *rand.Rand) *eye {
	e := &eye{nasal: normal(r, 0.03, 0.015), down: normal(r, 0.02, 0.015), pupil: newRing(r, 7, 1)}
	e.texture = newTexture(r)
	return e
}

// newTexture draws the stroma of an iris with unit deviation: radial fibres,
// the collarette where they meet, crypts between them, and furrows round them.
func newTexture(r *rand.Rand) []float32 {
	fine, coarse := newRing(r, 150, 8), newRing(r, 70, 6)
	bend := newRing(r, 12, 4)
	blobs := []struct {
		ring
		weight float64
	}{{newRing(r, 40, 8), 0.55}, {newRing(r, 90, 14), 0.35}, {newRing(r, 10, 3), 0.5}}
	collarette := normal(r, 0.30, 0.04)
	zigzag, ripple := newRing(r, 24, 1), newRing(r, 60, 1)

	t := make([]float64, textureAngles*textureRadii)
	for j := range textureRadii {
		v := (float64(j) + 0.5) / textureRadii
		for i := range textureAngles {
			u := float64(i) / textureAngles
			bent := u + 0.012*bend.at(u, v)
			edge := collarette + 0.035*zigzag.at(u, 0) + 0.015*ripple.at(u, 0)
			fibre := lerp(0.45, 0.75, smoothstep(-0.04, 0.04, v-edge))
			x := fibre*fine.at(bent, v) + 0.6*coarse.at(bent, v)
			for k := range blobs {
				x += blobs[k].weight * blobs[k].at(u, v)
			}
			d := (v - edge) / 0.03
			x += 1.3 * math.Exp(-d*d)
			x += 0.5 * (1 - smoothstep(0.02, 0.06, v))
			t[j*textureAngles+i] = x
		}
	}
	for range 25 + r.IntN(31) {
		crypt(t, uniform(r, 0, 1), uniform(r, 0.12, 0.62), uniform(r, 0.004, 0.013), uniform(r, 0.03, 0.09), uniform(r, 0.7, 2.2))
	}
	for range r.IntN(6) {
		furrow(t, uniform(r, 0, 1), uniform(r, 0.6, 0.93), uniform(r, 0.05, 0.25), uniform(r, 0.4, 1.1))
	}
	texture := make([]float32, len(t))
	for i, x := range t {
		texture[i] = float32(0.8 * x)
	}
	return texture
}

// crypt darkens an ellipse round (u, v) with half axes in turns and in radii.
func crypt(t []float64, u, v, halfU, halfV, depth float64) {
	for j := range textureRadii {
		y := ((float64(j)+0.5)/textureRadii - v) / halfV
		if math.Abs(y) > 2.2 {
			continue
		}
		reach := int(2.2*halfU*textureAngles) + 1
		middle := int(u * textureAngles)
		for i := middle - reach; i <= middle+reach; i++ {
			x := (float64(i)/textureAngles - u) / halfU
			d := math.Hypot(x, y)
			t[j*textureAngles+(i+textureAngles)%textureAngles] -= depth / (1 + math.Exp(4*(d-1)))
		}
	}
}

// furrow darkens an arc of the given length in turns.
func furrow(t []float64, u, v, length, depth float64) {
	for j := range textureRadii {
		y := ((float64(j)+0.5)/textureRadii - v) / 0.018
		if math.Abs(y) > 3 {
			continue
		}
		for i := range int(length * textureAngles) {
			s := float64(i) / (length * textureAngles)
			at := (int(u*textureAngles) + i) % textureAngles
			t[j*textureAngles+at] -= depth * math.Exp(-y*y) * math.Sqrt(math.Sin(math.Pi*s))
		}
	}
}

// stroma returns the texture at u turns and v from pupil (0) to limbus (1).
//
//go:norace
func (e *eye) stroma(u, v float64) float64 {
	u = (u - math.Floor(u)) * textureAngles
	v = min(max(v*textureRadii-0.5, 0), textureRadii-1.001)
	i, j := int(u), int(v)
	u, v = u-float64(i), v-float64(j)
	i0, i1 := i%textureAngles, (i+1)%textureAngles
	top, bottom := e.texture[j*textureAngles:], e.texture[(j+1)*textureAngles:]
	return lerp(lerp(float64(top[i0]), float64(top[i1]), u), lerp(float64(bottom[i0]), float64(bottom[i1]), u), v)
}
