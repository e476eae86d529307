package quality

import (
	"image"
	"math"
	"slices"
	"sync"
)

// FingerMeasures are what is measured on a fingerprint at 500 dpi, as NFIQ 2
// computes the measures of ISO/IEC 29794-4.
type FingerMeasures struct {
	// LocalClarity (LCS) is the mean share of pixels that fit the ridge or
	// valley they lie in, 0 to 1.
	LocalClarity float64
	// OrientationCertainty (OCL) is the mean certainty of the ridge direction, 0
	// to 1.
	OrientationCertainty float64
	// FrequencySpread (standard deviation of FDA) tells how unevenly the blocks
	// are filled with one ridge frequency: 0.1 is good, 0.3 is poor.
	FrequencySpread float64
	// Contrast is the median standard deviation of grey in the print.
	Contrast float64
	// Blocks is the area of the print in blocks of 32 x 32 pixels.
	Blocks int
}

// Finger returns the quality of a fingerprint at 500 dpi, ridges dark.
func Finger(img *image.Gray) float64 { return MeasureFinger(img).Score() }

// Constants of the score: a logistic regression of published NFIQ 2 scores of
// 199 real fingers on four of their measures; the mean error is 8.4.
const (
	weightBase      = 0.4299
	weightFrequency = -15.35
	weightClarity   = 0.9824
	weightCertainty = 3.542
	weightArea      = 0.5736

	// No measure sees contrast, which scanners lose first: it is a factor, from
	// nothing at the lower to all at the upper limit.
	contrastNone, contrastFull = 8, 32
	// A print smaller than this many blocks is scored by its share of them, as
	// its measures are means over next to nothing.
	leastBlocks = 20
)

// Score returns the measures as one number, 0 to 100.
func (m FingerMeasures) Score() float64 {
	if m.Blocks <= 0 {
		return 0
	}
	z := weightBase + weightFrequency*m.FrequencySpread + weightClarity*m.LocalClarity +
		weightCertainty*m.OrientationCertainty + weightArea*math.Log(float64(m.Blocks)/100)
	score := clamp(104*logistic(z)-2, 0, 100)
	return score * smoothstep(contrastNone, contrastFull, m.Contrast) * min(1, float64(m.Blocks)/leastBlocks)
}

// authBands are the limits of NFIQ 1 classes 5 to 1 on the scale of Finger,
// half-way between the medians of the classes, and the bands of the SBI Auth
// scale that stand for them.
var authBands = [...]struct{ from, to, low, high float64 }{
	{0, 9, 0, 20},
	{9, 19, 21, 40},
	{19, 42, 41, 60},
	{42, 66, 61, 80},
	{66, 100, 81, 100},
}

// AuthFinger puts a score of Finger on the scale that SBI uses for
// authentication: NFIQ 1 class 1 is 81 to 100, class 5 is 0 to 20.
func AuthFinger(score float64) float64 {
	score = clamp(score, 0, 100)
	for _, b := range authBands {
		if score < b.to || b.to == 100 {
			return b.low + (b.high-b.low)*(score-b.from)/(b.to-b.from)
		}
	}
	return 100
}

// MeasureFinger measures a fingerprint at 500 dpi, ridges dark. A grey or noisy
// platen is made white first.
func MeasureFinger(img *image.Gray) FingerMeasures {
	p := impressions.Get().(*impression)
	defer impressions.Put(p)
	return p.measure(img)
}

// measure does the work of MeasureFinger. It allocates only what p lacks.
func (p *impression) measure(img *image.Gray) FingerMeasures {
	if !p.load(img) {
		return FingerMeasures{}
	}
	m := FingerMeasures{OrientationCertainty: p.segment()}
	if len(p.deviations) > 0 {
		slices.Sort(p.deviations)
		m.Contrast = p.deviations[len(p.deviations)/2]
	}
	var clarity, freq, freq2 float64
	for y := overlap; y+block+overlap <= p.h; y += block {
		for x := overlap; x+block+overlap <= p.w; x += block {
			if !p.foreground(x, y) {
				continue
			}
			a, b, c := p.gradients(x, y)
			// NFIQ 2 takes c where the double angle would need 2c; so do we, since
			// the weights of the score were fitted to its numbers.
			sin, cos := math.Sincos(math.Atan2(c, a-b) / 2)
			f := p.frequency(x, y, sin, cos)
			clarity += p.clarity(x, y, sin, cos)
			freq += f
			freq2 += f * f
			m.Blocks++
		}
	}
	if m.Blocks > 0 {
		n := float64(m.Blocks)
		m.LocalClarity = clarity / n
		m.FrequencySpread = math.Sqrt(max(0, freq2/n-freq/n*freq/n))
	}
	return m
}

