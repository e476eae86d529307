// Package remote lets drivers run in a helper program. libusb is C: where it is
// missing a program that is linked with it does not start at all, and where it
// crashes or hangs, that program does. The helper, sbid-usb, takes that upon
// itself; sbid starts it, talks to it over its standard input and output, ends it
// when it hangs, and starts it again.
//
// Serve is the helper's side. A Helper is the daemon's: its drivers are known by
// name also while no helper runs, so that somebody can be told why.
//
// # Messages
//
// A message is the length of its head and of its pixels, four bytes each, big
// endian; the head, JSON; the pixels. The helper begins with a hello that has
// the protocol's version. Every other message belongs to a call, by its number:
//
//	probe  →  done with scanners
//	open   →  done with a scanner's number
//	close  →  done
//	frames →  frame, and the next after each more; done at the end
//	cancel →  the call ends soon
//
// A failed call is done with an error: which of package driver's it is, and its
// text.
package remote

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"sbid/driver"
)

const (
	version = 1
	// maxHead bounds a head in bytes: a few scanners, described.
	maxHead = 1 << 16
	// maxPixels bounds those of one frame in bytes: a face camera's, with room.
	maxPixels = 1 << 26
)

// Verbs.
const (
	verbHello  = "hello"
	verbProbe  = "probe"
	verbOpen   = "open"
	verbClose  = "close"
	verbFrames = "frames"
	verbMore   = "more"
	verbCancel = "cancel"
	verbFrame  = "frame"
	verbDone   = "done"
)

// errProtocol: what came is no message, or not one that was due.
var errProtocol = errors.New("helper protocol")

// A head says what a message is. Which members are used depends on the verb.
type head struct {
	Verb    string         `json:"verb"`
	Call    uint64         `json:"call,omitempty"`
	Version int            `json:"version,omitempty"`
	Driver  string         `json:"driver,omitempty"`
	Addr    string         `json:"addr,omitempty"`
	Scanner uint64         `json:"scanner,omitempty"`
	Target  *driver.Target `json:"target,omitempty"`
	Infos   []driver.Info  `json:"infos,omitempty"`
	Frame   *frame         `json:"frame,omitempty"`
	Failure *failure       `json:"failure,omitempty"`
}

// A message is a head, and the pixels of its frame.
type message struct {
	head

	pixels []byte
}

// readMessage fails with errProtocol, having taken no more memory than the
// bounds, or as r does.
func readMessage(r io.Reader) (message, error) {
	var lengths [8]byte
	if _, err := io.ReadFull(r, lengths[:]); err != nil {
		return message{}, err
	}
	h, p := binary.BigEndian.Uint32(lengths[:]), binary.BigEndian.Uint32(lengths[4:])
	if h > maxHead || p > maxPixels {
		return message{}, fmt.Errorf("%w: a message of %d and %d bytes", errProtocol, h, p)
	}
	text := make([]byte, h)
	if _, err := io.ReadFull(r, text); err != nil {
		return message{}, err
	}
	var m message
	if err := json.Unmarshal(text, &m.head); err != nil {
		return message{}, fmt.Errorf("%w: %w", errProtocol, err)
	}
	pixels, err := readPixels(r, int(p))
	m.pixels = pixels
	return m, err
}

// chunk is how much memory is taken on the strength of a claimed length alone.
const chunk = 1 << 20

func readPixels(r io.Reader, n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	b := make([]byte, 0, min(n, chunk))
	for len(b) < n {
		piece := min(n-len(b), chunk)
		b = append(b, make([]byte, piece)...)
		if _, err := io.ReadFull(r, b[len(b)-piece:]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// writeMessage writes a message in one call. Callers see to it that one is
// written at a time.
func writeMessage(w io.Writer, m message) error {
	text, err := json.Marshal(m.head)
	if err != nil {
		return fmt.Errorf("%w: %w", errProtocol, err)
	}
	if len(text) > maxHead || len(m.pixels) > maxPixels {
		return fmt.Errorf("%w: a message of %d and %d bytes", errProtocol, len(text), len(m.pixels))
	}
	b := make([]byte, 0, 8+len(text)+len(m.pixels))
	b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.pixels)))
	b = append(append(b, text...), m.pixels...)
	_, err = w.Write(b)
	return err
}
