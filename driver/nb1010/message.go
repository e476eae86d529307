package nb1010

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"sbid/driver"
	"sbid/driver/internal/usb"
)

// Codes of messages. What 0D does is not known, but that a capture needs it.
const (
	codePrepare  = 0x0D
	codeCapture  = 0x12
	codeDone     = 0x20 // the answer to both
	codeLines    = 0x21 // two lines of a picture
	codePresence = 0x37 // the answer to codeContact
	codeContact  = 0x38
)

const (
	bulkOut = 0x02
	bulkIn  = 0x83

	headSize    = 8
	answerSize  = 16
	messageSize = 540 // of codeLines
	// readSize is a multiple of the endpoint's packets that holds any message.
	readSize = 1024
)

// errFraming: what came is no message, or not the one that was due.
var errFraming = fmt.Errorf("%w: damaged message", driver.ErrBroken)

// encode returns a message: 80, code, sequence number, 00, length of the whole in
// four bytes, little endian, body. The reader gives the number back and does not
// look at it.
func encode(code, sequence byte, body ...byte) []byte {
	b := []byte{0x80, code, sequence, 0}
	b = binary.LittleEndian.AppendUint32(b, uint32(headSize+len(body)))
	return append(b, body...)
}

// Commands, with the numbers that a recording has.
var (
	askContact = encode(codeContact, 1)
	prepare    = encode(codePrepare, 3, 0, 4, 0, 0)
	capture    = encode(codeCapture, 4,
		2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0)
)

// parse cuts the first message off b, and checks it. It returns what follows;
// message is nil when more has to be read.
func parse(b []byte, code byte, size int) (message, rest []byte, err error) {
	if len(b) < headSize {
		return nil, b, nil
	}
	if n := binary.LittleEndian.Uint32(b[4:]); b[0] != 0x80 || b[1] != code || n != uint32(size) {
		return nil, nil, fmt.Errorf("%w: code %02x of %d bytes, not %02x of %d", errFraming, b[1], n, code, size)
	}
	if len(b) < size {
		return nil, b, nil
	}
	return b[:size], b[size:], nil
}

// A reader is the conversation with one device. Messages may be cut and joined
// by transfers in any way.
type reader struct {
	usb.Device

	answer time.Duration // patience with one transfer
	buf    []byte        // what was read and not parsed
	space  [readSize]byte
	astray bool // an answer may still come that nobody waits for
}

// emptyReads bounds transfers without a byte in the wait for one message.
const emptyReads = 3

// next reads the next message, which must be of a code and size. It is valid
// until the next call.
func (r *reader) next(ctx context.Context, code byte, size int) ([]byte, error) {
	for empty := 0; ; {
		message, rest, err := parse(r.buf, code, size)
		if err != nil {
			return nil, err
		}
		r.buf = rest
		if message != nil {
			return message, nil
		}
		n, err := r.read(ctx)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			if empty++; empty > emptyReads {
				return nil, fmt.Errorf("%w: %d empty transfers", errFraming, empty)
			}
		}
	}
}

func (r *reader) read(ctx context.Context) (int, error) {
	ctx, stop := usb.Within(ctx, r.answer)
	defer stop()
	n, err := r.Read(ctx, bulkIn, r.space[:])
	if err == nil {
		r.buf = append(append(make([]byte, 0, len(r.buf)+n), r.buf...), r.space[:n]...)
	}
	return n, err
}

// ask sends a command and returns the answer.
func (r *reader) ask(ctx context.Context, command []byte, code byte) ([]byte, error) {
	wait, stop := usb.Within(ctx, r.answer)
	defer stop()
	if err := r.Write(wait, bulkOut, command); err != nil {
		return nil, err
	}
	return r.next(ctx, code, answerSize)
}

const (
	silence  = 50 * time.Millisecond // after it nothing more comes
	drainFor = 2 * time.Second
)

// errNoise: the reader never falls silent.
var errNoise = fmt.Errorf("%w: it sends without being asked", driver.ErrBroken)

// settle drops what still comes of an exchange that was broken off.
func (r *reader) settle(ctx context.Context) error {
	if !r.astray {
		return nil
	}
	r.buf = nil
	for end := time.Now().Add(drainFor); time.Now().Before(end); {
		wait, stop := usb.Within(ctx, silence)
		_, err := r.Read(wait, bulkIn, r.space[:])
		stop()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, usb.ErrTimeout):
			r.astray = false
			return nil
		case err != nil && !errors.Is(err, usb.ErrStall) && !errors.Is(err, usb.ErrTransfer):
			return err
		}
	}
	return errNoise
}