var impressions = sync.Pool{New: func() any { return new(impression) }}

const (
	block   = 32 // side of the squares that are measured, in pixels
	overlap = 2  // that a square needs around it so that it can be turned
)

// An impression is the working copy of a fingerprint.
type impression struct {
	pix        []uint8 // w x h, the rows stride apart
	w, h       int
	stride     int
	buffer     []uint8 // holds pix
	fg         []bool  // of the grid of blocks that begins at (0, 0)
	fgW        int
	variances  []float64 // of the blocks of that grid
	deviations []float64 // of those that are foreground and whole
	greys      []float64 // of the platen at the edges, with their noise
	noises     []float64
}

// trimGrey is the mean grey above which a row or column at the edge is platen.
const trimGrey = 250

// load copies img without its white edges and with its platen made white, and
// tells whether anything is left.
func (p *impression) load(img *image.Gray) bool {
	if img == nil {
		return false
	}
	w, h := img.Rect.Dx(), img.Rect.Dy()
	if w < block || h < block || img.Stride < w || len(img.Pix) < (h-1)*img.Stride+w {
		return false
	}
	var white [256]uint8 // what each grey becomes
	limit := p.platenLimit(img)
	for g := range white {
		white[g] = uint8(g)
		if g > limit {
			white[g] = 255
		}
	}
	p.buffer = resize(p.buffer, w*h)
	for y := range h {
		src := img.Pix[y*img.Stride:][:w]
		for x, g := range src {
			p.buffer[y*w+x] = white[g]
		}
	}
	bright := func(from, step, n int) bool { // the mean of n pixels
		sum := 0
		for i := range n {
			sum += int(p.buffer[from+i*step])
		}
		return sum > n*trimGrey
	}
	x0, y0, x1, y1 := 0, 0, w, h
	for y0 < y1 && bright(y0*w, 1, w) {
		y0++
	}
	for y1 > y0 && bright((y1-1)*w, 1, w) {
		y1--
	}
	for x0 < x1 && bright(x0, w, h) {
		x0++
	}
	for x1 > x0 && bright(x1-1, w, h) {
		x1--
	}
	p.w, p.h, p.stride = x1-x0, y1-y0, w
	if p.w < block || p.h < block {
		return false
	}
	p.pix = p.buffer[y0*w+x0 : (y1-1)*w+x1]
	return true
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// How the platen is told from the print, at the edges of an image.
const (
	patch      = 8    // side of the squares looked at
	flatNoise  = 20   // a square that varies more is not platen
	platenGrey = 128  // nor is a darker one
	patchShare = 0.05 // fewer squares are no platen
)

// platenLimit returns the grey above which a pixel is platen, 255 if no platen
// shows at the edges.
func (p *impression) platenLimit(img *image.Gray) int {
	p.greys, p.noises = p.greys[:0], p.noises[:0]
	bw, bh := img.Rect.Dx()/patch, img.Rect.Dy()/patch
	seen := 0
	for by := range bh {
		for bx := 0; bx < bw; bx++ {
			if by >= 2 && by < bh-2 && bx == 2 {
				bx = max(bx, bw-2) // the inside is not looked at
			}
			seen++
			var sum, sum2 int32
			for y := by * patch; y < (by+1)*patch; y++ {
				o := y*img.Stride + bx*patch
				for _, v := range img.Pix[o : o+patch] {
					sum += int32(v)
					sum2 += int32(v) * int32(v)
				}
			}
			const n = patch * patch
			mean := float64(sum) / n
			sd := math.Sqrt(float64(n*sum2-sum*sum)) / n
			if mean >= platenGrey && sd <= flatNoise {
				p.greys, p.noises = append(p.greys, mean), append(p.noises, sd)
			}
		}
	}
	if float64(len(p.greys)) < max(1, patchShare*float64(seen)) {
		return 255
	}
	slices.Sort(p.greys)
	slices.Sort(p.noises)
	grey, noise := p.greys[len(p.greys)/2], p.noises[len(p.noises)/2]
	return int(grey - 3*noise - 6)
}

// segment marks the blocks of the grid at (0, 0) that hold print, those that
// vary by more than a tenth of the variation of the image, and returns the
// mean certainty of the ridge direction over all whole blocks.
func (p *impression) segment() (certainty float64) {
	p.fgW = (p.w + block - 1) / block
	n := p.fgW * ((p.h + block - 1) / block)
	p.fg, p.variances, p.deviations = resize(p.fg, n), resize(p.variances, n), p.deviations[:0]
	var all, all2, blocks int
	for i := range p.variances {
		x, y := i%p.fgW*block, i/p.fgW*block
		w, h := min(block, p.w-x), min(block, p.h-y)
		var sum, sum2 int
		for j := y; j < y+h; j++ {
			for _, v := range p.pix[j*p.stride+x:][:w] {
				sum += int(v)
				sum2 += int(v) * int(v)
			}
		}
		all, all2 = all+sum, all2+sum2
		p.variances[i] = variance(sum, sum2, w*h)
		if w < block || h < block {
			continue
		}
		a, b, c := p.gradients(x, y)
		root := math.Sqrt((a-b)*(a-b) + 4*c*c)
		if high := a + b + root; high > 0 {
			certainty += 1 - (a+b-root)/high
			blocks++
		}
	}
	least := 0.1 * 0.1 * variance(all, all2, p.w*p.h)
	for i, v := range p.variances {
		p.fg[i] = v > least
		if whole := i%p.fgW < p.w/block && i/p.fgW < p.h/block; whole && p.fg[i] {
			p.deviations = append(p.deviations, math.Sqrt(v))
		}
	}
	return certainty / float64(max(blocks, 1))
}

// variance returns the variance of n values from their sum and that of their
// squares.
func variance(sum, sum2, n int) float64 {
	mean := float64(sum) / float64(n)
	return max(0, float64(sum2)/float64(n)-mean*mean)
}

// foreground tells whether the block at (x, y), which is off the grid, lies on
// print only.
func (p *impression) foreground(x, y int) bool {
	i := y/block*p.fgW + x/block
	j := i + p.fgW
	return p.fg[i] && p.fg[i+1] && p.fg[j] && p.fg[j+1]
}

// gradients returns the sums over the block at (x, y) of gx², gy² and gx·gy,
// in quarters: the differences are central, within the block only.
func (p *impression) gradients(x, y int) (a, b, c float64) {
	row := func(j int) *[block]uint8 {
		return (*[block]uint8)(p.pix[(y+min(max(j, 0), block-1))*p.stride+x:])
	}
	var xx, yy, xy int32 // 32 · 32 · 510² fits
	for j := range block {
		up, mid, down := row(j-1), row(j), row(j+1)
		k := int32(1) // doubles differences to one side, at the edges
		if j == 0 || j == block-1 {
			k = 2
		}
		for i := 1; i < block-1; i++ {
			gx := int32(mid[i+1]) - int32(mid[i-1])
			gy := k * (int32(down[i]) - int32(up[i]))
			xx += gx * gx
			yy += gy * gy
			xy += gx * gy
		}
		gx, gy := 2*(int32(mid[1])-int32(mid[0])), k*(int32(down[0])-int32(up[0]))
		xx, yy, xy = xx+gx*gx, yy+gy*gy, xy+gx*gy
		gx, gy = 2*(int32(mid[block-1])-int32(mid[block-2])), k*(int32(down[block-1])-int32(up[block-1]))
		xx, yy, xy = xx+gx*gx, yy+gy*gy, xy+gx*gy
	}
	return float64(xx), float64(yy), float64(xy)
}
