package usb

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"sync"

	"sbid/simulator/usbip"
)

// An NB1010 is a NEXT Biometrics NB-1010-U. Its zero value answers as fast as it
// is asked.
type NB1010 struct{}

// Size of its picture, and of the messages that carry it.
const (
	nbWidth, nbHeight = 256, 180
	nbPacket          = 64
	nbMessage         = 540
)

// StartNB1010 plugs a reader in.
func StartNB1010(socket Socket, o NB1010) (*Twin, error) { return start(socket, o) }

func (o NB1010) size() image.Point { return image.Pt(nbWidth, nbHeight) }

func (o NB1010) powerOn(t *Twin) life { return &nb{twin: t} }

// nb is a reader from plug to unplug.
type nb struct {
	twin *Twin

	said usbip.Queue

	mu       sync.Mutex
	contact  byte // rises over several polls
	prepared bool
}

func (n *nb) Descriptors() usbip.Descriptors {
	return usbip.Descriptors{
		Speed:  usbip.Full,
		Device: []byte{0x12, 1, 0, 2, 0, 0, 0, 0x40, 0x8D, 0x29, 0x10, 0x10, 0x01, 0x00, 1, 2, 0, 1},
		Config: []byte{
			9, 2, 39, 0, 1, 1, 0, 0xA0, 0x32,
			9, 4, 0, 0, 3, 0, 0, 0, 0,
			7, 5, 0x81, 3, 0x40, 0, 5,
			7, 5, 0x02, 2, 0x40, 0, 0,
			7, 5, 0x83, 2, 0x40, 0, 0,
		},
		Strings: usbip.Strings("NEXT Biometrics", "NB-1010-U"),
	}
}

func (n *nb) Control(context.Context, usbip.Setup, []byte) ([]byte, error) {
	return nil, usbip.ErrStall
}

func (n *nb) shown() {}

func (n *nb) In(ctx context.Context, endpoint byte, size int) ([]byte, error) {
	t := n.twin
	switch {
	case endpoint != 0x83 || t.hand.Has(Silent) || t.hand.Has(NoImage):
		<-ctx.Done()
		return nil, context.Cause(ctx)
	case t.hand.Has(Refuse), t.hand.Once(StallOnce):
		return nil, usbip.ErrStall
	case t.hand.Has(Babble):
		return make([]byte, size+nbPacket), nil
	case t.hand.Has(Endless):
		return bytes.Repeat([]byte{0x80}, size), nil
	}
	return n.said.Take(ctx, size)
}

// nbStages of the commands that have one.
var nbStages = map[byte]string{0x38: StageFinger, 0x0D: StageStart, 0x12: StageCapture}

func (n *nb) Out(ctx context.Context, endpoint byte, b []byte) error {
	if endpoint != 0x02 || len(b) < 8 || b[0] != 0x80 || int(binary.LittleEndian.Uint32(b[4:])) != len(b) {
		return usbip.ErrStall
	}
	if err := n.twin.took(ctx, nbStages[b[1]]); err != nil {
		return err
	}
	answer := make([]byte, 16)
	answer[0], answer[2], answer[4] = 0x80, b[2], 16
	body := b[8:]
	switch {
	case b[1] == 0x38 && len(body) == 0:
		answer[1], answer[12] = 0x37, n.touch()
	case b[1] == 0x0D && bytes.Equal(body, []byte{0, 4, 0, 0}):
		answer[1] = 0x20
		n.setPrepared(true)
	case b[1] == 0x12 && bytes.Equal(body, append(append([]byte{2, 0, 0, 0}, make([]byte, 16)...), 0x20, 0, 0, 0)):
		if !n.setPrepared(false) {
			return usbip.ErrStall
		}
		answer[1], answer[12] = 0x20, 3
		n.say(answer)
		return n.image(ctx)
	default:
		return usbip.ErrStall
	}
	n.say(answer)
	return nil
}

// setPrepared returns what was before.
func (n *nb) setPrepared(now bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.prepared
	n.prepared = now
	return before
}

// touch is the contact of a finger, 0 to 255.
func (n *nb) touch() byte {
	there := n.twin.finger() != nil
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case !there:
		n.contact = 0x05
	default:
		n.contact = byte(min(int(n.contact)+0x60, 0xF7))
	}
	return n.contact
}

func (n *nb) say(b []byte) {
	if n.twin.hand.Has(BadHeader) {
		copy(b, []byte{0x80, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F})
	}
	n.said.Put(b, nbPacket)
}

// image sends a picture: two lines a message. Nothing on the sensor is white.
func (n *nb) image(ctx context.Context) error {
	pix := bytes.Repeat([]byte{0xFF}, nbWidth*nbHeight)
	if finger := n.twin.finger(); finger != nil {
		copy(pix, finger.Pix)
	}
	empty, short, tall := n.twin.hand.Once(EmptyOnce), n.twin.hand.Once(ShortOnce), n.twin.hand.Once(TallOnce)
	for line := 0; line < nbHeight; line += 2 {
		m := make([]byte, nbMessage)
		copy(m, []byte{0x80, 0x21})
		binary.LittleEndian.PutUint32(m[4:], nbMessage)
		if line+2 < nbHeight {
			m[12] = 1
		}
		binary.LittleEndian.PutUint32(m[16:], uint32(line+1))
		binary.LittleEndian.PutUint32(m[20:], nbWidth)
		m[24] = 1
		copy(m[25:], pix[line*nbWidth:(line+2)*nbWidth])
		if line == nbHeight/2 {
			if err := n.twin.at(ctx, StageImage); err != nil {
				return err
			}
			switch {
			case n.twin.hand.Has(CutImage):
				return nil
			case empty:
				n.said.Put(nil, nbPacket)
			case short:
				m = m[:100]
			case tall:
				m[16] = 0xFF
			}
		}
		n.say(m)
	}
	return nil
}
