package usb

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/rand"
	"encoding/binary"
	"image"
	"sync"
	"time"

	"sbid/simulator/usbip"
)

// A URU4000 says which reader of the U.are.U family a twin is. The zero value is
// a U.are.U 4500 that sends pictures as fast as they are read.
type URU4000 struct {
	V2       bool          // Microsoft's reader v2, which wants a handshake
	Clear    bool          // sends clear pictures under flags that say scrambled
	NewKey   bool          // changes the key in the middle of each picture
	Interval time.Duration // between pictures; true to life: 130 ms
}

// Size of a picture, and what is around it on the wire.
const (
	uruWidth, uruHeight = 384, 290
	uruHeader           = 64
	uruPacket           = 64
)

// StartURU4000 plugs a reader in.
func StartURU4000(socket Socket, o URU4000) (*Twin, error) { return start(socket, o) }

func (o URU4000) size() image.Point { return image.Pt(uruWidth, uruHeight) }

// What readers told of themselves in recordings.
var (
	uru4500Device = []byte{0x12, 1, 0, 2, 0, 0, 0, 0x40, 0xBA, 0x05, 0x0A, 0x00, 0x03, 0x01, 1, 2, 3, 1}
	uru4500Config = []byte{
		9, 2, 0x20, 0, 1, 1, 0, 0x80, 0x64,
		9, 4, 0, 0, 2, 0xFF, 0xFF, 0xFF, 0,
		7, 5, 0x81, 3, 0x40, 0, 8,
		7, 5, 0x82, 2, 0x40, 0, 0,
	}
	uru4500Info   = []byte{0x1A, 0x0A, 0x1A, 0x0A, 0x01, 0x15, 0, 0, 0, 0x20, 0, 0x10, 0x8B, 0x21, 0x11, 0x30}
	uruV2Info     = []byte{0x50, 0x25, 0x50, 0x25, 0, 0x34, 0, 0, 0, 0x13, 0, 0x59, 0x67, 0x19, 0x18, 0}
	uru4500Header = []byte{
		0x10, 0x40, 0x80, 0x01, 0x21, 0x01, 0x00, 0x00, 0xC4, 0x7A, 0x10, 0xC0, 0x00, 0x57, 0x00, 0xC7,
		0x02, 0x48, 0x00, 0x01, 0x02, 0x31, 0x01, 0x01, 0x00, 0x01, 0x02, 0x31, 0x00, 0x01, 0x02, 0x74,
		0x00, 0x00, 0x10, 0x40, 0x80, 0x01, 0x5A, 0x00, 0x00, 0x00, 0xC4, 0x7A, 0x30, 0x00, 0x00, 0x00,
		0x38, 0x26, 0x05, 0x4D, 0x02, 0x06, 0x05, 0x7B, 0x00, 0x00, 0x05, 0x02, 0x18, 0x40, 0x10, 0x31,
	}
	uruV2Header = []byte{
		0x10, 0x40, 0x80, 0x01, 0x21, 0x01, 0x05, 0x02, 0xB1, 0x75, 0x10, 0xC0, 0x00, 0x1F, 0x01, 0xC7,
		0x02, 0x43, 0x00, 0x01, 0x02, 0x31, 0x01, 0x01, 0x00, 0x01, 0x02, 0x31, 0x00, 0x01, 0x02, 0x79,
		0x00, 0x00, 0x10, 0x40, 0x80, 0x01, 0x5A, 0x00, 0x00, 0x00, 0xB1, 0x75, 0x30, 0x00, 0x00, 0x01,
		0x38, 0x26, 0x05, 0x48, 0x02, 0x02, 0x05, 0x80, 0x00, 0x00, 0x05, 0x01, 0x18, 0x40, 0x10, 0x31,
	}
)

// uruKey is the fixed key of the handshake.
var uruKey = []byte{0x79, 0xAC, 0x91, 0x79, 0x5C, 0xA1, 0x47, 0x8E, 0x98, 0xE0, 0x0F, 0x3C, 0x59, 0x8F, 0x5F, 0x4B}

