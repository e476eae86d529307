package imagecodec

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

func TestCoefficientsRoundTrip(t *testing.T) {
	zeros := func(n int) []int32 { return make([]int32, n) }
	tests := map[string][]int32{
		"none":        {},
		"one":         {5},
		"limits":      {-73, 74, -74, 75, -255, 255, -256, 256, -65535, 65535, 0},
		"all short":   {-73, -1, 1, 74},
		"runs":        slices.Concat(zeros(1), []int32{1}, zeros(100), []int32{1}, zeros(101), []int32{1}, zeros(255), []int32{1}, zeros(256), []int32{1}, zeros(65535), []int32{1}, zeros(65536)),
		"only zeros":  zeros(1000),
		"many values": nil,
	}
	for i := range 4000 { // ever rarer: long codes
		for range 4000 / (1 + i*i) {
			tests["many values"] = append(tests["many values"], int32(i%148-73))
		}
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) { roundTrip(t, want) })
	}
}

func FuzzCoefficients(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0xFF, 0xFF, 0x80, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var c []int32
		for ; len(b) >= 2; b = b[2:] {
			n := int16(binary.BigEndian.Uint16(b))
			c = append(c, int32(n)%(1<<(n&15)+1)) // small ones are commoner
		}
		roundTrip(t, c)
	})
}

func roundTrip(t *testing.T, want []int32) {
	t.Helper()
	h := newHuffman(frequencies(want))
	data := h.encodeCoefficients(nil, want)
	read, rest, err := parseHuffman(h.table())
	if err != nil || len(rest) != 0 {
		t.Fatalf("the code cannot be read again: %v, %d bytes left", err, len(rest))
	}
	r := segments{rest: append(slices.Clip(data), 0xFF, 0xA1)}
	got := make([]int32, len(want))
	if err := read.decodeCoefficients(r.entropy(), got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if r.marker() != wsqEOI {
		t.Error("the data holds what looks like a marker")
	}
}

// Frequencies that double make the longest codes of all: too long by far, if
// nothing limits them.
func TestHuffmanLimitsCodes(t *testing.T) {
	var freq [256]int
	for i := range 40 {
		freq[200-i] = 1 << i
	}
	h := newHuffman(&freq)
	kraft, n := 0, 0
	for i, count := range h.counts {
		kraft += int(count) << (maxCodeBits - 1 - i)
		n += int(count)
	}
	if n != 40 || len(h.symbols) != 40 {
		t.Errorf("%d codes for %d symbols, want 40", n, len(h.symbols))
	}
	if kraft >= 1<<maxCodeBits {
		t.Error("the code of only ones is in use")
	}
	if h.symbols[0] != 161 {
		t.Errorf("the shortest code is of symbol %d, want the commonest, 161", h.symbols[0])
	}
}

func TestDecodeCoefficientsRefuses(t *testing.T) {
	// 0 is symbol 1, 10 is symbol 255, 110 a run of 8 bits, 111 no code.
	h := huffman{counts: [maxCodeBits]byte{1, 1, 1}, symbols: []byte{1, 255, symRun8}}
	for name, data := range map[string][]byte{
		"the end":           {},
		"an unknown symbol": {0b10_000000},
		"a run of nothing":  {0b110_00000, 0b000_00000},
		"a run too long":    {0b110_00001, 0b010_00000},
		"half a run":        {0b110_00000},
		"no code":           {0b111_11111},
		"a byte left over":  {0b000_00000, 0b01111111, 0xFF},
	} {
		if err := h.decodeCoefficients(data, make([]int32, 9)); err == nil {
			t.Errorf("%s: no error", name)
		} else if name == "the end" && !errors.Is(err, errCoefficients) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := h.decodeCoefficients([]byte{0b0_110_0000, 0b1000_0000}, make([]int32, 9)); err != nil {
		t.Errorf("one zero and a run of 8: %v", err)
	}
}
