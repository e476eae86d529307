package zfm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Kinds of packets.
const (
	kindCommand = 0x01
	kindData    = 0x02 // more follow
	kindAnswer  = 0x07
	kindLast    = 0x08 // the last data
)

// maxPayload is the most a packet carries, without its checksum.
const maxPayload = 256

// maxNoise bounds what is skipped in search of a header.
const maxNoise = 1024

// errFraming: what came is no packet, or one that was damaged on the way.
var errFraming = errors.New("damaged packet")

// encode returns a packet: header EF 01, address, kind, length of payload and
// checksum, payload, checksum over kind, length and payload; all numbers big
// endian.
func encode(address uint32, kind byte, payload []byte) []byte {
	b := append(make([]byte, 0, 11+len(payload)), 0xEF, 0x01)
	b = binary.BigEndian.AppendUint32(b, address)
	length := len(payload) + 2
	b = append(b, kind, byte(length>>8), byte(length))
	b = append(b, payload...)
	return binary.BigEndian.AppendUint16(b, checksum(kind, payload))
}

func checksum(kind byte, payload []byte) uint16 {
	length := len(payload) + 2
	sum := uint16(kind) + uint16(length>>8) + uint16(length&0xFF)
	for _, b := range payload {
		sum += uint16(b)
	}
	return sum
}

// A packet is what came from the module. Its payload is valid until the next
// readPacket into the same buffer.
type packet struct {
	kind    byte
	payload []byte
}

// A buffer holds one packet's payload and checksum, and what is before them.
type buffer [maxPayload + 2]byte

// readPacket reads the next packet from the module at address. Bytes before its
// header are skipped: modules greet with a stray 55. It fails with errFraming,
// having read no more than maxNoise and one packet, or as r does.
func readPacket(r io.Reader, address uint32, buf *buffer) (packet, error) {
	if err := skipToHeader(r, buf); err != nil {
		return packet{}, err
	}
	head := buf[:7]
	if _, err := io.ReadFull(r, head); err != nil {
		return packet{}, err
	}
	from, kind, length := binary.BigEndian.Uint32(head), head[4], int(binary.BigEndian.Uint16(head[5:]))
	switch {
	case from != address:
		return packet{}, fmt.Errorf("%w: from module %08X, not %08X", errFraming, from, address)
	case length < 3 || length > len(buf):
		return packet{}, fmt.Errorf("%w: length %d", errFraming, length)
	}
	body := buf[:length]
	if _, err := io.ReadFull(r, body); err != nil {
		return packet{}, err
	}
	payload := body[:length-2]
	if got, want := binary.BigEndian.Uint16(body[length-2:]), checksum(kind, payload); got != want {
		return packet{}, fmt.Errorf("%w: checksum %04X, not %04X", errFraming, got, want)
	}
	return packet{kind, payload}, nil
}

// skipToHeader reads up to and including the header EF 01.
func skipToHeader(r io.Reader, buf *buffer) error {
	var before byte
	for range maxNoise {
		if _, err := io.ReadFull(r, buf[:1]); err != nil {
			return err
		}
		if before == 0xEF && buf[0] == 0x01 {
			return nil
		}
		before = buf[0]
	}
	return fmt.Errorf("%w: no header in %d bytes", errFraming, maxNoise)
}
