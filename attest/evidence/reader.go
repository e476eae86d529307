package evidence

import (
	"encoding/binary"
	"errors"
)

// errShort: a log ends in the middle of something.
var errShort = errors.New("log is cut short")

// A reader takes a log apart, which is little-endian. After a failure it gives
// zeros and nothing, so that one look at err at the end is enough; it never
// holds more than the log.
type reader struct {
	data []byte
	err  error
}

func (r *reader) take(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.data)) {
		r.data, r.err = nil, errShort
		return nil
	}
	taken := r.data[:n:n]
	r.data = r.data[n:]
	return taken
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// sized takes as many bytes as a 32-bit number before them says.
func (r *reader) sized() []byte { return r.take(uint64(r.uint32())) }

func (r *reader) more() bool { return r.err == nil && len(r.data) > 0 }
