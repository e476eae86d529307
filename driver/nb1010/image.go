package nb1010

import (
	"encoding/binary"
	"fmt"
)

// The picture: two lines a message.
const (
	width    = 256
	height   = 180
	messages = height / 2
)

// parseLines checks a message with two lines of the picture, of which first,
// counted from 0, is the upper one, and returns their pixels. The message has
// whether more follow at 12, the line counted from 1 at 16, the width at 20, all
// in four bytes, little endian, and the pixels from 25 on.
func parseLines(b []byte, first int) ([]byte, error) {
	if len(b) != messageSize {
		return nil, fmt.Errorf("%w: %d bytes", errFraming, len(b))
	}
	more, line, w := binary.LittleEndian.Uint32(b[12:]), binary.LittleEndian.Uint32(b[16:]), binary.LittleEndian.Uint32(b[20:])
	last := first+2 >= height
	if line != uint32(first+1) || w != width || more > 1 || (more == 0) != last {
		return nil, fmt.Errorf("%w: line %d of width %d, more %d; line %d was due", errFraming, line, w, more, first+1)
	}
	return b[25 : 25+2*width], nil
}
