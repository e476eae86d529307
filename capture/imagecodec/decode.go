package imagecodec

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
)

// Decode reads a file of any kind that this package knows, told by how it
// begins: JP2, WSQ, PNG, JPEG, or binary PGM or PPM of 8 bits. The picture is an
// *image.Gray if the file is grey, an *image.RGBA without transparency if it
// has colours; what was transparent is black.
func Decode(b []byte) (image.Image, Info, error) {
	switch {
	case bytes.HasPrefix(b, signature):
		return DecodeJP2(b)
	case bytes.HasPrefix(b, []byte{0xFF, 0xA0}):
		img, info, err := DecodeWSQ(b)
		if err != nil {
			return nil, Info{}, err // and not an image.Image that holds a nil *image.Gray
		}
		return img, info, nil
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		return decodeStandard("PNG", b, png.DecodeConfig, png.Decode)
	case bytes.HasPrefix(b, []byte{0xFF, 0xD8}):
		return decodeStandard("JPEG", b, jpeg.DecodeConfig, jpeg.Decode)
	case bytes.HasPrefix(b, []byte("P5")), bytes.HasPrefix(b, []byte("P6")):
		return decodePNM(b)
	}
	return nil, Info{}, errors.New("decode picture: neither JP2, WSQ, PNG, JPEG, PGM nor PPM")
}
