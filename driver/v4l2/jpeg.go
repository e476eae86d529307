package v4l2

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"io"
)

// maxGarbage is how many bytes before a picture are passed over.
const maxGarbage = 4096

var errJPEG = errors.New("not a picture of Motion JPEG")

// Markers of ITU-T T.81, table B.1.
const (
	sof0 = 0xC0
	sof2 = 0xC2
	dht  = 0xC4
	rst0 = 0xD0
	soi  = 0xD8
	eoi  = 0xD9
	sos  = 0xDA
	tem  = 0x01
)

// mend makes a JPEG of what a camera sent for one picture: what is before its
// start is left out, and the standard Huffman tables are put in where it has
// none, as Motion JPEG allows. It returns the size that the picture claims; the
// pixels are not looked at.
func mend(b []byte) (io.Reader, image.Point, error) {
	var size image.Point
	start := bytes.Index(b[:min(len(b), maxGarbage+2)], []byte{0xFF, soi})
	if start < 0 {
		return nil, size, fmt.Errorf("%w: no start in %d bytes", errJPEG, len(b))
	}
	b = b[start:]
	tables := false
	for at := 2; ; {
		marker, next, err := segment(b, at)
		if err != nil {
			return nil, size, err
		}
		switch {
		case marker == dht:
			tables = true
		case marker >= sof0 && marker <= sof2:
			frame := b[at:next]
			if len(frame) < 9 {
				return nil, size, fmt.Errorf("%w: a frame header of %d bytes", errJPEG, len(frame))
			}
			size = image.Pt(int(binary.BigEndian.Uint16(frame[7:])), int(binary.BigEndian.Uint16(frame[5:])))
		case marker == sos && tables:
			return bytes.NewReader(b), size, nil
		case marker == sos:
			return io.MultiReader(bytes.NewReader(b[:at]), bytes.NewReader(huffmanTables), bytes.NewReader(b[at:])), size, nil
		}
		at = next
	}
}

// segment returns the marker at b[at:] and where the next one is. What segments
// are filled up with is passed over.
func segment(b []byte, at int) (marker byte, next int, err error) {
	if at+2 > len(b) || b[at] != 0xFF {
		return 0, 0, fmt.Errorf("%w: no marker at byte %d of %d", errJPEG, at, len(b))
	}
	marker = b[at+1]
	switch {
	case marker == 0xFF:
		return marker, at + 1, nil
	case marker >= rst0 && marker < soi, marker == tem:
		return marker, at + 2, nil
	case marker < sof0, marker == soi, marker == eoi:
		return 0, 0, fmt.Errorf("%w: marker %02X at byte %d", errJPEG, marker, at)
	case at+4 > len(b):
		return 0, 0, fmt.Errorf("%w: cut off after %d bytes", errJPEG, len(b))
	}
	next = at + 2 + int(binary.BigEndian.Uint16(b[at+2:]))
	if next < at+4 || next > len(b) {
		return 0, 0, fmt.Errorf("%w: a segment from byte %d to %d of %d", errJPEG, at, next, len(b))
	}
	return marker, next, nil
}

// huffmanTables is the segment of the typical tables of ITU-T T.81, K.3.3.
var huffmanTables = func() []byte {
	b, err := hex.DecodeString(`` +
		// luminance DC, then AC
		`FFC401A2` + `00` + `00010501010101010100000000000000` + `000102030405060708090A0B` +
		`10` + `0002010303020403050504040000017D` +
		`01020300041105122131410613516107227114328191A1082342B1C11552D1F02433627282090A161718191A2526` +
		`2728292A3435363738393A434445464748494A535455565758595A636465666768696A737475767778797A83848586` +
		`8788898A92939495969798999AA2A3A4A5A6A7A8A9AAB2B3B4B5B6B7B8B9BAC2C3C4C5C6C7C8C9CAD2D3D4D5D6D7D8` +
		`D9DAE1E2E3E4E5E6E7E8E9EAF1F2F3F4F5F6F7F8F9FA` +
		// chrominance DC, then AC
		`01` + `00030101010101010101010000000000` + `000102030405060708090A0B` +
		`11` + `00020102040403040705040400010277` +
		`0001020311040521310612415107617113223281081442` + `91A1B1C109233352F0156272D10A162434E125F1` +
		`1718191A262728292A35363738393A434445464748494A535455565758595A636465666768696A737475767778797A` +
		`82838485868788898A92939495969798999AA2A3A4A5A6A7A8A9AAB2B3B4B5B6B7B8B9BAC2C3C4C5C6C7C8C9CAD2D3` +
		`D4D5D6D7D8D9DAE2E3E4E5E6E7E8E9EAF2F3F4F5F6F7F8F9FA`)
	if err != nil {
		panic(err) // a slip in the lines above
	}
	return b
}()
