package segment

import (
	"image"
	"math"
)

// blockSize is the side of the squares in which ridges are looked for, in
// pixels: most of a ridge period at 500 dpi, so that every square on a finger
// holds an edge.
const blockSize = 8

// A blockMap says for each block of an image how much its grey varies and
// whether that makes it part of a finger.
type blockMap struct {
	w, h     int // in blocks
	activity []float32
	fg       []bool
}

const (
	activityFloor = 7   // standard deviation that sensor noise does not reach
	wetGrey       = 110 // a flat block darker than this is a wet finger, not platen
)

// newBlockMap measures the standard deviation of each block on every second
// row and parts finger from platen by Otsu's threshold.
func newBlockMap(img *image.Gray) *blockMap {
	w, h := img.Rect.Dx()/blockSize, img.Rect.Dy()/blockSize
	m := &blockMap{w: w, h: h, activity: make([]float32, w*h), fg: make([]bool, w*h)}
	dark := make([]bool, w*h)
	for by := range h {
		for bx := range w {
			var sum, sum2 int32
			for y := by * blockSize; y < (by+1)*blockSize; y += 2 {
				o := y*img.Stride + bx*blockSize
				for _, v := range img.Pix[o : o+blockSize] {
					sum += int32(v)
					sum2 += int32(v) * int32(v)
				}
			}
			const n = blockSize * blockSize / 2
			i := by*w + bx
			m.activity[i] = float32(math.Sqrt(float64(n*sum2-sum*sum))) / n
			dark[i] = sum < wetGrey*n
		}
	}
	threshold := max(activityFloor, 0.6*otsu(m.activity))
	for i, a := range m.activity {
		m.fg[i] = a > threshold || dark[i]
	}
	m.majority(4)
	m.majority(5)
	return m
}

// otsu returns the value that parts v into the two classes with the largest
// variance between them (N. Otsu, 1979).
func otsu(v []float32) float32 {
	const bins, top = 128, 80 // no block of a fingerprint varies more than top
	var hist [bins]float64
	var all float64
	for _, x := range v {
		b := min(int(x*bins/top), bins-1)
		hist[b]++
		all += float64(b)
	}
	n := float64(len(v))
	var best, n0, sum0 float64
	at := 0
	for b, c := range hist {
		n0 += c
		sum0 += c * float64(b)
		if n0 == 0 || n0 == n {
			continue
		}
		d := sum0/n0 - (all-sum0)/(n-n0)
		if between := n0 * (n - n0) * d * d; between > best {
			best, at = between, b
		}
	}
	return float32(at+1) * top / bins
}

// majority keeps a block if it and its neighbours hold at least n blocks of
// finger, which closes pinholes and removes dust.
func (m *blockMap) majority(n int) {
	old := append([]bool(nil), m.fg...)
	for y := range m.h {
		for x := range m.w {
			count := 0
			for yy := max(y-1, 0); yy <= min(y+1, m.h-1); yy++ {
				for xx := max(x-1, 0); xx <= min(x+1, m.w-1); xx++ {
					if old[yy*m.w+xx] {
						count++
					}
				}
			}
			m.fg[y*m.w+x] = count >= n
		}
	}
}

// share returns which part of all blocks is finger, 0 to 1.
func (m *blockMap) share() float64 {
	n := 0
	for _, f := range m.fg {
		if f {
			n++
		}
	}
	return float64(n) / float64(max(len(m.fg), 1))
}
