package uvc

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"

	"sbid/simulator/internal/hand"
)

// ground is what a camera with nothing before it sees.
var ground = color.RGBA{96, 112, 128, 255}

// sees returns what the lens shows the sensor: the picture in the middle, cut to
// the frame.
func (m Mode) sees(img image.Image) *image.RGBA {
	frame := image.NewRGBA(image.Rect(0, 0, m.Width, m.Height))
	hand.Lay(frame, img, ground)
	return frame
}

// encode brings a picture into the form in which the camera sends it.
func (m Mode) encode(frame *image.RGBA) []byte {
	switch m.Format {
	case "MJPG":
		return motionJPEG(frame)
	case "YUYV":
		return yuyv(frame)
	}
	out := make([]byte, 0, m.size())
	shift := map[string]int{"Y10": 2, "Y12": 4, "Y16": 8}[m.Format]
	for i := 0; i < len(frame.Pix); i += 4 {
		luma, _, _ := color.RGBToYCbCr(frame.Pix[i], frame.Pix[i+1], frame.Pix[i+2])
		switch m.Format {
		case "GREY":
			out = append(out, luma)
		case "Y8I":
			out = append(out, luma, 255-luma)
		default:
			v := uint16(luma) << shift
			out = append(out, byte(v), byte(v>>8))
		}
	}
	return out
}

// motionJPEG is a JPEG without its Huffman tables, as most cameras send it.
func motionJPEG(frame image.Image) []byte {
	var b bytes.Buffer
	// Encoding into memory cannot fail for a picture of a camera's size.
	_ = jpeg.Encode(&b, frame, &jpeg.Options{Quality: 85})
	whole := b.Bytes()
	tables := bytes.Index(whole, []byte{0xFF, 0xC4})
	size := 2 + int(whole[tables+2])<<8 + int(whole[tables+3])
	return append(whole[:tables:tables], whole[tables+size:]...)
}

// yuyv has 16 to 235 for luma and 16 to 240 for chroma, which two pixels share.
func yuyv(frame *image.RGBA) []byte {
	out := make([]byte, 0, len(frame.Pix)/2)
	for i := 0; i+7 < len(frame.Pix); i += 8 {
		p := frame.Pix[i:]
		y0, cb0, cr0 := color.RGBToYCbCr(p[0], p[1], p[2])
		y1, cb1, cr1 := color.RGBToYCbCr(p[4], p[5], p[6])
		out = append(out,
			narrow(int(y0), 219), narrow((int(cb0)+int(cb1)+1)/2, 224),
			narrow(int(y1), 219), narrow((int(cr0)+int(cr1)+1)/2, 224))
	}
	return out
}

// narrow brings 0 to 255 into the range of studio video, which begins at 16.
func narrow(v, span int) byte { return byte(16 + (v*span+127)/255) }

// spoil does to a picture what the camera's fault has it do.
func (m Mode) spoil(picture []byte, fault string, number int, noise *rand.Rand) []byte {
	switch {
	case fault == CutAll, fault == CutSome && number%2 == 0:
		return picture[:len(picture)/2]
	case fault == Garbage && m.Format == "MJPG":
		return append([]byte("\x00\x01garbage\xFF\x00\xFF"), picture...)
	case fault == PadPicture && m.Format == "MJPG":
		return append(bytes.Clone(picture), make([]byte, 1000)...)
	case fault == Nonsense:
		spoiled := make([]byte, len(picture))
		for i := range spoiled {
			spoiled[i] = byte(noise.Uint32())
		}
		return spoiled
	case fault == OtherSize && m.Format == "MJPG":
		return motionJPEG(image.NewRGBA(image.Rect(0, 0, 2*m.Width, 2*m.Height)))
	case fault == OtherSize:
		return append(bytes.Clone(picture), picture...)
	}
	return picture
}
