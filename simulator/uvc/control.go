package uvc

import (
	"bytes"
	"context"
	"encoding/binary"

	"sbid/simulator/usbip"
)

// Requests of UVC 1.0, section A.8, and selectors of the streaming interface.
const (
	setCur  = 0x01
	getCur  = 0x81
	getMin  = 0x82
	getMax  = 0x83
	getRes  = 0x84
	getLen  = 0x85
	getInfo = 0x86
	getDef  = 0x87

	probeControl  = 1
	commitControl = 2

	probeSize  = 26    // bytes, of version 1.0
	maxPayload = 16384 // bytes
)

// Control answers what the host asks of the video function.
func (t *Twin) Control(ctx context.Context, setup usbip.Setup, data []byte) ([]byte, error) {
	leave, err := t.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	t.hand.Asked()
	selector, entity := byte(setup.Value>>8), byte(setup.Index>>8)
	class := setup.Type&0x7F == 0x21
	switch {
	case class && byte(setup.Index) == streamInterface && (selector == probeControl || selector == commitControl):
		return t.negotiate(ctx, setup.Request, selector, data)
	case class && t.camera.Emitter && entity == emitterUnit && selector == emitterControl:
		return t.emitter(setup.Request, data)
	}
	return nil, usbip.ErrStall
}

// negotiate agrees about the pictures: UVC 1.0, section 4.3.1.1.
func (t *Twin) negotiate(ctx context.Context, request, selector byte, data []byte) ([]byte, error) {
	switch request {
	case setCur:
		if selector == probeControl {
			t.at(ctx, StageProbe)
			t.mu.Lock()
			defer t.mu.Unlock()
			t.mode = t.camera.pick(data)
			return nil, nil
		}
		t.at(ctx, StageCommit)
		if t.hand.Has(Refuse) {
			return nil, usbip.ErrStall
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.mode = t.camera.pick(data)
		t.rest = nil
		return nil, nil
	case getLen:
		return []byte{probeSize, 0}, nil
	case getInfo:
		return []byte{3}, nil
	case getCur, getMin, getMax, getDef:
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.camera.offer(t.mode), nil
	}
	return nil, usbip.ErrStall
}

// pick returns the mode that a host means, or the first.
func (c *Camera) pick(probe []byte) Mode {
	if len(probe) >= 4 {
		names, modes := c.formats()
		format, frame := int(probe[2])-1, int(probe[3])-1
		if format >= 0 && format < len(names) && frame >= 0 && frame < len(modes[names[format]]) {
			return modes[names[format]][frame]
		}
	}
	return c.Modes[0]
}

// offer says what a mode is in the words of the probe control.
func (c *Camera) offer(m Mode) []byte {
	names, modes := c.formats()
	b := make([]byte, probeSize)
	b[0] = 1
	for i, name := range names {
		for j, other := range modes[name] {
			if other == m {
				b[2], b[3] = byte(i+1), byte(j+1)
			}
		}
	}
	binary.LittleEndian.PutUint32(b[4:], c.interval())
	binary.LittleEndian.PutUint32(b[18:], uint32(m.size()))
	binary.LittleEndian.PutUint32(b[22:], maxPayload)
	return b
}

// emitter answers about the light. Its value is the number of entries, the
// stream that is meant, and bits: 0 off, 1 light on every other picture, 2 what
// is lit by others taken away.
func (t *Twin) emitter(request byte, data []byte) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch request {
	case setCur:
		if len(data) != emitterSize {
			return nil, usbip.ErrStall
		}
		t.light = bytes.Clone(data)
		close(t.switched)
		t.switched = make(chan struct{})
		return nil, nil
	case getCur:
		return t.light, nil
	case getLen:
		return []byte{emitterSize, 0}, nil
	case getInfo:
		return []byte{3}, nil
	case getMin, getDef:
		return darkness, nil
	case getRes:
		return make([]byte, emitterSize), nil
	case getMax:
		return []byte{1, 3, 7, 0, 0, 0, 0, 0, 0}, nil
	}
	return nil, usbip.ErrStall
}

// darkness is the value of the emitter's control while it is off.
var darkness = []byte{1, 3, 1, 0, 0, 0, 0, 0, 0}
