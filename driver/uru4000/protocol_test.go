package uru4000

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
)

// wire reads bytes written as in a recording.
func wire(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestKeySteps(t *testing.T) {
	for start, want := range map[uint32][]uint32{
		0x00000001: {0x80000000, 0xC0000000, 0xE0000000, 0xF0000000, 0x78000000, 0xBC000000, 0x5E000000, 0x2F000000},
		0xDEADBEEF: {0x6F56DF77, 0xB7AB6FBB, 0xDBD5B7DD, 0x6DEADBEE, 0x36F56DF7, 0x9B7AB6FB, 0x4DBD5B7D, 0x26DEADBE},
		0x544409D6: {0x2A2204EB, 0x95110275, 0xCA88813A, 0x6544409D},
	} {
		k := start
		for i, w := range want {
			if k = step(k); k != w {
				t.Errorf("%08X after %d steps is %08X, want %08X", start, i+1, k, w)
			}
		}
	}
	// A recording's key after its first block of 72 lines.
	if k := skip(0x544409D6, 72*width); k != 0xE42835F8 {
		t.Errorf("after 72 lines the key is %08X", k)
	}
}

func TestKeystream(t *testing.T) {
	for start, want := range map[uint32]string{
		0xDEADBEEF: "34 DF EF 53 EE BF 61 7F",
		0x544409D6: "17 A0 41 03 D9 A0 40 25 98 60 52 84 B8 60 8B 14",
	} {
		k := start
		for i, w := range wire(t, want) {
			if got := keystream(k); got != w {
				t.Errorf("byte %d from %08X is %02X, want %02X", i, start, got, w)
			}
			k = step(k)
		}
	}
}

// The first bytes of a recording are the edge of the window, which is black.
func TestDescramble(t *testing.T) {
	b := wire(t, "86 17 A0 41 03 D9 A0 40 25 98 60 52 84 B8 60 8B")
	if k := descramble(b, 0x544409D6); k != skip(0x544409D6, 16) {
		t.Errorf("the key went to %08X", k)
	}
	if !bytes.Equal(b, make([]byte, 16)) {
		t.Errorf("uncovered: % X", b)
	}
	if k := descramble(nil, 7); k != 7 {
		t.Errorf("nothing moved the key to %08X", k)
	}
}

// A recorded handshake.
func TestRespond(t *testing.T) {
	got, err := respond([16]byte(wire(t, "4D AE 5A 0B 12 47 A8 6C 9F BF 29 FD CC 17 8A 74")))
	if want := wire(t, "32 93 51 37 1E 4A DF B1 F3 5F 09 F3 29 C6 AB 46"); err != nil || !bytes.Equal(got[:], want) {
		t.Errorf("% X, %v; want % X", got, err, want)
	}
}

// recorded is the header of a U.are.U 4500.
const recorded = "10408001 2101 00 00C47A10C0005700C7 0248 0001 0231 0101 0001 0231 0001 0274 0000" +
	"104080015A000000C47A300000003826054D0206057B0000050218401031"

// noKey is asked in vain.
func noKey(byte) (uint32, error) { return 0, errors.New("no key") }

func TestFrame(t *testing.T) {
	b := append(wire(t, recorded), make([]byte, 289*width)...)
	f, err := parseFrame(b)
	if err != nil {
		t.Fatal(err)
	}
	want := []block{{2, 72}, {0, 1}, {2, 49}, {1, 1}, {0, 1}, {2, 49}, {0, 1}, {2, 116}}
	if f.key != 0 || !slices.Equal(f.blocks, want) || len(f.pixels) != 289*width {
		t.Errorf("key %d, blocks %v, %d pixels", f.key, f.blocks, len(f.pixels))
	}
	// Number the lines, so that one sees where they go.
	for i := range f.pixels {
		f.pixels[i] = byte(i / width % 100)
	}
	pixels, err := f.decode(noKey) // clear
	if err != nil || len(pixels) != width*height {
		t.Fatalf("%d pixels, %v", len(pixels), err)
	}
	for line, want := range map[int]byte{0: 0, 121: 21, 122: 22, 123: 22, 124: 23, 289: 88} {
		if got := pixels[line*width]; got != want {
			t.Errorf("line %d of the picture is %d, want %d", line, got, want)
		}
	}
}

func TestDamagedFrames(t *testing.T) {
	for name, spoil := range map[string]func(b []byte) []byte{
		"empty":             func([]byte) []byte { return nil },
		"header alone":      func(b []byte) []byte { return b[:headerSize] },
		"cut":               func(b []byte) []byte { return b[:len(b)-1] },
		"wide":              func(b []byte) []byte { b[2]++; return b },
		"other header":      func(b []byte) []byte { b[1] = 32; return b },
		"too many lines":    func(b []byte) []byte { b[4]++; return b },
		"blocks of more":    func(b []byte) []byte { b[17]++; return b },
		"block of too many": func(b []byte) []byte { b[23] = 255; return b },
	} {
		t.Run(name, func(t *testing.T) {
			b := spoil(append(wire(t, recorded), make([]byte, 289*width)...))
			if _, err := parseFrame(b); !errors.Is(err, errFrame) {
				t.Errorf("taken as sound: %v", err)
			}
		})
	}
}

// Whatever a reader sends is a whole picture or an error.
func FuzzFrame(f *testing.F) {
	f.Add(append(wire(f, recorded), make([]byte, 289*width)...), uint32(0x544409D6))
	f.Add(wire(f, recorded), uint32(1))
	short := append(wire(f, recorded)[:16], make([]byte, headerSize+2*width)...)
	short[4], short[5] = 2, 0
	short[16], short[17] = 0x82, 2
	f.Add(short, uint32(7))
	f.Fuzz(func(t *testing.T, b []byte, key uint32) {
		sent, err := parseFrame(b)
		if err != nil {
			return
		}
		pixels, err := sent.decode(func(byte) (uint32, error) { return key, nil })
		if err != nil || len(pixels) != width*height {
			t.Errorf("%d pixels, %v", len(pixels), err)
		}
	})
}

func FuzzEvent(f *testing.F) {
	f.Add([]byte{0x56, 0xAA, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		ev, ok := parseEvent(b)
		if ok != (len(b) >= 2) || ok && (byte(ev>>8) != b[0] || byte(ev) != b[1]) {
			t.Errorf("% X is %04X, %v", b, ev, ok)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	sent := append(wire(b, recorded), make([]byte, 289*width)...)
	for i := range sent[headerSize:] { // noise, so that it counts as scrambled
		sent[headerSize+i] = byte(i * i >> 3)
	}
	b.SetBytes(width * height)
	for b.Loop() {
		f, err := parseFrame(sent)
		if err == nil {
			_, err = f.decode(func(byte) (uint32, error) { return 1, nil })
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
