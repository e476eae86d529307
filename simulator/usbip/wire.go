package usbip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// Commands of the URB phase.
const (
	cmdSubmit = 1
	cmdUnlink = 2
	retSubmit = 3
	retUnlink = 4
)

const (
	headerSize = 48
	// maxTransfer bounds one buffer: more than any host here offers at once.
	maxTransfer = 1 << 22
)

// errProtocol: what came is no USB/IP message, or one that is not spoken here.
var errProtocol = errors.New("usb/ip protocol")

// A message is a header of the URB phase: 48 bytes, big endian but for the setup
// packet. Which members are used depends on the command.
type message struct {
	command  uint32
	seq      uint32
	device   uint32
	in       bool
	endpoint uint32 // number, without direction
	status   int32  // of an answer: 0 or a negative errno
	victim   uint32 // seq of the message to unlink
	length   uint32 // of the buffer; in an answer: of what was carried
	packets  uint32 // isochronous ones
	setup    [8]byte
}

func parseMessage(b *[headerSize]byte) (message, error) {
	word := func(i int) uint32 { return binary.BigEndian.Uint32(b[i:]) }
	m := message{command: word(0), seq: word(4), device: word(8), in: word(12) != 0, endpoint: word(16)}
	switch m.command {
	case cmdSubmit, retSubmit:
		m.length, m.packets = word(24), word(32)
		m.setup = [8]byte(b[40:])
		if m.packets != 0 && m.packets != 0xFFFFFFFF {
			return message{}, fmt.Errorf("%w: isochronous transfers are not emulated", errProtocol)
		}
		if m.length > maxTransfer {
			return message{}, fmt.Errorf("%w: a buffer of %d bytes", errProtocol, m.length)
		}
	case cmdUnlink, retUnlink:
	default:
		return message{}, fmt.Errorf("%w: command %d", errProtocol, m.command)
	}
	switch m.command {
	case cmdUnlink:
		m.victim = word(20)
	case retSubmit, retUnlink:
		m.status = int32(word(20))
	}
	if m.endpoint > 15 {
		return message{}, fmt.Errorf("%w: endpoint %d", errProtocol, m.endpoint)
	}
	return m, nil
}

func readMessage(r io.Reader) (message, error) {
	var b [headerSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return message{}, err
	}
	return parseMessage(&b)
}

// append returns b with the message, whose data the caller adds.
func (m message) append(b []byte) []byte {
	var direction uint32
	if m.in {
		direction = 1
	}
	fifth := uint32(m.status)
	if m.command == cmdUnlink {
		fifth = m.victim
	}
	for _, w := range []uint32{m.command, m.seq, m.device, direction, m.endpoint, fifth, m.length, 0, m.packets, 0} {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return append(b, m.setup[:]...)
}

// address is that of the endpoint as descriptors have it; 0 for both directions
// of endpoint 0.
func (m message) address() byte {
	if m.in && m.endpoint != 0 {
		return 0x80 | byte(m.endpoint)
	}
	return byte(m.endpoint)
}

func parseSetup(b [8]byte) Setup {
	return Setup{
		Type: b[0], Request: b[1],
		Value:  binary.LittleEndian.Uint16(b[2:]),
		Index:  binary.LittleEndian.Uint16(b[4:]),
		Length: binary.LittleEndian.Uint16(b[6:]),
	}
}

func (s Setup) bytes() (b [8]byte) {
	b[0], b[1] = s.Type, s.Request
	binary.LittleEndian.PutUint16(b[2:], s.Value)
	binary.LittleEndian.PutUint16(b[4:], s.Index)
	binary.LittleEndian.PutUint16(b[6:], s.Length)
	return b
}

// Statuses of an answer, which are Linux error numbers everywhere.
const (
	statusStall     = -32
	statusProtocol  = -71
	statusBabble    = -75
	statusCancelled = -104
)

// errnoOf is a status as a Go error.
func errnoOf(status int32) error {
	switch status {
	case 0:
		return nil
	case statusStall:
		return syscall.EPIPE
	case statusBabble:
		return syscall.EOVERFLOW
	case statusCancelled:
		return syscall.ECONNRESET
	case statusProtocol:
		return syscall.EPROTO
	}
	return fmt.Errorf("transfer failed with status %d", status)
}
