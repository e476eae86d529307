package simulator

import (
	"image"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
)

// inParallel calls f for 0 … n-1 on as many goroutines as there are
// processors, and returns when all calls have.
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

// noiseTable holds sensor noise of standard deviation 2.5. Reading it from a
// random place costs less than drawing numbers.
var noiseTable = sync.OnceValue(func() *[1 << 16]int8 {
	r := rand.New(rand.NewPCG(0x736269, 2))
	var t [1 << 16]int8
	for i := range t {
		t[i] = int8(math.Round(normal(r, 0, 2.5)))
	}
	return &t
})

// withNoise returns a copy of base with above and sensor noise added.
func withNoise(base *image.Gray, above int, r *rand.Rand) *image.Gray {
	img := image.NewGray(base.Rect)
	addNoise(img.Pix, base.Pix, base.Stride, above, r)
	return img
}

// addNoise sets dst to src plus above plus noise that starts anew in each row.
func addNoise(dst, src []uint8, stride, above int, r *rand.Rand) {
	table := noiseTable()
	for len(src) >= stride && stride > 0 {
		noise := table[r.IntN(len(table)-stride):][:stride]
		in, out := src[:stride], dst[:stride]
		for i, v := range in {
			out[i] = uint8(min(max(int(v)+above+int(noise[i]), 0), 255))
		}
		src, dst = src[stride:], dst[stride:]
	}
}

// addColourNoise sets dst to src plus sensor noise; both are opaque.
func addColourNoise(dst, src *image.RGBA, r *rand.Rand) {
	addNoise(dst.Pix, src.Pix, src.Stride, 0, r)
	for i := 3; i < len(dst.Pix); i += 4 {
		dst.Pix[i] = 255
	}
}
