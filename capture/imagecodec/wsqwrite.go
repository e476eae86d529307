package imagecodec

import (
	"encoding/binary"
	"fmt"
	"image"
	"math"
	"strings"
)

const (
	// DefaultWSQRate is the usual rate in bits a pixel, nominally 15:1.
	DefaultWSQRate = 0.75
	maxWSQRate     = 8

	// minWSQSide is the least width and height whose every line still has five
	// values when it is split last. How shorter ones are to be mirrored is not
	// clear: NIST's decoder does it in a way of its own.
	minWSQSide = 65

	// minWSQFile is the length below which MOSIP's decoder refuses a file: having
	// found "NIST_COM 9" it takes " 9" as a length, and copies 0x2039 bytes.
	minWSQFile = 8263
)

// EncodeWSQ returns a WSQ file of img for the given rate in bits a pixel, 0
// standing for DefaultWSQRate; above it the picture gets better and the file
// longer. A resolution of 0 dpi is unknown. The file begins with the NIST
// comment that MOSIP reads. If it came out at less than a 15th of the pixels,
// the limit for authentication in the MOSIP biometric image specification, the
// rate is raised; if that does not help, or if it is too short for MOSIP, zeros
// in a second comment fill it up. Both sides of img are at least 65 pixels.
func EncodeWSQ(img *image.Gray, bitrate float64, dpi int) ([]byte, error) {
	file, err := encodeWSQ(img, bitrate, dpi)
	if err != nil {
		return nil, fmt.Errorf("encode WSQ: %w", err)
	}
	return file, nil
}

func encodeWSQ(img *image.Gray, rate float64, dpi int) ([]byte, error) {
	p, err := pixelsOf(img)
	if err != nil {
		return nil, err
	}
	if rate == 0 {
		rate = DefaultWSQRate
	}
	switch raw := p.width * p.height; {
	case p.width < minWSQSide || p.height < minWSQSide:
		return nil, fmt.Errorf("a picture of %dx%d pixels: want at least %dx%[3]d", p.width, p.height, minWSQSide)
	case raw > maxWSQ || max(p.width, p.height) > math.MaxUint16:
		return nil, fmt.Errorf("a picture of %dx%d pixels: want at most %d", p.width, p.height, maxWSQ)
	case !(rate > 0 && rate <= maxWSQRate):
		return nil, fmt.Errorf("a rate of %g bits a pixel: want more than 0 and at most %d", rate, maxWSQRate)
	case dpi < 0 || dpi > math.MaxUint16:
		return nil, fmt.Errorf("%d dpi: want 0 to %d", dpi, math.MaxUint16)
	}

	w := newWSQWriter(p)
	least := p.width * p.height / maxRatio
	var comment string
	var body []byte
	for range 5 {
		comment, body = nistComment(p, dpi, rate), w.encode(rate)
		if len(body) >= least || rate == maxWSQRate {
			break
		}
		// Bytes grow about as the rate does.
		rate = min(rate*max(1.1, float64(least)/float64(len(body))), maxWSQRate)
	}

	file := binary.BigEndian.AppendUint16(nil, wsqSOI)
	file = appendSegment(file, wsqCOM, []byte(comment))
	file = appendZeros(file, wsqCOM, max(least, minWSQFile)-len(file)-len(body))
	return append(file, body...), nil
}

// nistComment returns what the first comment says. MOSIP needs the resolution,
// the loss, the colour space and the rate.
func nistComment(p pixels, dpi int, rate float64) string {
	ppi := dpi
	if dpi == 0 {
		ppi = -1
	}
	lines := []string{
		fmt.Sprintf("PIX_WIDTH %d", p.width),
		fmt.Sprintf("PIX_HEIGHT %d", p.height),
		"PIX_DEPTH 8",
		fmt.Sprintf("PPI %d", ppi),
		"LOSSY 1",
		"COLORSPACE GRAY",
		"COMPRESSION WSQ",
		fmt.Sprintf("WSQ_BITRATE %f", rate),
	}
	return fmt.Sprintf("NIST_COM %d\n", len(lines)+1) + strings.Join(lines, "\n")
}

// A wsqWriter holds the transformed picture.
type wsqWriter struct {
	p            plane
	subbands     []band
	variances    []float64
	shift, scale [3]byte // as in the frame header
}

func newWSQWriter(px pixels) *wsqWriter {
	w := &wsqWriter{p: newPlane(px.width, px.height)}
	sum, low, high := 0, 255, 0
	for y := range px.height {
		for _, v := range px.pix[y*px.stride:][:px.width] {
			sum += int(v)
			low, high = min(low, int(v)), max(high, int(v))
		}
	}
	mean := float64(sum) / float64(px.width*px.height)
	scale := max(mean-float64(low), float64(high)-mean) / 128
	if scale == 0 { // blank
		scale = 1
	}
	// From here on, numbers are what the decoder will read.
	w.shift, w.scale = scaledUp(mean), scaledUp(scale)
	m, s := scaled16(w.shift[:]), scaled16(w.scale[:])
	for y := range px.height {
		row := w.p.v[y*px.width:][:px.width]
		for x, v := range px.pix[y*px.stride:][:px.width] {
			row[x] = (float32(v) - m) / s
		}
	}
	splits, subbands := decompose(px.width, px.height)
	w.p.analyse(splits, wsqFilters)
	w.subbands, w.variances = subbands, w.p.variances(subbands)
	return w
}

