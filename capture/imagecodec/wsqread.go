package imagecodec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"strconv"
	"strings"
)

// Markers of a WSQ file.
const (
	wsqSOI = 0xFFA0 // start of image
	wsqEOI = 0xFFA1 // end of image
	wsqSOF = 0xFFA2 // frame header: size, shift and scale
	wsqSOB = 0xFFA3 // start of a block of coefficients
	wsqDTT = 0xFFA4 // filters of the transform
	wsqDQT = 0xFFA5 // quantisation of each subband
	wsqDHT = 0xFFA6 // Huffman tables
	wsqCOM = 0xFFA8 // comment
)

// maxWSQ is the largest picture in pixels that is decoded: blank ones take next
// to no bytes, and each pixel some ten of memory.
const maxWSQ = 16 << 20

// wsqBlocks says where each of the three blocks of coefficients ends, as the
// number of the next subband.
var wsqBlocks = [3]int{19, 52, wsqBands}

// quantiser says how the coefficients of one subband become integers: 0 up to
// half of zero on either side, beyond it one more for every step. A subband of
// step 0 is not coded.
type quantiser struct {
	step, zero float32
}

// A wsqFile is what the segments of a WSQ file tell.
type wsqFile struct {
	width, height int
	shift, scale  float32 // grey value = sample * scale + shift
	filters       filters
	centre        float32 // where in its bin a coefficient is assumed to lie
	bands         [wsqSlots]quantiser
	dpi           int

	framed, filtered, quantised bool // which segments were there

	codes        [8]*huffman
	coefficients []int32   // of all coded subbands
	blocks       [][]int32 // what is still to be read of them, per block
}

// DecodeWSQ reads a WSQ file of a fingerprint. What follows its end marker is
// ignored.
func DecodeWSQ(b []byte) (*image.Gray, Info, error) {
	var f wsqFile
	if err := f.parse(b); err != nil {
		return nil, Info{}, fmt.Errorf("decode WSQ: %w", err)
	}
	return f.picture(), Info{
		Codec: "WSQ", Width: f.width, Height: f.height, Components: 1, DPI: f.dpi, BytesIn: len(b),
	}, nil
}

func (f *wsqFile) parse(b []byte) error {
	r := segments{rest: b}
	if r.marker() != wsqSOI {
		return errors.New("the file does not begin with a start marker")
	}
	for {
		mark := r.marker()
		if mark == wsqEOI {
			break
		}
		body := r.segment()
		if r.short {
			return errors.New("the file is cut short")
		}
		started := f.coefficients != nil
		var err error
		switch {
		case mark == wsqSOB:
			err = f.parseBlock(body, &r)
		case mark == wsqDHT:
			err = f.parseCodes(body)
		case mark == wsqCOM:
			f.parseComment(body)
		case mark == wsqSOF && !started:
			err = f.parseFrame(body)
		case mark == wsqDTT && !started:
			err = f.parseFilters(body)
		case mark == wsqDQT && !started:
			err = f.parseQuantisers(body)
		default:
			err = fmt.Errorf("marker %04X is unknown or out of place", mark)
		}
		if err != nil {
			return err
		}
	}
	if f.coefficients == nil || len(f.blocks) > 0 {
		return errors.New("the file ends before all coefficients")
	}
	return nil
}

// parseComment takes the resolution from a NIST comment.
func (f *wsqFile) parseComment(b []byte) {
	if !bytes.HasPrefix(b, []byte("NIST_COM")) {
		return
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if dpi, err := strconv.ParseUint(value, 10, 16); err == nil && name == "PPI" {
			f.dpi = int(dpi)
		}
	}
}

func (f *wsqFile) parseFrame(b []byte) error {
	if len(b) != 15 {
		return fmt.Errorf("a frame header of %d bytes: want 15", len(b))
	}
	f.height, f.width = int(binary.BigEndian.Uint16(b[2:])), int(binary.BigEndian.Uint16(b[4:]))
	if f.width == 0 || f.height == 0 || f.width*f.height > maxWSQ {
		return fmt.Errorf("a picture of %dx%d pixels: want 1 to %d", f.width, f.height, maxWSQ)
	}
	f.shift, f.scale = scaled16(b[6:]), scaled16(b[9:])
	f.framed = true
	return nil
}

func (f *wsqFile) parseFilters(b []byte) error {
	if len(b) != 2+6*(len(f.filters.low)+len(f.filters.high)) || b[0] != 9 || b[1] != 7 {
		return errors.New("filters other than of 9 and 7 taps are not supported")
	}
	b = b[2:]
	for _, taps := range [][]float32{f.filters.low[:], f.filters.high[:]} {
		for i := range taps {
			taps[i] = scaleDown(binary.BigEndian.Uint32(b[2:]), b[1])
			if b[0] != 0 {
				taps[i] = -taps[i]
			}
			b = b[6:]
		}
	}
	f.filtered = true
	return nil
}

