package zfm

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"sbid/driver/internal/raster"
)

const everyone = 0xFFFFFFFF

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
	for want, payload := range map[string][]byte{
		"EF 01 FF FF FF FF 01 00 07 13 00 00 00 00 00 1B": binary.BigEndian.AppendUint32([]byte{vfyPwd}, 0),
		"EF 01 FF FF FF FF 01 00 03 0F 00 13":             {readSysPara},
		"EF 01 FF FF FF FF 01 00 05 0E 06 03 00 1D":       {setSysPara, registerPacketSize, 3},
		"EF 01 FF FF FF FF 01 00 05 0E 04 0C 00 24":       {setSysPara, registerBaud, 12},
		"EF 01 FF FF FF FF 01 00 03 01 00 05":             {genImg},
		"EF 01 FF FF FF FF 01 00 03 0A 00 0E":             {upImage},
		"EF 01 FF FF FF FF 01 00 03 3C 00 40":             {readProdInfo},
		"EF 01 FF FF FF FF 01 00 03 3A 00 3E":             {getFwVer},
		"EF 01 FF FF FF FF 01 00 03 36 00 3A":             {checkSensor},
		"EF 01 FF FF FF FF 01 00 03 30 00 34":             {cancel},
		"EF 01 FF FF FF FF 01 00 07 35 01 80 02 00 00 C0": auraOn,
		"EF 01 FF FF FF FF 01 00 07 35 04 00 01 00 00 42": auraOff,
	} {
		if got := encode(everyone, kindCommand, payload); !bytes.Equal(got, wire(t, want)) {
			t.Errorf("command %02X is % X, want %s", payload[0], got, want)
		}
	}
}

func TestPackets(t *testing.T) {
	white := bytes.Repeat([]byte{0xF0}, 128)
	tests := map[string]struct {
		wire    string
		kind    byte
		payload []byte
		err     error
	}{
		"ok":           {"EF 01 FF FF FF FF 07 00 03 00 00 0A", kindAnswer, []byte{0}, nil},
		"no finger":    {"EF 01 FF FF FF FF 07 00 03 02 00 0C", kindAnswer, []byte{2}, nil},
		"sensor fault": {"EF 01 FF FF FF FF 07 00 03 29 00 33", kindAnswer, []byte{0x29}, nil},
		"data":         {"EF 01 FF FF FF FF 02 00 82" + hex.EncodeToString(white) + "78 84", kindData, white, nil},
		"last data":    {"EF 01 FF FF FF FF 08 00 82" + hex.EncodeToString(white) + "78 8A", kindLast, white, nil},
		"after noise":  {"55 00 EF EF 01 FF FF FF FF 07 00 03 00 00 0A", kindAnswer, []byte{0}, nil},
		"bad checksum": {"EF 01 FF FF FF FF 07 00 03 00 00 0B", 0, nil, errFraming},
		"elsewhere":    {"EF 01 FF FF FF FE 07 00 03 00 00 0A", 0, nil, errFraming},
		"empty":        {"EF 01 FF FF FF FF 07 00 02 00 09", 0, nil, errFraming},
		"too long":     {"EF 01 FF FF FF FF 07 01 03 00 00 0A", 0, nil, errFraming},
		"cut":          {"EF 01 FF FF FF FF 07 00 03 00 00", 0, nil, io.ErrUnexpectedEOF},
		"nothing":      {"", 0, nil, io.EOF},
		"noise alone":  {strings.Repeat("EF ", maxNoise+1), 0, nil, errFraming},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var buf buffer
			p, err := readPacket(bytes.NewReader(wire(t, tt.wire)), everyone, &buf)
			if p.kind != tt.kind || !bytes.Equal(p.payload, tt.payload) || !errors.Is(err, tt.err) {
				t.Errorf("%+v, %v; want kind %02X of %d bytes, %v", p, err, tt.kind, len(tt.payload), tt.err)
			}
		})
	}
}

func TestPacketSizeOnTheWire(t *testing.T) {
	for in, want := range map[string]int{
		"00 00 00 00 00 C8 00 03 FF FF FF FF 00 02 00 06": 128,
		"00 00 00 00 01 F4 00 03 FF FF FF FF 00 03 00 0C": 256,
		"00 00 00 00 01 F4 00 03 FF FF FF FF 00 04 00 0C": 0,
		"00 00": 0,
	} {
		if got, err := parsePacketSize(wire(t, in)); got != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %d, %v; want %d", in, got, err, want)
		}
	}
}

