package imagecodec

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"strconv"
	"strings"
)

// spaces are the blanks of the format, each a byte.
const spaces = " \t\n\v\f\r"

// decodePNM reads a binary PGM or PPM file of one picture with 8 bits a sample.
func decodePNM(b []byte) (image.Image, Info, error) {
	img, err := parsePNM(b)
	if err != nil {
		return nil, Info{}, fmt.Errorf("decode PGM: %w", err)
	}
	info := Info{
		Codec: "PGM", Width: img.Bounds().Dx(), Height: img.Bounds().Dy(), Components: 3,
		Reversible: true, BytesIn: len(b),
	}
	if _, ok := img.(*image.Gray); ok {
		info.Components = 1
	}
	return img, info, nil
}

func parsePNM(b []byte) (image.Image, error) {
	components := 1
	if b[1] == '6' {
		components = 3
	}
	rest := b[2:]
	var header [3]int // width, height, largest value
	for i := range header {
		var err error
		if header[i], rest, err = cutNumber(rest); err != nil {
			return nil, err
		}
	}
	width, height := header[0], header[1]
	if err := checkSize(width, height, components); err != nil {
		return nil, err
	}
	if header[2] != 255 {
		return nil, fmt.Errorf("a largest value of %d: want 255", header[2])
	}
	if len(rest) == 0 || !strings.ContainsRune(spaces, rune(rest[0])) {
		return nil, errors.New("no blank before the pixels")
	}
	rest = rest[1:]
	if want := width * height * components; len(rest) != want {
		return nil, fmt.Errorf("%d bytes of pixels: want %d", len(rest), want)
	}
	img, p := newImage(width, height, components)
	if components == 1 {
		copy(p.pix, rest)
		return img, nil
	}
	for i := range width * height {
		copy(p.pix[4*i:4*i+3], rest[3*i:])
	}
	return img, nil
}

// cutNumber reads a decimal number after blanks and comments.
func cutNumber(b []byte) (n int, rest []byte, err error) {
	start := len(b)
	b = bytes.TrimLeft(b, spaces)
	for len(b) > 0 && b[0] == '#' {
		_, b, _ = bytes.Cut(b, []byte("\n"))
		b = bytes.TrimLeft(b, spaces)
	}
	digits := b[:len(b)-len(bytes.TrimLeft(b, "0123456789"))]
	if n, err = strconv.Atoi(string(digits)); err != nil || len(b) == start {
		return 0, nil, errors.New("the header is not three numbers with blanks before them")
	}
	return n, b[len(digits):], nil
}
