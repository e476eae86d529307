package simulator

import "math"

// A spot is a pixel of the picture as a point of the face.
type spot struct {
	x, y  float64 // in the picture
	u, v  float64 // on the face
	a     float64 // distance from its axis
	soft  float64 // half the width of an edge
	half  float64 // half width of the face at v
	skull float64 // and of the hair round it
}

// colourAt returns the colour of a pixel, layer upon layer from the wall to
// the hair. Slopes are those of the relief.
//
//go:norace
func (s *sitter) colourAt(px, py, height, slopeX, slopeY float64) colour {
	c := wall(py / height)
	// The body does not turn with the head.
	bu, bv := (px-s.x)/s.unit, (py-s.y)/s.unit
	soft := 1 / s.unit
	if math.Abs(bu) > 2 || bv < s.crown-0.4 || bv > s.chin+1.6 {
		return s.paintBody(c, bu, bv, soft)
	}
	u, v := s.toFace(px, py)
	p := &spot{x: px, y: py, u: u, v: v, a: math.Abs(u), soft: soft, half: s.halfWidth(v), skull: s.skull(v)}
	back := s.backHair(p)
	var hair colour
	if p.a < p.skull+0.3 && v < max(s.length, 0.3)+0.3 {
		hair = s.hairColour(u, v)
	}
	if s.length > 1 {
		c = mix(c, hair.times(0.75), back)
	}
	c = s.paintBody(c, bu, bv, soft)
	if s.length <= 1 {
		c = mix(c, hair.times(0.85), back)
	}
	c = s.paintEars(c, p)
	if in := smoothstep(-soft, soft, p.half-p.a); in > 0 && v > s.crown && v < s.chin {
		c = mix(c, s.skinColour(p, slopeX, slopeY), in)
	}
	return mix(c, hair, s.frontHair(p))
}

// wall is the background, a little darker below.
func wall(t float64) colour {
	return colour{228, 230, 233}.times(1 - 0.05*t)
}

// halfWidth of the face at a height.
//
//go:norace
func (s *sitter) halfWidth(v float64) float64 {
	if v < 0 {
		t := min(v/s.crown, 1)
		return s.width * math.Sqrt(1-t*t*math.Sqrt(t))
	}
	t := min(v/s.chin, 1)
	return lerp(s.width, s.jaw, smoothstep(0, 1, t)) * math.Sqrt(1-t*t*t*math.Sqrt(t))
}

// lit returns how much light a surface of the given slope sends back: 1 when
// it faces the camera.
//
//go:norace
func (s *sitter) lit(slopeX, slopeY float64) float64 {
	n := unitVector(-slopeX, -slopeY, 1)
	facing := n[0]*s.light[0] + n[1]*s.light[1] + n[2]*s.light[2]
	return (0.50 + 0.55*max(facing, 0)) / (0.50 + 0.55*s.light[2])
}

//go:norace
func (s *sitter) skinColour(p *spot, slopeX, slopeY float64) colour {
	u, v, a := p.u, p.v, p.a
	light := s.lit(slopeX, slopeY)
	light *= 1 + 0.018*float64(s.pores.at(float32(p.x), float32(p.y))) + 0.010*float64(s.blotches.at(float32(p.x), float32(p.y)))
	light *= 1 - 0.22*smoothstep(0.14, 0, p.half-a) // the face turns away at its rim
	light += 0.05*bell(u, v, 0, -0.75, 0.45, 0.22) + 0.08*bell(u, v, 0, s.nose-0.12, 0.05, 0.07)
	c := s.skin.times(light)

	// Blood shows in the cheeks, the nose and the ears.
	red := 0.5*bell(a, v, 0.62, 0.62, 0.25, 0.22) + 0.35*bell(u, v, 0, s.nose-0.05, 0.14, 0.12)
	c = mix(c, colour{c[0] * 1.02, c[1] * 0.93, c[2] * 0.91}, red)
	c = c.times(1 - 0.13*bell(a, v, 0.48, -0.03, 0.27, 0.12)) // the sockets lie in shadow

	c = s.paintNose(c, u, v)
	c = s.paintMouth(c, u, v)
	c = s.paintEye(c, u, v)
	return s.paintBrow(c, u, v)
}