// uru is a reader from plug to unplug.
type uru struct {
	URU4000

	twin      *Twin
	interrupt usbip.Queue

	mu        sync.Mutex
	status    byte // the register 0007
	mode      byte
	news      chan struct{} // closed when mode changes
	told      bool          // the finger event of this mode was sent
	challenge []byte
	welcome   bool // the handshake was made
	index     byte // number of the key that was asked for
	seed      uint32
	seeded    bool
	rest      []byte // of the picture that is being sent
	sending   bool
	sent      int
}

func (o URU4000) powerOn(t *Twin) life {
	u := &uru{URU4000: o, twin: t, status: 0x01, news: make(chan struct{})}
	if o.V2 {
		u.status = 0x03
	}
	if t.hand.Once(HungOnce) {
		u.status = 0x85
	}
	return u
}

func (u *uru) Descriptors() usbip.Descriptors {
	d := usbip.Descriptors{
		Speed: usbip.Full, Device: bytes.Clone(uru4500Device), Config: bytes.Clone(uru4500Config),
		Strings: usbip.Strings("DigitalPersona, Inc.", "U.are.U(R) 4500 Fingerprint Reader", "{00000000-0000-4000-8000-000000000001}"),
	}
	if u.V2 {
		copy(d.Device[8:], []byte{0x5E, 0x04, 0xCA, 0x00, 0x00, 0x01})
		d.Config[8] = 0x82
		d.Strings = usbip.Strings("DigitalPersona, Inc.", "Microsoft Fingerprint Reader v2", "{00000000-0000-4000-8000-000000000002}")
	}
	return d
}

// Registers.
const (
	uruStatus    = 0x0007
	uruIndex     = 0x0033
	uruMasked    = 0x0034
	uruMode      = 0x004E
	uruInfo      = 0x00F0
	uruResponse  = 0x2000
	uruChallenge = 0x2010
)

func (u *uru) Control(ctx context.Context, setup usbip.Setup, data []byte) ([]byte, error) {
	if setup.Type&0x60 == 0 { // a standard request, for what the reader does not have
		return nil, usbip.ErrStall
	}
	if err := u.twin.took(ctx, u.stage(setup, data)); err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case setup.Request != 4 || setup.Index != 0:
	case setup.Type == 0xC0:
		return u.read(setup.Value, int(setup.Length))
	case setup.Type == 0x40:
		return nil, u.write(setup.Value, data)
	}
	return nil, usbip.ErrStall
}

func (u *uru) stage(setup usbip.Setup, data []byte) string {
	switch {
	case setup.Type == 0xC0 && setup.Value == uruStatus:
		return StageStart
	case setup.Type == 0x40 && setup.Value == uruMode && len(data) == 1 && data[0] == 0x10:
		return StageFinger
	case setup.Type == 0x40 && setup.Value == uruMode && len(data) == 1 && data[0] == 0x20:
		return StageCapture
	}
	return ""
}

func (u *uru) read(register uint16, n int) ([]byte, error) {
	switch {
	case register == uruStatus && n == 1:
		return []byte{u.status}, nil
	case register == uruInfo && n == 16:
		if u.V2 {
			return uruV2Info, nil
		}
		return uru4500Info, nil
	case register == uruChallenge && n == 16 && u.V2:
		u.challenge = make([]byte, 16)
		_, err := rand.Read(u.challenge)
		return u.challenge, err
	case register == uruMasked && n == 4 && u.seeded:
		return binary.LittleEndian.AppendUint32(nil, uruKeyOf(u.index)^u.seed), nil
	}
	return nil, usbip.ErrStall
}

func (u *uru) write(register uint16, data []byte) error {
	switch {
	case register == uruStatus && len(data) == 1:
		u.power(data[0])
	case register == uruResponse && len(data) == 16 && u.challenge != nil:
		c, err := aes.NewCipher(uruKey)
		if err != nil {
			return err
		}
		want := make([]byte, 16)
		c.Encrypt(want, u.challenge)
		u.welcome = bytes.Equal(data, want)
		u.challenge = nil
	case register == uruIndex && len(data) == 5:
		u.index, u.seed, u.seeded = data[0], binary.LittleEndian.Uint32(data[1:]), true
	case register == uruMode && len(data) == 1:
		u.setMode(data[0])
	default:
		return usbip.ErrStall
	}
	return nil
}

