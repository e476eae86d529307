package simulator

import (
	"math"
	"math/rand/v2"

	"sbid/driver"
)

// A Class is a pattern type of Henry's classification, as it appears on an
// impression with the fingertip up.
type Class uint8

const (
	Arch Class = iota
	TentedArch
	LeftLoop
	RightLoop
	Whorl
	TwinLoop
)

// classShares are the shares of patterns in the population by kind of finger,
// thumb to little, in per cent. What is left are arches.
var classShares = [5]struct{ ulnar, radial, whorl, twin float64 }{
	{58, 0.5, 25, 12},
	{35, 21, 26, 6},
	{73, 3, 13, 4},
	{55, 1, 38, 4},
	{86, 0.3, 10, 2},
}

// fingerKind returns 0 for a thumb to 4 for a little finger, and the hand.
func fingerKind(pos driver.Position) (kind int, left bool) {
	if pos >= driver.LeftThumb {
		return int(pos - driver.LeftThumb), true
	}
	return int(pos - driver.RightThumb), false
}

// class draws the pattern of the finger. A person inclined to whorls on one
// finger is so on the others, too.
func (p *Person) class(pos driver.Position) Class {
	kind, left := fingerKind(pos)
	s := classShares[kind]
	r := p.random(streamClass, int(pos), 0)
	whorls := (s.whorl + s.twin) / 100
	logit := math.Log(whorls/(1-whorls)) + 0.6*p.hand.whorlLiking
	if r.Float64() < 1/(1+math.Exp(-logit)) {
		if r.Float64() < s.twin/(s.whorl+s.twin) {
			return TwinLoop
		}
		return Whorl
	}
	ulnar, radial := RightLoop, LeftLoop
	if left {
		ulnar, radial = radial, ulnar
	}
	switch x := r.Float64() * (100 - s.whorl - s.twin); {
	case x < s.ulnar:
		return ulnar
	case x < s.ulnar+s.radial:
		return radial
	}
	if r.Float64() < 0.55 {
		return Arch
	}
	return TentedArch
}

// A singularity is a core or a delta of the ridge flow, with the deviation of
// the flow round it from the ideal one at eight directions (Vizcaya and
// Gerhardt, 1996).
type singularity struct {
	x, y  float64
	knots [8]float64
}

func newSingularity(r *rand.Rand, x, y float64) singularity {
	s := singularity{x: x, y: y}
	for i := range s.knots {
		s.knots[i] = normal(r, 0, 0.10)
	}
	return s
}

// angle is the direction from s to the point, in radians with y up, with the
// deviation added.
func (s *singularity) angle(x, y float64) float64 {
	a := math.Atan2(s.y-y, x-s.x)
	k := (a + math.Pi) / (math.Pi / 4)
	i := int(k)
	k -= float64(i)
	return a + lerp(s.knots[i%8], s.knots[(i+1)%8], k)
}

// A flow is the direction and the period of the ridges everywhere on a finger,
// by the zero-pole model of Sherlock and Monro (1993) with corrections.
// Coordinates are pixels at 500 dpi: x from the axis of the finger, y downwards
// from its tip.
type flow struct {
	class         Class
	cores, deltas []singularity
	width, height float64 // of the pattern, which is larger than its contact
	coreY, deltaY float64
	crease        float64 // where the distal phalanx ends
	period        float64
	slant         float64 // of the ridges on the middle phalanx, in radians
	arch          struct{ k, y float64 }
	wander        noise // of the direction
	stretch       noise // of the period
}

func newFlow(r *rand.Rand, class Class, shape fingerShape, period float64) *flow {
	scale := shape.width / 262
	f := &flow{
		class: class, width: 416 * scale, height: 560 * scale,
		crease: shape.length, period: period, slant: normal(r, 0, 0.06),
		wander: newNoise(r, 110), stretch: newNoise(r, 90),
	}
	w, h := f.width, f.height
	x, y := normal(r, 0, 0.03*w), 0.45*shape.length+normal(r, 0, 0.02*h)
	core := func(dx, dy float64) { f.cores = append(f.cores, newSingularity(r, x+dx, y+dy)) }
	delta := func(dx, dy float64) { f.deltas = append(f.deltas, newSingularity(r, x+dx, y+dy)) }
	pair := func(apart, tilt float64) {
		dx, dy := apart/2*math.Sin(tilt), apart/2*math.Cos(tilt)
		core(-dx, -dy)
		core(dx, dy)
	}
	switch class {
	case LeftLoop:
		core(0, 0)
		delta(normal(r, 0.30, 0.05)*w, normal(r, 0.24, 0.05)*h)
	case RightLoop:
		core(0, 0)
		delta(-normal(r, 0.30, 0.05)*w, normal(r, 0.24, 0.05)*h)
	case TentedArch:
		core(0, 0)
		delta(normal(r, 0, 0.012)*w, normal(r, 0.20, 0.03)*h)
	case Whorl:
		pair(uniform(r, 12, 34), normal(r, 0, 0.25))
		delta(normal(r, 0.34, 0.04)*w, normal(r, 0.23, 0.04)*h)
		delta(-normal(r, 0.34, 0.04)*w, normal(r, 0.23, 0.04)*h)
	case TwinLoop:
		tilt := uniform(r, 0.35, 0.65)
		if r.IntN(2) == 0 {
			tilt = -tilt
		}
		pair(uniform(r, 60, 90), tilt)
		delta(normal(r, 0.36, 0.04)*w, normal(r, 0.24, 0.04)*h)
		delta(-normal(r, 0.36, 0.04)*w, normal(r, 0.24, 0.04)*h)
	}
	f.arch.k = uniform(r, 1.0, 2.2)
	f.arch.y = y + uniform(r, 0.05, 0.15)*h
	f.coreY, f.deltaY = y, y+0.24*h
	return f
}

// direction returns the direction of the ridge at a point in radians, y up; it
// means the same as itself plus π.
func (f *flow) direction(x, y float64) float64 {
	var a float64
	if f.class == Arch {
		v := (y - f.arch.y) / (0.26 * f.height)
		k := f.arch.k * math.Exp(-v*v)
		if y < f.arch.y {
			k = max(k, 0.75)
		}
		u := min(max(1.15*math.Pi*x/f.width, -math.Pi), math.Pi)
		a = -math.Atan(k * math.Sin(u))
	} else {
		for i := range f.cores {
			a += f.cores[i].angle(x, y) / 2
		}
		for i := range f.deltas {
			a -= f.deltas[i].angle(x, y) / 2
		}
		// Zero-pole ridges are straight above the core; real ones follow the tip.
		s := smoothstep(0, 1, (f.deltaY-y)/(f.deltaY-f.coreY))
		a -= 0.5 * s * math.Tanh((x-f.cores[0].x)/(0.30*f.width))
	}
	a += 0.07 * float64(f.wander.at(float32(x), float32(y)))
	if below := smoothstep(-30, 40, y-f.crease); below > 0 {
		a -= math.Pi * math.Round(a/math.Pi)
		a = lerp(a, f.slant+0.10*float64(f.wander.at(float32(x), float32(y))), below)
	}
	return a
}

// periodAt returns the distance between ridges at a point, in pixels.
func (f *flow) periodAt(x, y float64) float64 {
	p := f.period * (1 + 0.05*float64(f.stretch.at(float32(x), float32(y))))
	p *= 1 + 0.10*smoothstep(0, 1, (f.coreY-y)/f.coreY)
	return p * (1 + 0.15*smoothstep(0, 100, y-f.deltaY))
}
