package imagecodec

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"io"
)

// decodeStandard reads a file by a decoder of the standard library, if its
// header promises a picture that is not too large.
func decodeStandard(codec string, b []byte,
	config func(io.Reader) (image.Config, error),
	decode func(io.Reader) (image.Image, error),
) (image.Image, Info, error) {
	c, err := config(bytes.NewReader(b))
	if err != nil {
		return nil, Info{}, fmt.Errorf("decode %s: %w", codec, err)
	}
	info := Info{
		Codec: codec, Width: c.Width, Height: c.Height, Components: 3,
		Reversible: codec == "PNG", BytesIn: len(b),
	}
	if c.ColorModel == color.GrayModel || c.ColorModel == color.Gray16Model {
		info.Components = 1
	}
	if err := checkSize(info.Width, info.Height, info.Components); err != nil {
		return nil, Info{}, fmt.Errorf("decode %s: %w", codec, err)
	}
	img, err := decode(bytes.NewReader(b))
	if err != nil {
		return nil, Info{}, fmt.Errorf("decode %s: %w", codec, err)
	}
	if gray, ok := img.(*image.Gray); ok {
		return gray, info, nil
	}
	to, _ := newImage(info.Width, info.Height, info.Components)
	draw.Draw(to.(draw.Image), to.Bounds(), img, img.Bounds().Min, draw.Over)
	return to, info, nil
}
