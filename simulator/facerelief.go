package simulator

import "math"

// bell is a Gaussian of height 1 round (u0, v0).
func bell(u, v, u0, v0, sdU, sdV float64) float64 {
	x, y := (u-u0)/sdU, (v-v0)/sdV
	q := x*x + y*y
	if q > 18 {
		return 0
	}
	return math.Exp(-q / 2)
}

// bulk is how far the head comes towards the camera, without small features.
//
//go:norace
func (s *sitter) bulk(u, v float64) float64 {
	x, y := u/1.3, (v-0.05)/2.1
	z := 1.15 * math.Sqrt(max(0.02, 1-x*x-y*y))
	return z + 0.3*bell(u, v, 0, s.nose-0.05, 0.16, 0.22) - 1.1
}

// relief is the height of the face with its features, which the light shows.
//
//go:norace
func (s *sitter) relief(u, v float64) float64 {
	if math.Abs(u) > 1.4 || v < -2 || v > 2.2 {
		return 0
	}
	a := math.Abs(u)
	x, y := u/1.26, (v-0.05)/2.05
	z := 0.95 * math.Sqrt(max(0.03, 1-x*x-y*y))

	// The nose: a ridge that widens and rises towards its tip, and its wings.
	along := smoothstep(-0.25, s.nose-0.08, v)
	end := 1 - smoothstep(s.nose-0.06, s.nose+0.10, v)
	ridge := lerp(0.085, 0.135, along)
	z += (0.05 + 0.17*along) * end * smoothstep(-0.45, 0.0, v) * math.Exp(-u*u/(2*ridge*ridge))
	z += 0.06 * bell(u, v, 0, s.nose-0.05, 0.11, 0.09)
	z += 0.075 * bell(a, v, s.noseHalf*0.72, s.nose+0.0, 0.062, 0.07)

	z -= 0.085 * bell(a, v, 0.46, -0.03, 0.24, 0.13) // sockets
	z += 0.04 * bell(a, v, 0.50, 0.0, 0.17, 0.075)   // lids over the eyeballs
	z += 0.045 * bell(a, v, 0.45, -0.33, 0.32, 0.10) // brow ridge
	z += 0.06 * bell(a, v, 0.68, 0.55, 0.26, 0.24)   // cheek bones
	z -= 0.02 * bell(a, v, 0.42, 0.25, 0.20, 0.05)   // below the lids

	// The folds from the wings of the nose to the corners of the mouth.
	if v > s.nose-0.1 && v < s.mouth+0.15 {
		t := (v - s.nose) / (s.mouth - s.nose)
		fold := (a - lerp(s.noseHalf+0.06, s.mouthHalf+0.10, t)) / 0.05
		z -= 0.014 * math.Exp(-fold*fold/2) * smoothstep(-0.3, 0.2, t) * smoothstep(1.4, 0.8, t)
	}
	m := v - s.mouth
	z += 0.05 * bell(u, m, 0, 0, 0.34, 0.22)                  // the teeth behind the lips
	z -= 0.010 * bell(u, m, 0, -0.20, 0.035, 0.09)            // philtrum
	z += 0.022 * bell(u, m, 0, -0.5*s.lips, 0.22, 0.4*s.lips) // upper lip
	z += 0.030 * bell(u, m, 0, 0.6*s.lips, 0.20, 0.5*s.lips)  // lower lip
	z -= 0.030 * bell(u, m, 0, 0.24, 0.22, 0.06)              // above the chin
	z += 0.060 * bell(u, v, 0, s.chin-0.22, 0.26, 0.15)       // chin
	return z
}
