package iso19794

import (
	"encoding/binary"
	"fmt"
)

var be = binary.BigEndian

// A reader takes fields off a record one after the other. After the first
// failure it yields zeros, so that a decoder asks for its error but once, or
// before it trusts a value that would steer it.
type reader struct {
	buf []byte
	off int
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// take returns the next n bytes, without room to grow into those behind them.
func (r *reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if left := len(r.buf) - r.off; n > left {
		r.fail("truncated: %d bytes wanted at offset %d, %d left", n, r.off, left)
		return nil
	}
	b := r.buf[r.off : r.off+n : r.off+n]
	r.off += n
	return b
}

func (r *reader) u8() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.take(2); b != nil {
		return be.Uint16(b)
	}
	return 0
}

func (r *reader) u24() uint32 {
	if b := r.take(3); b != nil {
		return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return be.Uint32(b)
	}
	return 0
}

// image takes a length of 32 bits and that many bytes.
func (r *reader) image() []byte {
	n := r.u32()
	if left := len(r.buf) - r.off; r.err == nil && uint64(n) > uint64(left) {
		r.fail("truncated: image of %d bytes at offset %d, %d left", n, r.off, left)
	}
	if r.err != nil {
		return nil
	}
	return r.take(int(n))
}

// rest takes all that is left; nil if nothing is.
func (r *reader) rest() []byte {
	if r.off == len(r.buf) {
		return nil
	}
	return r.take(len(r.buf) - r.off)
}

func (r *reader) done() error {
	if r.err == nil && r.off != len(r.buf) {
		r.fail("%d bytes after the image, which nothing accounts for", len(r.buf)-r.off)
	}
	return r.err
}

func appendUint24(b []byte, v uint32) []byte {
	return append(b, byte(v>>16), byte(v>>8), byte(v))
}
