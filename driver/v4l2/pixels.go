package v4l2

import (
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
)

// A layout is how a camera puts a picture into memory.
type layout struct {
	format *format
	size   image.Point
	stride int  // bytes from row to row; of uncompressed formats
	full   bool // samples use all of 0 to 255, not 16 to 235 (luma) and 240 (chroma)
}

var (
	errShort = errors.New("picture cut off")
	errSize  = errors.New("picture of another size")
)

// decode returns the picture in b, in memory of its own: *image.Gray for eyes,
// *image.RGBA for faces.
func (l layout) decode(b []byte, grey bool) (image.Image, error) {
	if l.format.bytes == 0 {
		return l.decodeJPEG(b, grey)
	}
	row := l.size.X * l.format.bytes
	if l.size.X <= 0 || l.size.Y <= 0 || l.stride < row || len(b) < l.stride*(l.size.Y-1)+row {
		return nil, fmt.Errorf("%w: %d bytes for %dx%d pixels", errShort, len(b), l.size.X, l.size.Y)
	}
	switch {
	case !l.format.colour:
		return l.fromGrey(b), nil
	case grey:
		return l.luma(b), nil
	}
	return l.fromYUYV(b), nil
}

func (l layout) decodeJPEG(b []byte, grey bool) (image.Image, error) {
	whole, size, err := mend(b)
	if err != nil {
		return nil, err
	}
	if size != l.size { // before memory is taken for it
		return nil, fmt.Errorf("%w: %v, expected %v", errSize, size, l.size)
	}
	img, err := jpeg.Decode(whole)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errJPEG, err)
	}
	if grey {
		out := image.NewGray(image.Rectangle{Max: l.size})
		draw.Draw(out, out.Rect, lumaOf(img), image.Point{}, draw.Src)
		return out, nil
	}
	out := image.NewRGBA(image.Rectangle{Max: l.size})
	draw.Draw(out, out.Rect, img, image.Point{}, draw.Src)
	return out, nil
}

// lumaOf returns the luma of a decoded JPEG, which is its first component.
func lumaOf(img image.Image) image.Image {
	if c, ok := img.(*image.YCbCr); ok {
		return &image.Gray{Pix: c.Y, Stride: c.YStride, Rect: c.Rect}
	}
	return img
}

// fromGrey takes the upper bits of samples that are wider than 8, low byte first,
// and the first of two sensors' pixels.
func (l layout) fromGrey(b []byte) *image.Gray {
	img := image.NewGray(image.Rectangle{Max: l.size})
	for y := range l.size.Y {
		in, out := b[y*l.stride:], img.Pix[y*img.Stride:][:l.size.X]
		switch {
		case l.format.bytes == 1:
			copy(out, in)
		case l.format.shift == 0:
			for x := range out {
				out[x] = in[2*x]
			}
		default:
			for x := range out {
				out[x] = uint8(min((uint32(in[2*x])|uint32(in[2*x+1])<<8)>>l.format.shift, 255))
			}
		}
	}
	return img
}

// luma takes every other byte of YUYV.
func (l layout) luma(b []byte) *image.Gray {
	img := image.NewGray(image.Rectangle{Max: l.size})
	for y := range l.size.Y {
		in, out := b[y*l.stride:], img.Pix[y*img.Stride:][:l.size.X]
		for x := range out {
			out[x] = l.grey(in[2*x])
		}
	}
	return img
}

// grey widens a luma sample to 0 to 255.
func (l layout) grey(y byte) uint8 {
	if l.full {
		return y
	}
	return clamp((int(y)-16)*lumaGain + half)
}

// Conversion of Y'CbCr to R'G'B' by ITU-R BT.601, as integers of 16 bits after
// the point. Samples of limited range gain 255/219 (luma) and 255/224 (chroma).
const (
	half       = 1 << 15
	lumaGain   = 76309  // 255/219
	redGain    = 104597 // 1.402 * 255/224
	greenBlue  = 25675  // 0.344136 * 255/224
	greenRed   = 53279  // 0.714136 * 255/224
	blueGain   = 132201 // 1.772 * 255/224
	fullLuma   = 1 << 16
	fullRed    = 91881  // 1.402
	fullGreenB = 22553  // 0.344136
	fullGreenR = 46802  // 0.714136
	fullBlue   = 116130 // 1.772
)

func clamp(v int) uint8 { return uint8(min(max(v>>16, 0), 255)) }

// fromYUYV converts pairs of pixels that share their chroma.
func (l layout) fromYUYV(b []byte) *image.RGBA {
	gain, red, greenB, greenR, blue, black := lumaGain, redGain, greenBlue, greenRed, blueGain, 16
	if l.full {
		gain, red, greenB, greenR, blue, black = fullLuma, fullRed, fullGreenB, fullGreenR, fullBlue, 0
	}
	img := image.NewRGBA(image.Rectangle{Max: l.size})
	for y := range l.size.Y {
		in, out := b[y*l.stride:][:l.size.X*2], img.Pix[y*img.Stride:][:l.size.X*4]
		for x := range l.size.X {
			at := x / 2 * 4
			luma := (int(in[2*x])-black)*gain + half
			cb := int(in[at+1]) - 128
			cr := 0
			if at+3 < len(in) { // a row of odd width ends within a pair
				cr = int(in[at+3]) - 128
			}
			p := out[4*x:][:4]
			p[0] = clamp(luma + red*cr)
			p[1] = clamp(luma - greenB*cb - greenR*cr)
			p[2] = clamp(luma + blue*cb)
			p[3] = 255
		}
	}
	return img
}

// mean is the average grey of a picture, of a sample of its pixels.
func mean(img image.Image) float64 {
	var pix []uint8
	step := 1
	switch img := img.(type) {
	case *image.Gray:
		pix = img.Pix
	case *image.RGBA:
		pix, step = img.Pix, 4
	}
	sum, n := 0, 0
	for i := 0; i < len(pix); i += 17 * step {
		sum += int(pix[i])
		n++
	}
	return float64(sum) / float64(max(n, 1))
}
