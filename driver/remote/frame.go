package remote

import (
	"fmt"
	"image"

	"sbid/driver"
)

// A frame is a driver.Frame without its pixels, which follow in the order of
// its pictures.
type frame struct {
	Pictures []picture       `json:"pictures,omitempty"`
	Parts    bool            `json:"parts,omitempty"` // the pictures are parts, not one image
	DPI      int             `json:"dpi,omitempty"`
	Native   driver.Geometry `json:"native"`
	Hints    []driver.Hint   `json:"hints,omitempty"`
}

// A picture has one byte a pixel, or four with colours.
type picture struct {
	Width    int             `json:"width"`
	Height   int             `json:"height"`
	Colours  bool            `json:"colours,omitempty"`
	Position driver.Position `json:"position,omitempty"`
}

// maxSide bounds a picture in pixels along either axis.
const maxSide = 1 << 14

func (p picture) bytes() int {
	n := p.Width * p.Height
	if p.Colours {
		n *= 4
	}
	return n
}

// pack takes a frame apart.
func pack(f driver.Frame) (*frame, []byte, error) {
	out := &frame{DPI: f.DPI, Native: f.Native, Hints: f.Hints, Parts: f.Image == nil && len(f.Parts) > 0}
	parts := f.Parts
	if f.Image != nil {
		parts = []driver.Part{{Image: f.Image}}
	}
	var pixels []byte
	for _, part := range parts {
		p := picture{Position: part.Position}
		var pix []byte
		var stride int
		switch img := part.Image.(type) {
		case *image.Gray:
			p.Width, p.Height = img.Rect.Dx(), img.Rect.Dy()
			pix, stride = img.Pix, img.Stride
		case *image.RGBA:
			p.Width, p.Height, p.Colours = img.Rect.Dx(), img.Rect.Dy(), true
			pix, stride = img.Pix, img.Stride
		default:
			return nil, nil, fmt.Errorf("%w: a frame is %T", errProtocol, part.Image)
		}
		row := p.bytes() / max(p.Height, 1)
		for y := range p.Height {
			pixels = append(pixels, pix[y*stride:y*stride+row]...)
		}
		out.Pictures = append(out.Pictures, p)
	}
	return out, pixels, nil
}

// unpack puts a frame together again. It keeps pixels.
func (f *frame) unpack(pixels []byte) (driver.Frame, error) {
	out := driver.Frame{DPI: f.DPI, Native: f.Native, Hints: f.Hints}
	if !f.Parts && len(f.Pictures) > 1 {
		return out, fmt.Errorf("%w: %d pictures in a frame of one", errProtocol, len(f.Pictures))
	}
	for _, p := range f.Pictures {
		if p.Width <= 0 || p.Height <= 0 || p.Width > maxSide || p.Height > maxSide || p.bytes() > len(pixels) {
			return driver.Frame{}, fmt.Errorf("%w: a picture of %dx%d in %d bytes", errProtocol, p.Width, p.Height, len(pixels))
		}
		pix := pixels[:p.bytes():p.bytes()]
		pixels = pixels[p.bytes():]
		var img image.Image = &image.Gray{Pix: pix, Stride: p.Width, Rect: image.Rect(0, 0, p.Width, p.Height)}
		if p.Colours {
			img = &image.RGBA{Pix: pix, Stride: 4 * p.Width, Rect: image.Rect(0, 0, p.Width, p.Height)}
		}
		if f.Parts {
			out.Parts = append(out.Parts, driver.Part{Position: p.Position, Image: img})
		} else {
			out.Image = img
		}
	}
	if len(pixels) > 0 {
		return driver.Frame{}, fmt.Errorf("%w: %d pixels too many", errProtocol, len(pixels))
	}
	return out, nil
}
