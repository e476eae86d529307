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
	for i := range m.activity {
		o := i/w*blockSize*img.Stride + i%w*blockSize
		var sum, sum2 uint32
		for range blockSize / 2 {
			for _, v := range (*[blockSize]uint8)(img.Pix[o:]) {
				sum += uint32(v)
				sum2 += uint32(v) * uint32(v)
			}
			o += 2 * img.Stride
		}
		const n = blockSize * blockSize / 2
		m.activity[i] = float32(math.Sqrt(float64(n*sum2-sum*sum))) / n
		dark[i] = sum < wetGrey*n
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
func (m *blockMap) majority(n uint8) {
	if m.w == 0 {
		return
	}
	// Sums of three blocks side by side, with a row of platen above and below.
	sums := make([]uint8, m.w*(m.h+2))
	for i, fg := range m.fg {
		if !fg {
			continue
		}
		at, x := i+m.w, i%m.w
		sums[at]++
		if x > 0 {
			sums[at-1]++
		}
		if x < m.w-1 {
			sums[at+1]++
		}
	}
	for i := range m.fg {
		m.fg[i] = sums[i]+sums[i+m.w]+sums[i+2*m.w] >= n
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
