package nb1010

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
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

func TestCommandsOnTheWire(t *testing.T) {
	for want, got := range map[string][]byte{
		"80 38 01 00 08 00 00 00":             askContact,
		"80 0D 03 00 0C 00 00 00 00 04 00 00": prepare,
		"80 12 04 00 20 00 00 00 02 00 00 00" + strings.Repeat(" 00", 16) + " 20 00 00 00": capture,
	} {
		if !bytes.Equal(got, wire(t, want)) {
			t.Errorf("% X, want %s", got, want)
		}
	}
}

const (
	presence = "80 37 01 00 10 00 00 00 00 00 00 00 F7 00 00 00"
	done     = "80 20 04 00 10 00 00 00 00 00 00 00 03 00 00 00"
)

func TestAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		wire    string
		code    byte
		message int // bytes; 0: more are needed
		rest    int
		err     error
	}{
		"presence":     {presence, codePresence, 16, 0, nil},
		"joined":       {done + presence, codeDone, 16, 16, nil},
		"cut in head":  {done[:8], codeDone, 0, 3, nil},
		"cut in body":  {done[:35], codeDone, 0, 12, nil},
		"another":      {done, codePresence, 0, 0, errFraming},
		"no message":   {"00" + presence[2:], codePresence, 0, 0, errFraming},
		"other length": {"80 37 01 00 11 00 00 00", codePresence, 0, 0, errFraming},
		"huge length":  {"80 37 01 00 FF FF FF FF", codePresence, 0, 0, errFraming},
	} {
		t.Run(name, func(t *testing.T) {
			message, rest, err := parse(wire(t, tt.wire), tt.code, answerSize)
			if len(message) != tt.message || len(rest) != tt.rest || !errors.Is(err, tt.err) {
				t.Errorf("%d bytes, %d more, %v; want %d, %d, %v", len(message), len(rest), err, tt.message, tt.rest, tt.err)
			}
		})
	}
}

// line is a message with two lines as recorded, but for the pixels.
func line(t testing.TB, first uint32, more byte) []byte {
	t.Helper()
	b := append(wire(t, "80 21 00 00 1C 02 00 00 00 00 00 00"), more, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, first)
	b = append(b, wire(t, "00 01 00 00 01")...)
	b = append(b, bytes.Repeat([]byte{0xAB}, 512)...)
	return append(b, 0, 0, 0)
}

func TestLines(t *testing.T) {
	for first, more := range map[int]byte{0: 1, 90: 1, 178: 0} {
		pixels, err := parseLines(line(t, uint32(first+1), more), first)
		if err != nil || !bytes.Equal(pixels, bytes.Repeat([]byte{0xAB}, 2*width)) {
			t.Errorf("line %d: %d pixels, %v", first, len(pixels), err)
		}
	}
	for name, b := range map[string][]byte{
		"out of order": line(t, 5, 1),
		"too early":    line(t, 1, 0),
		"short":        line(t, 1, 1)[:539],
	} {
		if _, err := parseLines(b, 0); !errors.Is(err, errFraming) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever comes is a message of the size that was due, or an error, or too
// little.
func FuzzMessage(f *testing.F) {
	f.Add(wire(f, presence), byte(codePresence), false)
	f.Add(line(f, 1, 1), byte(codeLines), true)
	f.Fuzz(func(t *testing.T, b []byte, code byte, large bool) {
		size := answerSize
		if large {
			size = messageSize
		}
		message, rest, err := parse(b, code, size)
		if err == nil && message != nil && (len(message) != size || !bytes.Equal(append(bytes.Clone(message), rest...), b)) {
			t.Errorf("%d bytes became %d and %d", len(b), len(message), len(rest))
		}
		if pixels, err := parseLines(b, 0); err == nil && len(pixels) != 2*width {
			t.Errorf("%d pixels", len(pixels))
		}
	})
}