// power is a write of the status register. Going from asleep to awake switches
// the scan power on, which is told up to three times.
func (u *uru) power(value byte) {
	hung := u.status&0x84 == 0x84
	switch {
	case hung:
		u.status = 0x81 // asleep, but under control again
	case value&0x80 != 0:
		u.status |= 0x80
	case u.status&0x80 == 0 || u.V2 && !u.welcome || u.twin.hand.Has(NoPower):
	default:
		u.status &^= 0x80
		u.welcome = false
		u.tell(0x56AA)
		if !u.V2 {
			u.tell(0x56AA)
			u.tell(0x56AA)
		}
	}
}

// tell sends an interrupt packet: an event, and what is left of others.
func (u *uru) tell(event uint16) {
	b := bytes.Repeat([]byte{0xA5}, uruPacket)
	binary.BigEndian.PutUint16(b, event)
	u.interrupt.Put(b, 0)
}

func (u *uru) setMode(mode byte) {
	u.mode, u.told, u.rest, u.sending = mode, false, nil, false
	close(u.news)
	u.news = make(chan struct{})
	u.look()
}

func (u *uru) shown() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.look()
}

// look tells of the finger what the mode asks for.
func (u *uru) look() {
	there := u.twin.finger() != nil
	switch {
	case u.told:
	case u.mode == 0x10 && u.twin.hand.Once(FailOnce):
		u.told = true
		u.tell(0x0800)
	case u.mode == 0x10 && there:
		u.told = true
		u.tell(0x0101)
	case u.mode == 0x12 && !there:
		u.told = true
		u.tell(0x0200)
	}
}

func (u *uru) Out(context.Context, byte, []byte) error { return usbip.ErrStall }

func (u *uru) In(ctx context.Context, endpoint byte, size int) ([]byte, error) {
	switch {
	case u.twin.hand.Has(Silent):
		<-ctx.Done()
		return nil, context.Cause(ctx)
	case endpoint == 0x81 && u.twin.hand.Has(Babble):
		return make([]byte, size+uruPacket), nil
	case endpoint == 0x81:
		return u.interrupt.Take(ctx, size)
	case endpoint == 0x82:
		return u.picture(ctx, size)
	}
	return nil, usbip.ErrStall
}

// picture is the next piece of a picture.
func (u *uru) picture(ctx context.Context, size int) ([]byte, error) {
	if err := u.prepare(ctx); err != nil {
		return nil, err
	}
	u.mu.Lock()
	before, length := u.sent, u.sent+len(u.rest)
	u.mu.Unlock()
	if before <= length/2 && length/2 < before+size {
		if err := u.twin.at(ctx, StageImage); err != nil {
			return nil, err
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case !u.sending: // the mode changed meanwhile
		return nil, nil
	case u.twin.hand.Has(Babble):
		return make([]byte, size+uruPacket), nil
	case u.twin.hand.Has(Endless):
		return make([]byte, size), nil
	}
	n := min(size, len(u.rest))
	piece := u.rest[:n]
	u.rest, u.sent = u.rest[n:], u.sent+n
	u.sending = n == size // a shorter piece, or an empty one, ends the picture
	return piece, nil
}

// prepare waits until there is a picture to send.
func (u *uru) prepare(ctx context.Context) error {
	for {
		u.mu.Lock()
		news, capturing, sending := u.news, u.mode == 0x20, u.sending
		u.mu.Unlock()
		if sending {
			return nil
		}
		var due <-chan time.Time
		if capturing && !u.twin.hand.Has(NoImage) {
			due = time.After(u.Interval)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-news:
		case <-due:
			if u.twin.hand.Once(StallOnce) {
				return usbip.ErrStall
			}
			u.mu.Lock()
			if u.mode == 0x20 {
				u.rest, u.sent, u.sending = u.frame(), 0, true
			}
			u.mu.Unlock()
		}
	}
}