func TestProductOnTheWire(t *testing.T) {
	var buf buffer
	p, err := readPacket(bytes.NewReader(wire(t, "EF 01 FF FF FF FF 07 00 31 00 52 35 30 33 00 00 00 00 00 00 00 00 00 00 00 00"+
		"30 30 30 31 30 30 30 30 30 30 30 31 01 02 46 50 53 31 39 32 00 00 00 C0 00 C0 06 00 00 C8 07 3A")), everyone, &buf)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseProduct(p.payload[1:])
	want := product{model: "R503", serial: "00000001", width: 192, height: 192}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestGeometryIsNeverGuessed(t *testing.T) {
	tests := map[string]struct {
		bytes               int
		configured, claimed geometry
		want                geometry
		err                 error
	}{
		"optical":             {36864, geometry{}, geometry{}, geometry{256, 288, 500}, nil},
		"r503":                {18432, geometry{}, geometry{}, geometry{192, 192, 508}, nil},
		"r304a":               {29952, geometry{}, geometry{}, geometry{208, 288, 500}, nil},
		"as it says":          {5000, geometry{dpi: 500}, geometry{width: 100, height: 100}, geometry{100, 100, 500}, nil},
		"it says otherwise":   {36864, geometry{}, geometry{width: 192, height: 192}, geometry{256, 288, 500}, nil},
		"configured rate":     {36864, geometry{dpi: 508}, geometry{}, geometry{256, 288, 508}, nil},
		"configured":          {36864, geometry{288, 256, 508}, geometry{width: 256, height: 288}, geometry{288, 256, 508}, nil},
		"unknown":             {5000, geometry{}, geometry{}, geometry{}, errGeometry},
		"configured wrongly":  {5000, geometry{256, 288, 500}, geometry{}, geometry{}, errGeometry},
		"claims odd lines":    {4999, geometry{}, geometry{width: 101, height: 99}, geometry{}, errGeometry},
		"nothing, claimed so": {0, geometry{}, geometry{}, geometry{}, errGeometry},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := geometryOf(tt.bytes, tt.configured, tt.claimed)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%+v, %v; want %+v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

// What is read as a packet is in the input, as the module would write it.
func FuzzReadPacket(f *testing.F) {
	f.Add(wire(f, "55 EF 01 FF FF FF FF 07 00 03 00 00 0A"))
	f.Add(encode(everyone, kindLast, make([]byte, maxPayload)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var buf buffer
		r := bytes.NewReader(b)
		p, err := readPacket(r, everyone, &buf)
		if err == nil && !bytes.HasSuffix(b[:len(b)-r.Len()], encode(everyone, p.kind, p.payload)) {
			t.Errorf("% X was read as %+v", b, p)
		}
		if read := len(b) - r.Len(); read > maxNoise+7+len(buf) {
			t.Errorf("%d bytes were read", read)
		}
	})
}

// Whatever a module says of itself is within bounds and can be shown.
func FuzzParseSettings(f *testing.F) {
	f.Add(make([]byte, 16))
	f.Add(make([]byte, 46))
	f.Fuzz(func(t *testing.T, b []byte) {
		if size, err := parsePacketSize(b); err == nil && (size < 32 || size > maxPayload) {
			t.Errorf("packets of %d bytes", size)
		}
		p, err := parseProduct(b)
		if (err == nil) != (len(b) == 46) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
		for _, r := range p.model + p.serial {
			if r < ' ' || r > '~' {
				t.Errorf("product %+v", p)
			}
		}
	})
}

// An image of any length and any claim becomes a frame of bounded size, or none.
func FuzzFrame(f *testing.F) {
	f.Add(make([]byte, 72), uint16(12), uint16(12), uint16(508))
	f.Fuzz(func(t *testing.T, packed []byte, width, height, dpi uint16) {
		frame, err := frameOf(packed, geometry{dpi: int(max(dpi, 100))}, geometry{width: int(width), height: int(height)}, raster.RidgesUnknown)
		if err != nil {
			return
		}
		if n := frame.Native; n.Width*n.Height != 2*len(packed) {
			t.Errorf("%d bytes became %+v", len(packed), n)
		}
	})
}