//go:norace
func (s *sitter) paintNose(c colour, u, v float64) colour {
	a := math.Abs(u)
	c = c.times(1 - 0.22*bell(a, v, 0.10, s.nose+0.105, 0.12, 0.035)) // shadow below
	nostril := bell(a-0.25*(v-s.nose), v, 0.42*s.noseHalf, s.nose+0.065, 0.042, 0.020)
	c = c.times(1 - 0.62*nostril)
	wing := bell(a, v, s.noseHalf*0.98, s.nose+0.02, 0.022, 0.06)
	return c.times(1 - 0.18*wing)
}

//go:norace
func (s *sitter) paintMouth(c colour, u, v float64) colour {
	x := u / s.mouthHalf
	if math.Abs(x) > 1.15 || math.Abs(v-s.mouth) > 0.4 {
		return c
	}
	curve := s.mouth - s.smile*6*x*x + 0.012*math.Cos(3*math.Pi*x)*(1-min(math.Abs(x), 1))
	open := max(1-x*x, 0)
	bow := 1 - 0.32*math.Exp(-x*x/(2*0.11*0.11))
	top := curve - s.lips*math.Pow(open, 0.75)*bow
	bottom := curve + 1.25*s.lips*math.Pow(open, 0.62)
	const soft = 0.012 // lips have no sharp border
	lips := colour{c[0] * 0.86, c[1] * 0.66, c[2] * 0.66}
	upper := smoothstep(-soft, soft, v-top) * smoothstep(-soft, soft, curve-v)
	c = mix(c, lips.times(0.93), upper*open)
	lower := smoothstep(-soft, soft, v-curve) * smoothstep(-soft*1.5, soft*1.5, bottom-v)
	c = mix(c, lips.times(1.05), lower*math.Sqrt(open))
	line := (v - curve) / 0.014
	c = c.times(1 - 0.62*math.Exp(-line*line)*smoothstep(1.08, 0.9, math.Abs(x)))
	c = c.times(1 - 0.20*bell(math.Abs(x), v, 1.0, s.mouth-s.smile*6, 0.06, 0.03))
	return c.times(1 - 0.13*bell(u, v, 0, s.mouth+1.25*s.lips+0.06, 0.2, 0.035))
}

//go:norace
func (s *sitter) paintEye(c colour, u, v float64) colour {
	side, closed := 1.0, s.closed[1]
	if u < 0 {
		side, closed = -1, s.closed[0]
	}
	x := (side*u - 0.5) / s.eyeHalf // -1 inner corner … 1 outer corner
	if math.Abs(x) > 1.5 || math.Abs(v) > 0.35 {
		return c
	}
	y := v + 0.018*x // the outer corner is higher
	arch := max(1-x*x, 0)
	open := 1 - closed
	upper := lerp(0.5*s.eyeHigh, -s.eyeHigh, open) * math.Pow(arch, 0.62) * (1 - 0.12*x)
	lower := 0.72 * s.eyeHigh * math.Pow(arch, 0.75) * (1 + 0.12*x)
	const soft = 0.011
	within := smoothstep(1.03, 0.97, math.Abs(x))
	in := smoothstep(-soft, soft, y-upper) * smoothstep(-soft, soft, lower-y) * within

	if in > 0 {
		ball := colour{222, 216, 211}.times(1 - 0.22*x*x)
		ball = mix(ball, colour{196, 138, 128}, smoothstep(-0.82, -1.0, x))
		dx, dy := side*u-0.5, v+0.008
		d := math.Hypot(dx, dy)
		iris := s.iris.times(1 + 0.35*float64(s.strands.at(float32(9*math.Atan2(dy, dx)), float32(20*d))) - 0.2*smoothstep(0.08, 0.118, d))
		ball = mix(iris, ball, smoothstep(0.112, 0.124, d))
		ball = mix(colour{16, 14, 14}, ball, smoothstep(0.044, 0.054, d))
		glint := math.Hypot(u-side*0.5-0.028, v+0.042)
		ball = mix(colour{250, 250, 250}, ball, smoothstep(0.010, 0.022, glint))
		ball = ball.times(1 - 0.38*math.Exp(-max(y-upper, 0)/0.03)) // shadow of the lid
		c = mix(c, ball, in)
	}
	// Lashes and the crease of the upper lid, the rim of the lower one.
	edge := smoothstep(1.12, 0.9, math.Abs(x))
	lash := (y - upper + 0.006) / (0.016 + 0.006*max(x, 0))
	c = mix(c, colour{30, 24, 22}, 0.85*edge*math.Exp(-lash*lash))
	rim := (y - lower - 0.004) / 0.011
	c = c.times(1 - 0.30*edge*math.Exp(-rim*rim))
	crease := (y - lerp(0, -s.eyeHigh, 1)*math.Pow(arch, 0.5) + 0.055) / 0.016
	c = c.times(1 - 0.30*math.Exp(-crease*crease)*smoothstep(1.25, 0.8, math.Abs(x-0.05)))
	bag := (y - lower - 0.10) / 0.028
	return c.times(1 - 0.07*math.Exp(-bag*bag)*smoothstep(1.2, 0.6, math.Abs(x)))
}