func (f *wsqFile) parseQuantisers(b []byte) error {
	if len(b) != 3+6*wsqSlots {
		return fmt.Errorf("a quantisation table of %d bytes: want %d", len(b), 3+6*wsqSlots)
	}
	f.centre = scaled16(b)
	for i := range f.bands {
		at := b[3+6*i:]
		f.bands[i] = quantiser{step: scaled16(at), zero: scaled16(at[3:])}
	}
	f.quantised = true
	return nil
}

// scaled16 reads a decimal exponent and the integer that is divided by it.
func scaled16(b []byte) float32 {
	return scaleDown(uint32(binary.BigEndian.Uint16(b[1:])), b[0])
}

// scaleDown returns n / 10^exponent. It divides step by step, as NIST's decoder
// does: rounding once would make other pixels here and there.
func scaleDown(n uint32, exponent byte) float32 {
	v := float32(n)
	for range exponent {
		v /= 10
	}
	return v
}

func (f *wsqFile) parseCodes(b []byte) error {
	for len(b) > 0 {
		id := b[0]
		if int(id) >= len(f.codes) {
			return fmt.Errorf("Huffman table %d: want at most %d", id, len(f.codes)-1)
		}
		h, rest, err := parseHuffman(b[1:])
		if err != nil {
			return err
		}
		f.codes[id], b = &h, rest
	}
	return nil
}

// parseBlock decodes the next block of coefficients, which follows its header.
func (f *wsqFile) parseBlock(header []byte, r *segments) error {
	if f.coefficients == nil {
		if !f.framed || !f.filtered || !f.quantised {
			return errors.New("coefficients come before the frame header, the filters or the quantisation table")
		}
		f.layOut()
	}
	if len(header) != 1 || int(header[0]) >= len(f.codes) || f.codes[header[0]] == nil {
		return errors.New("a block of coefficients without a Huffman table")
	}
	if len(f.blocks) == 0 {
		return errors.New("more than three blocks of coefficients")
	}
	if err := f.codes[header[0]].decodeCoefficients(r.entropy(), f.blocks[0]); err != nil {
		return err
	}
	f.blocks = f.blocks[1:]
	return nil
}

// layOut makes room for the coefficients of all blocks.
func (f *wsqFile) layOut() {
	_, subbands := decompose(f.width, f.height)
	total, ends := 0, []int{}
	for i, b := range subbands {
		if f.bands[i].step != 0 {
			total += b.Dx() * b.Dy()
		}
		if i+1 == wsqBlocks[len(ends)] {
			ends = append(ends, total)
		}
	}
	f.coefficients = make([]int32, total)
	start := 0
	for _, end := range ends {
		f.blocks = append(f.blocks, f.coefficients[start:end])
		start = end
	}
}

// entropy returns what precedes the next marker, without the zeros stuffed
// behind bytes of ones.
func (r *segments) entropy() []byte {
	end := len(r.rest)
	for i := 0; i+1 < len(r.rest); i++ {
		if r.rest[i] == 0xFF && r.rest[i+1] != 0 {
			end = i
			break
		}
	}
	data := bytes.ReplaceAll(r.rest[:end], []byte{0xFF, 0}, []byte{0xFF})
	r.rest = r.rest[end:]
	return data
}

// picture turns the coefficients into grey values.
func (f *wsqFile) picture() *image.Gray {
	splits, subbands := decompose(f.width, f.height)
	p := newPlane(f.width, f.height)
	rest := f.coefficients
	for i, b := range subbands {
		q := f.bands[i]
		if q.step == 0 {
			continue
		}
		for y := b.Min.Y; y < b.Max.Y; y++ {
			row := p.v[y*p.width+b.Min.X:][:b.Dx()]
			for x := range row {
				row[x] = q.restore(rest[x], f.centre)
			}
			rest = rest[len(row):]
		}
	}
	p.synthesise(splits, f.filters)

	img := image.NewGray(image.Rect(0, 0, f.width, f.height))
	for i, v := range p.v {
		switch v = float32(v*f.scale) + f.shift + 0.5; {
		case v >= 255:
			img.Pix[i] = 255
		case v > 0: // false for what is not a number
			img.Pix[i] = byte(v)
		}
	}
	return img
}

// restore returns the coefficient that n stands for.
func (q quantiser) restore(n int32, centre float32) float32 {
	switch {
	case n > 0:
		return float32(q.step*(float32(n)-centre)) + q.zero/2
	case n < 0:
		return float32(q.step*(float32(n)+centre)) - q.zero/2
	}
	return 0
}
