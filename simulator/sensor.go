package simulator

import (
	"encoding/binary"
	"image"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
)

// Pictures are drawn once and get fresh sensor noise in every frame. The noise
// is never negative, so that adding it is cheap; what it adds on average is
// missing in the drawings, which are called bases.
const (
	noiseMean = 8
	noiseSD   = 2.5
)

// toBase returns a grey value as bases hold it. Values above 255 stay white
// under noise.
func toBase(grey float64) uint8 { return toByte(grey - noiseMean) }

// noiseTable holds sensor noise. Reading it from a random place costs less than
// drawing numbers.
var noiseTable = sync.OnceValue(func() *[1 << 16]uint8 {
	r := rand.New(rand.NewPCG(0x736269, 2))
	var t [1 << 16]uint8
	for i := range t {
		t[i] = uint8(math.Round(normal(r, noiseMean, noiseSD)))
	}
	return &t
})

// grayFrame returns base with sensor noise.
func grayFrame(base *image.Gray, r *rand.Rand) *image.Gray {
	img := image.NewGray(base.Rect)
	addNoise(img.Pix, base.Pix, r)
	return img
}

// colourFrame returns an opaque base with sensor noise.
func colourFrame(base *image.RGBA, r *rand.Rand) *image.RGBA {
	img := image.NewRGBA(base.Rect)
	addNoise(img.Pix, base.Pix, r)
	return img
}

// addNoise sets dst to src plus noise, at most 255. Both are of equal length, a
// multiple of 8.
//
//go:norace
func addNoise(dst, src []uint8, r *rand.Rand) {
	const (
		run  = 4096 // bytes with consecutive noise
		high = 0x8080808080808080
	)
	table := noiseTable()
	for len(src) > 0 {
		n := min(run, len(src))
		noise := table[r.IntN(len(table)-run):][:n]
		out, in := dst[:n], src[:n]
		for i := 0; i+8 <= n; i += 8 {
			// Eight bytes at once. Noise has no high bits, so that the low seven bits
			// never carry into the next byte; where both high bits are set, the sum
			// has passed 255.
			a := binary.LittleEndian.Uint64(in[i:])
			low := a&^high + binary.LittleEndian.Uint64(noise[i:])
			over := a & low & high
			binary.LittleEndian.PutUint64(out[i:], low^a&high|over>>7*255)
		}
		dst, src = dst[n:], src[n:]
	}
}

// inParallel calls f for 0 … n-1 on as many goroutines as there are
// processors, and returns when all calls have.
//
// Functions that f calls for every pixel are marked go:norace: each writes only
// what its own call draws, and the race detector would make them ten times
// slower without ever seeing anything else.
func inParallel(n int, f func(i int)) {
	var next atomic.Int64
	var done sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		done.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	done.Wait()
}
