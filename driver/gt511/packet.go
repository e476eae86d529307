package gt511

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// deviceID is the address of every module.
const deviceID = 1

// maxNoise bounds what is skipped in search of a header.
const maxNoise = 1024

// errFraming: what came is no packet, or one that was damaged on the way.
var errFraming = errors.New("damaged packet")

// Commands.
const (
	cmdOpen           = 0x01
	cmdClose          = 0x02
	cmdChangeBaudrate = 0x04
	cmdCmosLed        = 0x12
	cmdIsPressFinger  = 0x26
	cmdCaptureFinger  = 0x60
	cmdGetImage       = 0x62
	cmdGetRawImage    = 0x63
)

// Answers, in the place of a command.
const (
	ack  = 0x30
	nack = 0x31
)

// encode returns the 12 bytes of a command or an answer: 55 AA, device,
// parameter (4), command (2), sum of the bytes before; little endian.
func encode(parameter uint32, command uint16) []byte {
	b := append(make([]byte, 0, 12), 0x55, 0xAA)
	b = binary.LittleEndian.AppendUint16(b, deviceID)
	b = binary.LittleEndian.AppendUint32(b, parameter)
	b = binary.LittleEndian.AppendUint16(b, command)
	return binary.LittleEndian.AppendUint16(b, sum(b))
}

func sum(b []byte) uint16 {
	var total uint16
	for _, v := range b {
		total += uint16(v)
	}
	return total
}

// readAnswer reads the next answer and returns its parameter. A nack is a fault;
// errFraming says that what came, up to maxNoise bytes, is no answer. Other
// errors are those of r.
func readAnswer(r io.Reader) (uint32, error) {
	var b [12]byte
	if err := skipTo(r, 0x55, 0xAA); err != nil {
		return 0, err
	}
	b[0], b[1] = 0x55, 0xAA
	if _, err := io.ReadFull(r, b[2:]); err != nil {
		return 0, err
	}
	parameter, kind := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint16(b[8:])
	switch got, want := binary.LittleEndian.Uint16(b[10:]), sum(b[:10]); {
	case got != want:
		return 0, fmt.Errorf("%w: checksum %04X, not %04X", errFraming, got, want)
	case binary.LittleEndian.Uint16(b[2:]) != deviceID:
		return 0, fmt.Errorf("%w: from device %X", errFraming, b[2:4])
	case kind == nack:
		return 0, fault(parameter)
	case kind != ack:
		return 0, fmt.Errorf("%w: kind %04X is no answer", errFraming, kind)
	}
	return parameter, nil
}

// readData reads a data packet into data, whose length both sides know: 5A A5,
// device, data, sum of all before. It must follow its answer at once.
func readData(r io.Reader, data []byte) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	if head != [4]byte{0x5A, 0xA5, deviceID, 0} {
		return fmt.Errorf("%w: % X where data begins", errFraming, head)
	}
	if _, err := io.ReadFull(r, data); err != nil {
		return err
	}
	var tail [2]byte
	if _, err := io.ReadFull(r, tail[:]); err != nil {
		return err
	}
	if got, want := binary.LittleEndian.Uint16(tail[:]), sum(head[:])+sum(data); got != want {
		return fmt.Errorf("%w: data checksum %04X, not %04X", errFraming, got, want)
	}
	return nil
}

// skipTo reads up to and including the two bytes.
func skipTo(r io.Reader, first, second byte) error {
	var before byte
	var b [1]byte
	for range maxNoise {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return err
		}
		if before == first && b[0] == second {
			return nil
		}
		before = b[0]
	}
	return fmt.Errorf("%w: no header in %d bytes", errFraming, maxNoise)
}

// An identity is what a module tells of itself on being opened.
type identity struct {
	firmware string // digits of a date: 20130806
	serial   string // hexadecimal, "" where it is all zeros
}

const identitySize = 24

// parseIdentity reads the firmware version (4 bytes of digits, little endian),
// the size of the ISO area (4) and the serial number (16).
func parseIdentity(b []byte) (identity, error) {
	if len(b) != identitySize {
		return identity{}, fmt.Errorf("%w: %d bytes of identity, not %d", errFraming, len(b), identitySize)
	}
	id := identity{firmware: fmt.Sprintf("%08X", binary.LittleEndian.Uint32(b))}
	if serial := fmt.Sprintf("%X", b[8:]); strings.Trim(serial, "0") != "" {
		id.serial = serial
	}
	return id, nil
}

// A fault is the parameter of a nack.
type fault uint32

const (
	faultCommunication fault = 0x1006
	faultBadFinger     fault = 0x100C
	faultDevice        fault = 0x100F
	faultNoFinger      fault = 0x1012
)

var faultTexts = map[fault]string{
	0x1001:             "timeout",
	0x1002:             "invalid baud rate",
	faultCommunication: "communication error",
	faultBadFinger:     "bad finger",
	0x100E:             "command not supported",
	faultDevice:        "device error",
	0x1010:             "cancelled",
	0x1011:             "invalid parameter",
	faultNoFinger:      "finger is not pressed",
}

// Error says what the module refused.
func (f fault) Error() string {
	if text, ok := faultTexts[f]; ok {
		return "module answers: " + text
	}
	return fmt.Sprintf("module answers: error %04X", uint32(f))
}
