package uru4000

import (
	"crypto/aes"
	"math/bits"
)

// taps are the bits of the key's shift register that feed its top.
const taps = 0x9248144D

// step moves the key on by one pixel.
func step(k uint32) uint32 {
	return k>>1 | uint32(bits.OnesCount32(k&taps)&1)<<31
}

// keystream is the byte that a key covers a pixel with: bits 4, 8, 11, 14, 18,
// 21, 24 and 29 of it, from the lowest.
func keystream(k uint32) byte {
	return byte(k>>4&1 | k>>8&1<<1 | k>>11&1<<2 | k>>14&1<<3 |
		k>>18&1<<4 | k>>21&1<<5 | k>>24&1<<6 | k>>29&1<<7)
}

// skip moves the key on by n pixels.
func skip(k uint32, n int) uint32 {
	for range n {
		k = step(k)
	}
	return k
}

// descramble uncovers a block of pixels in place and returns the key after it.
// The sensor sends each pixel one place late, so that the last of a block comes
// with the next: it is left black, as other decoders do.
func descramble(b []byte, k uint32) uint32 {
	if len(b) == 0 {
		return k
	}
	for i := range len(b) - 1 {
		b[i] = b[i+1] ^ keystream(k)
		k = step(k)
	}
	b[len(b)-1] = 0
	return step(k)
}

// interoperability is the fixed key of Microsoft's reader.
var interoperability = []byte{
	0x79, 0xAC, 0x91, 0x79, 0x5C, 0xA1, 0x47, 0x8E, 0x98, 0xE0, 0x0F, 0x3C, 0x59, 0x8F, 0x5F, 0x4B,
}

// respond answers the reader's challenge: one block of AES-128.
func respond(challenge [16]byte) (response [16]byte, err error) {
	c, err := aes.NewCipher(interoperability)
	if err == nil {
		c.Encrypt(response[:], challenge[:])
	}
	return response, err
}
