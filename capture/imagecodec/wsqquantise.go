package imagecodec

import (
	"image"
	"math"
	"slices"
)

const (
	// wsqCentre is where in its bin a decoder is to assume a coefficient.
	wsqCentre = 0.44
	// zeroWidth is the width of the bin around zero, over that of the others.
	zeroWidth = 1.2
	// minVariance is what a subband needs to be worth coding.
	minVariance = 1.01
	// minStep is finer than grey values are. Coefficients, at most 32 times a
	// sample of ±128, then fit the 16 bits that the entropy code has.
	minStep      = 0.1
	maxQuantised = 1<<16 - 1
)

// highWeights are the weights A of the subbands from 52 on; those below weigh 1.
var highWeights = [...]float64{1.32, 1.08, 1.42, 1.08, 1.32, 1.42, 1.08, 1.08}

// quantisers shares out a rate, in bits a pixel, among subbands of the given
// variances: the more one varies, the finer it is quantised. All are scaled
// together so that those which get any bits at all come to that rate.
func quantisers(variances []float64, rate float64) [wsqSlots]quantiser {
	steps := make([]float64, len(variances)) // up to the common scale
	var counted []int                        // who gets bits
	for k, v := range variances {
		switch {
		case v < minVariance:
			continue
		case k < 4:
			steps[k] = 1
		case k < 52:
			steps[k] = 10 / math.Log(v)
		default:
			steps[k] = 10 / (highWeights[k-52] * math.Log(v))
		}
		counted = append(counted, k)
	}

	var bands [wsqSlots]quantiser
	for len(counted) > 0 {
		share, log := 0.0, 0.0
		for _, k := range counted {
			m := bandShare(k)
			share += m
			log += m * math.Log(math.Sqrt(variances[k])/steps[k])
		}
		scale := math.Exp2(rate/share-1) / 2.5 * math.Exp(-log/share)

		// Where nearly everything falls into the bin around zero there is
		// nothing to count; yet what does not is coded all the same.
		before := len(counted)
		counted = slices.DeleteFunc(counted, func(k int) bool {
			return steps[k]/scale >= 5*math.Sqrt(variances[k])
		})
		if len(counted) == before {
			for k, step := range steps {
				if step > 0 {
					step = max(step/scale, minStep)
					bands[k] = quantiser{float32(step), float32(zeroWidth * step)}
				}
			}
			break
		}
	}
	return bands
}

// bandShare returns the size of subband k over that of the picture.
func bandShare(k int) float64 {
	switch {
	case k < 4:
		return 1. / 1024
	case k < 51:
		return 1. / 256
	}
	return 1. / 16
}

// variances returns how much each subband varies in the part of the picture
// where a finger usually lies, or everywhere if little is to be seen there.
func (p plane) variances(subbands []band) []float64 {
	v := make([]float64, len(subbands))
	sum := 0.0
	for k, b := range subbands {
		v[k] = p.variance(fingerArea(b.Rectangle))
		if k < 4 {
			sum += v[k]
		}
	}
	if sum < 20000 {
		for k, b := range subbands {
			v[k] = p.variance(b.Rectangle)
		}
	}
	return v
}

func fingerArea(r image.Rectangle) image.Rectangle {
	x, y := r.Min.X+r.Dx()/8, r.Min.Y+9*r.Dy()/32
	return image.Rect(x, y, x+3*r.Dx()/4, y+7*r.Dy()/16)
}

// variance returns the unbiased variance in r, 0 if it has less than two values.
func (p plane) variance(r image.Rectangle) float64 {
	n := r.Dx() * r.Dy()
	if n < 2 {
		return 0
	}
	sum, squares := 0.0, 0.0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for _, v := range p.v[y*p.width+r.Min.X:][:r.Dx()] {
			sum += float64(v)
			squares += float64(v) * float64(v)
		}
	}
	return (squares - sum*sum/float64(n)) / float64(n-1)
}

// quantise returns the integer that v becomes: restore with the same quantiser
// comes near v again.
func (q quantiser) quantise(v float32) int32 {
	n := min((float32(math.Abs(float64(v)))-q.zero/2)/q.step, maxQuantised-1)
	switch {
	case n < 0:
		return 0
	case v < 0:
		return -int32(n) - 1
	}
	return int32(n) + 1
}