// encode returns all of the file behind the comments.
func (w *wsqWriter) encode(rate float64) []byte {
	bands := quantisers(w.variances, rate)
	b := appendSegment(nil, wsqDTT, filterTable(wsqFilters))
	b = appendSegment(b, wsqDQT, quantisationTable(&bands))
	b = appendSegment(b, wsqSOF, w.frameHeader())

	blocks := w.quantise(&bands)
	first := newHuffman(frequencies(blocks[0]))
	rest := newHuffman(frequencies(blocks[1], blocks[2]))
	b = appendSegment(b, wsqDHT, append([]byte{0}, first.table()...))
	b = appendSegment(b, wsqSOB, []byte{0})
	b = first.encodeCoefficients(b, blocks[0])
	b = appendSegment(b, wsqDHT, append([]byte{1}, rest.table()...))
	for _, block := range blocks[1:] {
		b = appendSegment(b, wsqSOB, []byte{1})
		b = rest.encodeCoefficients(b, block)
	}
	return binary.BigEndian.AppendUint16(b, wsqEOI)
}

// quantise returns the coefficients of the three blocks.
func (w *wsqWriter) quantise(bands *[wsqSlots]quantiser) [3][]int32 {
	var blocks [3][]int32
	i := 0
	for k, b := range w.subbands {
		if k == wsqBlocks[i] {
			i++
		}
		q := bands[k]
		if q.step == 0 {
			continue
		}
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for _, v := range w.p.v[y*w.p.width+b.Min.X:][:b.Dx()] {
				blocks[i] = append(blocks[i], q.quantise(v))
			}
		}
	}
	return blocks
}

func frequencies(blocks ...[]int32) *[256]int {
	var freq [256]int
	for _, block := range blocks {
		symbols(block, func(symbol byte, _ uint32, _ int) { freq[symbol]++ })
	}
	return &freq
}

func (h huffman) table() []byte { return append(h.counts[:], h.symbols...) }

func filterTable(f filters) []byte {
	b := []byte{9, 7}
	for _, taps := range [][]float32{f.low[:], f.high[:]} {
		for _, v := range taps {
			sign := byte(0)
			if v < 0 {
				sign, v = 1, -v
			}
			exponent, n := scaleUp(float64(v), math.MaxUint32)
			b = binary.BigEndian.AppendUint32(append(b, sign, exponent), n)
		}
	}
	return b
}

// quantisationTable returns the table of all bands, and rounds those to what it
// says.
func quantisationTable(bands *[wsqSlots]quantiser) []byte {
	b := []byte{2, 0, wsqCentre * 100}
	for k, q := range bands {
		step, zero := scaledUp(float64(q.step)), scaledUp(float64(q.zero))
		bands[k] = quantiser{scaled16(step[:]), scaled16(zero[:])}
		b = append(append(b, step[:]...), zero[:]...)
	}
	return b
}

func (w *wsqWriter) frameHeader() []byte {
	b := []byte{0, 255} // black, white
	b = binary.BigEndian.AppendUint16(b, uint16(w.p.height))
	b = binary.BigEndian.AppendUint16(b, uint16(w.p.width))
	b = append(b, w.shift[:]...)
	b = append(b, w.scale[:]...)
	return append(b, 2, 0, 0) // version of the encoding, software unregistered
}

// scaledUp writes v as scaled16 reads it.
func scaledUp(v float64) [3]byte {
	exponent, n := scaleUp(v, math.MaxUint16)
	return [3]byte{exponent, byte(n >> 8), byte(n)}
}

// scaleUp returns v * 10^exponent, rounded, with the largest exponent up to 20
// that keeps it below limit: as many digits as there is room for.
func scaleUp(v, limit float64) (exponent byte, n uint32) {
	for v != 0 && v*10+0.5 < limit && exponent < 20 {
		v *= 10
		exponent++
	}
	return exponent, uint32(math.Round(v))
}

// appendSegment appends a marker, a length and what it is the length of.
func appendSegment(b []byte, marker int, body []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(marker))
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)+2))
	return append(b, body...)
}

// appendZeros appends segments of zeros that together are at least n bytes long.
func appendZeros(b []byte, marker, n int) []byte {
	for ; n > 0; n -= 2 + math.MaxUint16 {
		b = appendSegment(b, marker, make([]byte, min(max(n-4, 0), math.MaxUint16-2)))
	}
	return b
}
