package imagecodec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Boxes of a JP2 file: ISO/IEC 15444-1 annex I.
const (
	boxHeader = 8 // length and type

	colourSRGB = 16 // enumerated colour spaces
	colourGrey = 17

	// unitsPerInch turns pixels per inch into pixels per metre.
	unitsPerInch = 39.37007874
	maxDPI       = 1664 // more does not fit 16 bits as pixels per metre
)

var signature = []byte("\x00\x00\x00\x0CjP  \r\n\x87\n")

// appendBox appends a box with the given contents to b.
func appendBox(b []byte, kind string, contents ...[]byte) []byte {
	n := boxHeader
	for _, c := range contents {
		n += len(c)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	b = append(b, kind...)
	for _, c := range contents {
		b = append(b, c...)
	}
	return b
}

// jp2Header returns all boxes before the codestream. The resolution box follows
// the colour specification at once, because MOSIP looks for it only there.
func jp2Header(p pixels, dpi int) ([]byte, error) {
	if dpi < 0 || dpi > maxDPI {
		return nil, fmt.Errorf("%d dpi: want 0 to %d", dpi, maxDPI)
	}
	ihdr := binary.BigEndian.AppendUint32(nil, uint32(p.height))
	ihdr = binary.BigEndian.AppendUint32(ihdr, uint32(p.width))
	ihdr = binary.BigEndian.AppendUint16(ihdr, uint16(p.components))
	ihdr = append(ihdr, 7, 7, 0, 0) // 8 bits unsigned, JPEG 2000, colour known, no property rights

	colour := byte(colourGrey)
	if p.components == 3 {
		colour = colourSRGB
	}
	colr := []byte{1, 0, 0, 0, 0, 0, colour} // enumerated

	jp2h := appendBox(nil, "ihdr", ihdr)
	jp2h = appendBox(jp2h, "colr", colr)
	if dpi > 0 {
		// Rounded down, as readers round up.
		perMetre := uint16(float64(dpi) * unitsPerInch)
		resc := make([]byte, 0, 10)
		for range 2 { // vertical, horizontal
			resc = binary.BigEndian.AppendUint16(resc, perMetre)
			resc = binary.BigEndian.AppendUint16(resc, 1)
		}
		resc = append(resc, 0, 0) // exponents
		jp2h = appendBox(jp2h, "res ", appendBox(nil, "resc", resc))
	}

	b := bytes.Clone(signature)
	b = appendBox(b, "ftyp", []byte("jp2 \x00\x00\x00\x00jp2 "))
	return appendBox(b, "jp2h", jp2h), nil
}

// A jp2File is what the boxes of a JP2 file tell.
type jp2File struct {
	width, height, components int
	dpi                       int
	codestream                []byte
}

// parseJP2 reads boxes up to the codestream.
func parseJP2(b []byte) (jp2File, error) {
	if !bytes.HasPrefix(b, signature) {
		return jp2File{}, errors.New("the file does not begin with a JP2 signature box")
	}
	rest := b[len(signature):]
	var f jp2File
	for first := true; ; first = false {
		kind, body, after, err := cutBox(rest)
		switch {
		case err != nil:
			return jp2File{}, err
		case first != (kind == "ftyp"):
			return jp2File{}, errors.New("the file type box is not the second")
		case kind == "jp2h":
			if err := f.parseHeader(body); err != nil {
				return jp2File{}, err
			}
		case kind == "jp2c" && f.width == 0:
			return jp2File{}, errors.New("the codestream comes before the header box")
		case kind == "jp2c":
			f.codestream = body
			return f, nil
		}
		rest = after
	}
}

// parseHeader reads the contents of a JP2 header box.
func (f *jp2File) parseHeader(b []byte) error {
	colour := uint32(0)
	for first := true; len(b) > 0; first = false {
		kind, body, after, err := cutBox(b)
		if err != nil {
			return err
		}
		if first != (kind == "ihdr") {
			return errors.New("the image header box is not the first of the header")
		}
		switch kind {
		case "ihdr":
			if len(body) != 14 {
				return fmt.Errorf("an image header box of %d bytes: want 14", len(body))
			}
			height, width := binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
			f.components = int(binary.BigEndian.Uint16(body[8:]))
			if f.components != 1 && f.components != 3 {
				return fmt.Errorf("%d components: want 1 or 3", f.components)
			}
			if width > MaxSamples || height > MaxSamples {
				return fmt.Errorf("%dx%d pixels are too many", width, height)
			}
			f.width, f.height = int(width), int(height)
			if err := checkSize(f.width, f.height, f.components); err != nil {
				return err
			}
			if body[10] != 7 || body[11] != 7 {
				return fmt.Errorf("depth byte %d, compression type %d: want 8 bits unsigned (7) and JPEG 2000 (7)", body[10], body[11])
			}
		case "colr":
			if len(body) < 3 {
				return errors.New("a colour specification box is cut short")
			}
			// Of several, the first counts (I.5.3.3).
			if colour == 0 {
				if body[0] != 1 || len(body) != 7 {
					return fmt.Errorf("colour specified by method %d: want an enumerated colour space (1)", body[0])
				}
				colour = binary.BigEndian.Uint32(body[3:])
			}
		case "pclr", "cmap", "cdef":
			return fmt.Errorf("box %q: palettes and channel definitions are not supported", kind)
		case "res ":
			if f.dpi, err = parseResolution(body); err != nil {
				return err
			}
		}
		b = after
	}
	if want := map[int]uint32{1: colourGrey, 3: colourSRGB}[f.components]; colour != want {
		return fmt.Errorf("colour space %d with %d components: want grey (%d) with 1 or sRGB (%d) with 3", colour, f.components, colourGrey, colourSRGB)
	}
	return nil
}

// parseResolution returns the horizontal resolution in pixels per inch: that of
// the capture if it is there, else that of the display.
func parseResolution(b []byte) (int, error) {
	dpi := 0
	for len(b) > 0 {
		kind, body, after, err := cutBox(b)
		if err != nil {
			return 0, err
		}
		if kind == "resc" || kind == "resd" && dpi == 0 {
			if len(body) != 10 {
				return 0, fmt.Errorf("box %q of %d bytes: want 10", kind, len(body))
			}
			num, den := binary.BigEndian.Uint16(body[4:]), binary.BigEndian.Uint16(body[6:])
			if den == 0 {
				return 0, fmt.Errorf("box %q divides by zero", kind)
			}
			perMetre := float64(num) / float64(den) * math.Pow10(int(int8(body[9])))
			dpi = int(min(math.Ceil(math.Round(perMetre)/unitsPerInch), math.MaxInt32))
		}
		b = after
	}
	return dpi, nil
}

// cutBox splits b behind its first box.
func cutBox(b []byte) (kind string, body, rest []byte, err error) {
	if len(b) < boxHeader {
		return "", nil, nil, fmt.Errorf("%d bytes are too few for a box", len(b))
	}
	kind = string(b[4:8])
	n, header := uint64(binary.BigEndian.Uint32(b)), uint64(boxHeader)
	switch n {
	case 0: // to the end
		n = uint64(len(b))
	case 1: // a longer length follows
		if len(b) < 16 {
			return "", nil, nil, fmt.Errorf("box %q is cut short", kind)
		}
		n, header = binary.BigEndian.Uint64(b[8:]), 16
	}
	if n < header || n > uint64(len(b)) {
		return "", nil, nil, fmt.Errorf("box %q is %d bytes long where %d are left", kind, n, len(b))
	}
	return kind, b[header:n], b[n:], nil
}
