package gt511

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
)

// wire reads bytes written as in a manual.
func wire(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCommandsOnTheWire(t *testing.T) {
	tests := []struct {
		command   uint16
		parameter uint32
		want      string
	}{
		{cmdOpen, 1, "55 AA 01 00 01 00 00 00 01 00 02 01"},
		{cmdOpen, 0, "55 AA 01 00 00 00 00 00 01 00 01 01"},
		{cmdClose, 0, "55 AA 01 00 00 00 00 00 02 00 02 01"},
		{cmdChangeBaudrate, 115200, "55 AA 01 00 00 C2 01 00 04 00 C7 01"},
		{cmdChangeBaudrate, 57600, "55 AA 01 00 00 E1 00 00 04 00 E5 01"},
		{cmdCmosLed, 1, "55 AA 01 00 01 00 00 00 12 00 13 01"},
		{cmdCmosLed, 0, "55 AA 01 00 00 00 00 00 12 00 12 01"},
		{cmdIsPressFinger, 0, "55 AA 01 00 00 00 00 00 26 00 26 01"},
		{cmdCaptureFinger, 1, "55 AA 01 00 01 00 00 00 60 00 61 01"},
		{cmdCaptureFinger, 0, "55 AA 01 00 00 00 00 00 60 00 60 01"},
		{cmdGetImage, 0, "55 AA 01 00 00 00 00 00 62 00 62 01"},
		{cmdGetRawImage, 0, "55 AA 01 00 00 00 00 00 63 00 63 01"},
	}
	for _, tt := range tests {
		if got := encode(tt.parameter, tt.command); !bytes.Equal(got, wire(t, tt.want)) {
			t.Errorf("command %02X is % X, want %s", tt.command, got, tt.want)
		}
	}
}

func TestAnswers(t *testing.T) {
	tests := map[string]struct {
		wire      string
		parameter uint32
		err       error
	}{
		"ack":           {"55 AA 01 00 00 00 00 00 30 00 30 01", 0, nil},
		"finger absent": {"55 AA 01 00 12 10 00 00 30 00 52 01", 0x1012, nil},
		"nack absent":   {"55 AA 01 00 12 10 00 00 31 00 53 01", 0, faultNoFinger},
		"nack unknown":  {"55 AA 01 00 0E 10 00 00 31 00 4F 01", 0, fault(0x100E)},
		"nack line":     {"55 AA 01 00 06 10 00 00 31 00 47 01", 0, faultCommunication},
		"after noise":   {"00 55 55 AA 01 00 00 00 00 00 30 00 30 01", 0, nil},
		"bad checksum":  {"55 AA 01 00 00 00 00 00 30 00 31 01", 0, errFraming},
		"other device":  {"55 AA 02 00 00 00 00 00 30 00 31 01", 0, errFraming},
		"no answer":     {"55 AA 01 00 00 00 00 00 26 00 26 01", 0, errFraming},
		"cut":           {"55 AA 01 00 00 00 00 00 30 00 30", 0, io.ErrUnexpectedEOF},
		"noise alone":   {strings.Repeat("55 ", maxNoise+1), 0, errFraming},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := readAnswer(bytes.NewReader(wire(t, tt.wire)))
			if got != tt.parameter || !errors.Is(err, tt.err) {
				t.Errorf("%X, %v; want %X, %v", got, err, tt.parameter, tt.err)
			}
		})
	}
}

func TestIdentityOnTheWire(t *testing.T) {
	b := make([]byte, identitySize)
	packet := wire(t, "5A A5 01 00 06 08 13 20 00 00 00 00 00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F B9 01")
	if err := readData(bytes.NewReader(packet), b); err != nil {
		t.Fatal(err)
	}
	id, err := parseIdentity(b)
	if want := (identity{"20130806", "000102030405060708090A0B0C0D0E0F"}); err != nil || id != want {
		t.Errorf("%+v, %v; want %+v", id, err, want)
	}
	packet[12] ^= 1
	if err := readData(bytes.NewReader(packet), b); !errors.Is(err, errFraming) {
		t.Errorf("a damaged packet: %v", err)
	}
}

// What is read as an answer is in the input, as the module would write it.
func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte{0, 0x55, 0xAA, 1, 0, 0, 0, 0, 0, 0x30, 0, 0x30, 1})
	f.Add(encode(uint32(faultNoFinger), nack))
	f.Fuzz(func(t *testing.T, b []byte) {
		parameter, err := readAnswer(bytes.NewReader(b))
		kind := uint16(ack)
		if fault, refused := errors.AsType[fault](err); refused {
			parameter, kind = uint32(fault), nack
		} else if err != nil {
			return
		}
		if !bytes.Contains(b, encode(parameter, kind)) {
			t.Errorf("% X was read as %X, kind %X", b, parameter, kind)
		}
	})
}

// What is read as data is in the input, behind the header.
func FuzzReadData(f *testing.F) {
	f.Add([]byte{0x5A, 0xA5, 1, 0, 7, 0x07, 0x01}, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
		data := make([]byte, n)
		if readData(bytes.NewReader(b), data) == nil && !bytes.Equal(b[4:4+len(data)], data) {
			t.Errorf("% X was read as % X", b, data)
		}
	})
}

// Whatever a module says of itself can be shown on a screen.
func FuzzParseIdentity(f *testing.F) {
	f.Add(make([]byte, identitySize))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := parseIdentity(b)
		if (err == nil) != (len(b) == identitySize) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
		if strings.Trim(id.firmware+id.serial, "0123456789ABCDEF") != "" {
			t.Errorf("%+v is not in hexadecimal", id)
		}
	})
}
