// Package simulator makes people up and shows them to virtual scanners. A
// person is a seed: ten fingers, two eyes and a face follow from it, drawn when
// they are first looked at. The scanners implement driver.Driver, so that
// everything above them is the code that runs with real ones.
//
// The same seed gives the same pixels on one architecture. Elsewhere the
// compiler may fuse multiplications with additions, which shifts roundings, so
// that pictures agree to the eye but not to the bit.
package simulator

import (
	"math/rand/v2"
	"sync"

	"sbid/driver"
)

// A Person is somebody who does not exist. It is safe for concurrent use.
type Person struct {
	seed    uint64
	hand    handTraits
	fingers [driver.LeftLittle + 1]struct {
		once sync.Once
		*finger
	}
	eyes [2]struct {
		once sync.Once
		*eye
	}
	face faceTraits
}

// NewPerson returns the person that seed stands for. It draws nothing yet.
func NewPerson(seed uint64) *Person {
	p := &Person{seed: seed}
	p.hand = newHandTraits(p)
	p.face = newFaceTraits(p)
	return p
}

// A stream separates the random numbers of one purpose from all others. A new
// trait takes a new stream, never one more number of an old one: otherwise
// everybody would change.
type stream uint64

const (
	streamHand stream = iota + 1
	streamClass
	streamOrientation
	streamGrowth
	streamDetail
	streamSkin
	streamPlacement
	streamNoise
	_ // once dust
	streamEyes
	streamTexture
	streamLook
	streamLashes
	streamFace
	streamHair
	streamPose
	streamSerial
)

// random returns the numbers of one purpose, for the index-th finger or eye
// and, where they differ between captures, the capture.
func (p *Person) random(s stream, index int, capture uint64) *rand.Rand {
	return newRandom(p.seed, s, index, capture)
}

func newRandom(seed uint64, s stream, index int, capture uint64) *rand.Rand {
	n := uint64(s) | uint64(index)<<8 | capture<<16
	return rand.New(rand.NewPCG(seed, n*0x9E3779B97F4A7C15+1))
}

// normal draws from N(mean, sd), at most 2.5 sd away from the mean.
func normal(r *rand.Rand, mean, sd float64) float64 {
	return mean + sd*min(max(r.NormFloat64(), -2.5), 2.5)
}

// uniform draws from the interval [a, b).
func uniform(r *rand.Rand, a, b float64) float64 {
	return a + (b-a)*r.Float64()
}

// smoothstep rises from 0 at a to 1 at b without a kink.
func smoothstep[T float32 | float64](a, b, x T) T {
	t := min(max((x-a)/(b-a), 0), 1)
	return t * t * (3 - 2*t)
}

func lerp[T float32 | float64](a, b, t T) T { return a + (b-a)*t }

// toByte rounds a grey value.
func toByte(v float64) uint8 { return uint8(min(max(v+0.5, 0), 255)) }
