package uvc

import (
	"bytes"
	"context"
	"time"

	"sbid/simulator/usbip"
)

// Bits of a payload's header: UVC 1.0, section 2.4.3.3.
const (
	headEnd   = 0x80
	headError = 0x40
	headLast  = 0x02
	headSize  = 2
)

// In sends the next payload of the stream into a buffer of the host's. Pictures
// are begun at the camera's rate.
func (t *Twin) In(ctx context.Context, address byte, size int) ([]byte, error) {
	leave, err := t.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	if address != endpoint || size < packetSize {
		return nil, usbip.ErrStall
	}
	if t.hand.Has(Stall) || t.hand.Once(StallOnce) {
		return nil, usbip.ErrStall
	}
	if t.remaining() == nil {
		if err := t.begin(ctx); err != nil {
			return nil, err
		}
	} else {
		t.at(ctx, StagePicture)
		if t.hand.Has(Endless) {
			t.drag(ctx)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rest == nil { // a new stream began meanwhile
		return nil, nil
	}
	n := min(len(t.rest), size-headSize)
	if t.fresh {
		n, t.fresh = min(n, (len(t.rest)+1)/2), false // every picture has a middle
	}
	head, fault := []byte{headSize, headEnd | t.id}, t.hand.Fault()
	switch {
	case fault == ShortHeads:
		head[0] = 1
	case fault == MarkSome && t.number%2 == 0:
		head[1] |= headError
	}
	last := n == len(t.rest)
	if last && fault == Endless {
		t.rest = append(t.rest, t.rest...)
		last = false
	}
	payload := append(head, t.rest[:n]...)
	t.rest = t.rest[n:]
	if last {
		payload[1] |= headLast
		t.rest = nil
		t.id ^= 1
	}
	return payload, nil
}

// drag keeps a picture without end from filling the wire.
func (t *Twin) drag(ctx context.Context) {
	timer := time.NewTimer(10 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.power():
	case <-ctx.Done():
	}
}

// Out takes nothing: a camera has no such endpoint.
func (t *Twin) Out(context.Context, byte, []byte) error { return usbip.ErrStall }

func (t *Twin) remaining() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rest
}

// begin waits for the time of the next picture and takes it.
func (t *Twin) begin(ctx context.Context) error {
	t.mu.Lock()
	interval := time.Second / time.Duration(t.camera.Rate)
	t.due = t.due.Add(interval)
	if now := time.Now(); t.due.Before(now) {
		t.due = now
	}
	timer := time.NewTimer(time.Until(t.due))
	t.mu.Unlock()
	defer timer.Stop()
	pulled := t.power()
	select {
	case <-timer.C:
	case <-pulled:
		return errPulled
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for {
		changed := t.hand.Changed()
		t.mu.Lock()
		fault := t.hand.Fault()
		off := fault == Silent || t.camera.Emitter && bytes.Equal(t.light, darkness)
		switched := t.switched
		if !off {
			t.expose(fault)
		}
		t.mu.Unlock()
		if !off {
			return nil
		}
		select {
		case <-changed:
		case <-switched:
		case <-pulled:
			return errPulled
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// expose takes a picture of what is before the lens. t.mu is held.
func (t *Twin) expose(fault string) {
	t.number++
	if t.camera.Emitter && t.light[2]&2 != 0 && t.number%2 == 0 {
		t.rest = t.encoded(darkPicture)
	} else {
		t.rest = t.encoded(t.scene)
	}
	t.rest = t.mode.spoil(t.rest, fault, t.number, t.noise)
	t.fresh = true
}
