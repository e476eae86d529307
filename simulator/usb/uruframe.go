package usb

import (
	"bytes"
	"math/bits"
)

// uruKeyOf is the key with a number; that with number 0 is a recording's.
func uruKeyOf(number byte) uint32 { return 0x544409D6 + uint32(number)*0x9E3779B9 }

func uruStep(k uint32) uint32 {
	return k>>1 | uint32(bits.OnesCount32(k&0x9248144D)&1)<<31
}

// uruBack is the key before its last step.
func uruBack(k uint32) uint32 {
	before := k << 1
	if uruStep(before) != k {
		before |= 1
	}
	return before
}

func uruStream(k uint32) byte {
	var b byte
	for i, bit := range []int{4, 8, 11, 14, 18, 21, 24, 29} {
		b |= byte(k>>bit&1) << i
	}
	return b
}

// uruScramble covers the pixels of a block, which the sensor sends one place
// late: before is the last pixel that was sent ahead of them.
func uruScramble(plain []byte, before byte, k uint32) (wire []byte, after uint32) {
	wire = make([]byte, len(plain))
	cover := uruBack(k)
	for i := range plain {
		wire[i] = before ^ uruStream(cover)
		before, cover = plain[i], k
		k = uruStep(k)
	}
	return wire, k
}

// frame is the next picture as it goes over the wire.
func (u *uru) frame() []byte {
	header := uru4500Header
	if u.V2 {
		header = uruV2Header
	}
	header = bytes.Clone(header)
	if u.NewKey {
		header[16+2*5] |= 0x80 // the sixth block
	}
	raw := u.raw()
	key, number := uruKeyOf(header[6]), header[6]
	out := bytes.Clone(header)
	var before byte
	for at := 16; header[at+1] != 0; at += 2 {
		flags, n := header[at], int(header[at+1])*uruWidth
		lines := raw[:n]
		raw = raw[n:]
		if flags&0x80 != 0 {
			number++
			key = uruKeyOf(number)
		}
		switch {
		case flags&1 != 0 || flags&6 == 0 || u.Clear:
			for range n {
				key = uruStep(key)
			}
			if flags&1 == 0 {
				out = append(out, lines...)
				before = lines[n-1]
			}
		default:
			var wire []byte
			wire, key = uruScramble(lines, before, key)
			out = append(out, wire...)
			before = lines[n-1]
		}
	}
	return u.spoil(out)
}

// raw is what the sensor sees: ridges bright, and a 4500's upside down.
func (u *uru) raw() []byte {
	raw := make([]byte, uruWidth*uruHeight)
	finger := u.twin.finger()
	if finger == nil {
		return raw
	}
	for i, v := range finger.Pix {
		to := i
		if !u.V2 {
			to = len(raw) - 1 - i
		}
		raw[to] = 255 - v
	}
	return raw
}

// spoil gives a picture the twin's fault.
func (u *uru) spoil(frame []byte) []byte {
	switch {
	case u.twin.hand.Once(EmptyOnce):
		return nil
	case u.twin.hand.Once(TallOnce):
		frame[4], frame[5] = 0x22, 0x01
	case u.twin.hand.Once(ShortOnce), u.twin.hand.Has(CutImage):
		return frame[:len(frame)/2+1]
	case u.twin.hand.Has(BadHeader):
		for i := range frame[:uruHeader] {
			frame[i] = 0xFF
		}
	}
	return frame
}