//go:norace
func (s *sitter) paintBrow(c colour, u, v float64) colour {
	x := (math.Abs(u) - 0.52) / 0.35 // -1 inner end … 1 outer end
	if math.Abs(x) > 1.2 {
		return c
	}
	arc := s.brow + 0.065*(x-0.35)*(x-0.35)
	thick := s.browThick * (1 - 0.55*smoothstep(-0.2, 1.05, x)) * smoothstep(-1.08, -0.75, x) * smoothstep(1.12, 0.85, x)
	hairs := 1 + 0.35*float64(s.strands.at(float32(45*(x*0.6-v*2.0)), float32(14*v)))
	cover := smoothstep(1.25, 0.35, math.Abs(v-arc)/max(thick, 1e-3)) * min(max(hairs, 0.5), 1)
	return mix(c, mix(s.hair.times(0.8), s.skin.times(0.4), 0.2), 0.85*cover)
}

//go:norace
func (s *sitter) paintEars(c colour, p *spot) colour {
	x, y := (p.a-s.width-0.02)/0.135, (p.v-0.25)/0.36
	if math.Abs(x) > 2 || math.Abs(y) > 1.5 {
		return c
	}
	x += 0.25 * y // they lean outwards at the top
	d := math.Hypot(x, y)
	in := smoothstep(1+8*p.soft, 1-8*p.soft, d)
	shade := 0.86 - 0.24*bell(x, y, -0.1, -0.05, 0.3, 0.45) - 0.14*bell(d, 0, 0.72, 0, 0.09, 1) + 0.05*smoothstep(0.75, 0.9, d)
	return mix(c, colour{s.skin[0], s.skin[1] * 0.94, s.skin[2] * 0.92}.times(shade), in)
}

// paintBody draws the neck and a round-necked shirt.
//
//go:norace
func (s *sitter) paintBody(c colour, u, v, soft float64) colour {
	a := math.Abs(u)
	neck := lerp(0.70, 0.66, smoothstep(1.0, 2.0, v)) + 0.5*smoothstep(1.95, 2.6, v)*smoothstep(1.95, 2.6, v)
	if v > 0.9 {
		if in := smoothstep(-soft, soft, neck-a); in > 0 {
			round := 1 - 0.30*smoothstep(0.3, 0.75, a/neck*0.75)
			chin := 1 - 0.34*bell(u, v, 0, s.chin+0.05, 0.8, 0.20) // shadow of the jaw
			tendon := (a - 0.36 + 0.14*(v-1.8)) / 0.06
			throat := 1 - 0.05*math.Exp(-tendon*tendon)
			c = mix(c, s.skin.times(0.90*round*chin*throat), in)
		}
	}
	// Shoulders fall off from the neck.
	out := max(a-0.55, 0)
	top := s.chin + 0.26 + 0.16*out + 0.20*out*out*smoothstep(0.3, 1.8, out)
	if out > 1.5 {
		top += 1.2 * (out - 1.5) * (out - 1.5)
	}
	collar := s.chin + 0.66 - 0.9*math.Max(0, a-0.15)*math.Max(0, a-0.15)
	if in := smoothstep(-soft, soft, v-top) * smoothstep(-soft, soft, max(v-collar, a-0.78)); in > 0 {
		weave := 1 + 0.02*float64(s.cloth.at(float32(u*s.unit), float32(v*s.unit)))
		light := 1.02 - 0.12*smoothstep(0.4, 2.2, a) - 0.10*math.Exp(-(v-top)/0.10)
		seam := (v - collar - 0.085) / 0.012
		if a < 0.8 {
			light *= 1 - 0.14*math.Exp(-seam*seam)
		}
		c = mix(c, s.shirt.times(light*weave), in)
	}
	return c
}

