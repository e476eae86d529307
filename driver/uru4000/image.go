package uru4000

import (
	"encoding/binary"
	"fmt"
	"image"

	"sbid/driver"
	"sbid/driver/internal/raster"
)

// The picture, and what carries it.
const (
	width      = 384
	height     = 290
	headerSize = 64
	// frameSize is what is asked for: the largest frame. The usual one has a line
	// less, and its end is an empty packet.
	frameSize = headerSize + width*height
)

// errFrame: what came is no picture, or only part of one.
var errFrame = fmt.Errorf("%w: damaged picture", driver.ErrBroken)

// Flags of a block.
const (
	flagAbsent    = 0x01 // not sent: the line that follows stands for it
	flagScrambled = 0x02
	flagKeyStays  = 0x04
	flagKeyNext   = 0x80 // the next key holds from here on
)

// A block is a number of lines that are sent in one way.
type block struct {
	flags byte
	lines int
}

// bytes is what the block takes in the frame.
func (b block) bytes() int {
	if b.flags&flagAbsent != 0 {
		return 0
	}
	return b.lines * width
}

// A frame is a picture as it was sent.
type frame struct {
	key    byte // the number of its first key
	blocks []block
	pixels []byte // of the blocks that are present
}

// parseFrame reads a frame: a header of 64 bytes with the number of lines at 4,
// of the key at 6 and up to 15 blocks from 16 on, then the lines. Pixels are
// those of b.
func parseFrame(b []byte) (frame, error) {
	if len(b) < headerSize {
		return frame{}, fmt.Errorf("%w: %d bytes", errFrame, len(b))
	}
	if b[1] != headerSize || int(binary.LittleEndian.Uint16(b[2:])) != width {
		return frame{}, fmt.Errorf("%w: header % X", errFrame, b[:4])
	}
	lines := int(binary.LittleEndian.Uint16(b[4:]))
	f := frame{key: b[6]}
	sent, all := 0, 0
	for at := 16; at < 46 && b[at+1] != 0; at += 2 {
		bl := block{b[at], int(b[at+1])}
		f.blocks = append(f.blocks, bl)
		sent += bl.bytes()
		all += bl.lines
	}
	f.pixels = b[headerSize:]
	switch {
	case lines >= height:
		return frame{}, fmt.Errorf("%w: %d lines", errFrame, lines)
	case sent != lines*width || all > height:
		return frame{}, fmt.Errorf("%w: blocks of %d lines for %d", errFrame, sent/width, lines)
	case len(f.pixels) < sent:
		return frame{}, fmt.Errorf("%w: %d of %d bytes", errFrame, len(f.pixels), sent)
	}
	f.pixels = f.pixels[:sent]
	return f, nil
}

// scrambled looks at the first two lines: noise varies more than skin. Some
// readers send clear pictures under flags that say otherwise.
func (f frame) scrambled() bool {
	if len(f.pixels) < 2*width {
		return false
	}
	var sum, squares float64
	for i := range width {
		s := float64(f.pixels[i]) + float64(f.pixels[width+i])
		sum += s
		squares += s * s
	}
	mean := sum / width
	return squares/width-mean*mean >= 5000
}

// decode returns the picture as the sensor took it, ridges bright, 384 x 290;
// rows that no block has are black. keyOf asks the reader for its keys. The
// frame's own pixels are overwritten.
func (f frame) decode(keyOf func(number byte) (uint32, error)) ([]byte, error) {
	var key uint32
	var err error
	number, scrambled := f.key, f.scrambled()
	if scrambled {
		if key, err = keyOf(number); err != nil {
			return nil, err
		}
	}
	out := make([]byte, 0, width*height)
	in := f.pixels
	absent := 0
	for _, b := range f.blocks {
		if b.flags&flagKeyNext != 0 && scrambled {
			number++
			if key, err = keyOf(number); err != nil {
				return nil, err
			}
		}
		lines := in[:b.bytes()]
		in = in[b.bytes():]
		if scrambled {
			switch {
			case b.flags&flagKeyStays != 0:
			case b.flags&flagScrambled != 0 && len(lines) > 0:
				key = descramble(lines, key)
			default:
				key = skip(key, b.lines*width)
			}
		}
		if len(lines) == 0 {
			absent += b.lines
			continue
		}
		for range absent {
			out = append(out, lines[:width]...)
		}
		absent = 0
		out = append(out, lines...)
	}
	return out[:width*height], nil
}

// upright returns the picture with dark ridges, as the finger lay.
func upright(pixels []byte, degrees int) (*image.Gray, error) {
	img := &image.Gray{Pix: pixels, Stride: width, Rect: image.Rect(0, 0, width, height)}
	for i, v := range img.Pix {
		img.Pix[i] = 255 - v
	}
	return raster.Turn(img, degrees)
}

// contrast is the variance of grey in the middle of a picture, where a finger
// lies if one does.
func contrast(img *image.Gray) float64 {
	b := img.Rect
	var n, sum, squares float64
	for y := b.Dy() / 4; y < b.Dy()*3/4; y++ {
		for _, v := range img.Pix[y*img.Stride+b.Dx()/4 : y*img.Stride+b.Dx()*3/4] {
			n++
			sum += float64(v)
			squares += float64(v) * float64(v)
		}
	}
	return squares/n - sum/n*sum/n
}
