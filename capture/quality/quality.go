// Package quality says how good a sample is, as a number from 0 (useless) to
// 100, measured on its pixels: fingers by measures of ISO/IEC 29794-4, irises
// by ISO/IEC 29794-6, faces by ISO/IEC 29794-5. The numbers are this project's
// own: they follow those of NFIQ 2 and OFIQ but are not them, and records must
// not say so.
//
// Every function is safe for concurrent use, takes images of any size, never
// changes them, and answers 0 when there is nothing to measure.
package quality

import "math"

// clamp limits x to lo..hi; what is not a number becomes lo.
func clamp(x, lo, hi float64) float64 {
	if !(x > lo) {
		return lo
	}
	return min(x, hi)
}

// smoothstep rises from 0 at a to 1 at b with level ends.
func smoothstep(a, b, x float64) float64 {
	t := clamp((x-a)/(b-a), 0, 1)
	return t * t * (3 - 2*t)
}

// logistic rises from 0 to 1 around 0.
func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