// skull is the half width of the hair round the head at a height, negative
// above it.
//
//go:norace
func (s *sitter) skull(v float64) float64 {
	crown := s.crown - 0.6*s.volume - 0.05
	t := (0.05 - v) / (0.05 - crown)
	if t >= 1 {
		return -1
	}
	w := s.width + s.volume
	if t > 0 {
		w *= math.Sqrt(1-t*t*t*math.Sqrt(t))*0.35 + math.Sqrt(1-t*t*math.Sqrt(t))*0.65
	}
	return w
}

// backHair is how much of a pixel is hair behind the face.
//
//go:norace
func (s *sitter) backHair(p *spot) float64 {
	w, end := p.skull, s.length
	if p.a > w+0.3 || p.v > end+0.3 {
		return 0
	}
	if s.length > 1 {
		w += 0.10*smoothstep(0, s.length, p.v) + 0.03*float64(s.waves.at(float32(2.5*p.v), 0))
	} else {
		w -= (s.volume + 0.03) * smoothstep(-0.5, s.length, p.v)
	}
	end += 0.06 * float64(s.waves.at(float32(9*p.u), 40))
	return smoothstep(-p.soft, 2*p.soft, w-p.a) * smoothstep(0.06, -0.06, p.v-end)
}

// frontHair is how much of a pixel is hair before the face: what grows above
// the hairline, and what comes down beside it.
//
//go:norace
func (s *sitter) frontHair(p *spot) float64 {
	down, inner := 0.15, p.half-0.03-0.05*smoothstep(0.2, -0.8, p.v)
	if s.length > 1 {
		down, inner = s.length, p.half-0.02-0.12*smoothstep(0.4, 1.4, p.v)
	}
	if p.skull < 0 || p.v > down {
		return 0
	}
	line := s.hairline + 0.22*p.a*p.a + 0.45*smoothstep(0.75, 1.1, p.a)*smoothstep(0.75, 1.1, p.a)
	line += 0.03*float64(s.waves.at(float32(14*p.u), 80)) + 0.02*float64(s.strands.at(float32(40*p.u), 80))
	above := smoothstep(0.07, -0.06, p.v-line)
	beside := smoothstep(-0.05, 0.05, p.a-inner) * smoothstep(line-0.3, line, p.v) * smoothstep(down, down-0.3, p.v)
	return smoothstep(-p.soft, 2*p.soft, p.skull-p.a) * max(above, beside)
}

// hairColour is streaked along the strands, which fan out from above the head.
//
//go:norace
func (s *sitter) hairColour(u, v float64) colour {
	du, dv := u-0.12, v-s.crown+0.55
	angle, far := du/dv, math.Sqrt(du*du+dv*dv)
	fine := float64(s.strands.at(float32(70*angle), float32(2.5*far)))
	broad := float64(s.waves.at(float32(16*angle), float32(1.5*far)))
	shine := (v - s.crown - 0.34 - 0.2*u*u) / 0.2
	light := 1 + 0.15*fine + 0.12*broad + 0.28*math.Exp(-shine*shine)
	light *= 1 - 0.30*smoothstep(0.6, 1.3, math.Abs(u))
	return s.hair.times(max(light, 0.3))
}
