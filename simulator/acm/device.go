package acm

import (
	"context"
	"encoding/binary"

	"sbid/simulator/usbip"
)

const (
	notify     = 0x81 // interrupt: the state of the modem lines, which never changes
	dataOut    = 0x02
	dataIn     = 0x83
	packetSize = 64 // bytes, of bulk endpoints at full speed
)

// Requests of CDC PSTN 1.2, table 13.
const (
	setLineCoding       = 0x20
	getLineCoding       = 0x21
	setControlLineState = 0x22
	sendBreak           = 0x23
)

// Descriptors are those of an adapter with one port.
func (t *Twin) Descriptors() usbip.Descriptors {
	device := []byte{18, 1, 0x00, 0x02, 2, 0, 0, 64, 0, 0, 0, 0, 0x00, 0x01, 1, 2, 3, 1}
	binary.LittleEndian.PutUint16(device[8:], t.adapter.Vendor)
	binary.LittleEndian.PutUint16(device[10:], t.adapter.Product)
	texts := []string{"sbid", "Virtual Serial Adapter"}
	if t.adapter.Serial == "" {
		device[16] = 0
	} else {
		texts = append(texts, t.adapter.Serial)
	}
	config := []byte{
		9, 2, 67, 0, 2, 1, 0, 0x80, 50,
		9, 4, 0, 0, 1, 2, 2, 1, 0, // control: abstract control model
		5, 0x24, 0, 0x10, 0x01, // CDC 1.1
		5, 0x24, 1, 0, 1, // call management: none; data on interface 1
		4, 0x24, 2, 2, // line coding and line state
		5, 0x24, 6, 0, 1, // interfaces 0 and 1 belong together
		7, 5, notify, 3, 8, 0, 16,
		9, 4, 1, 0, 2, 10, 0, 0, 0, // data
		7, 5, dataOut, 2, packetSize, 0, 0,
		7, 5, dataIn, 2, packetSize, 0, 0,
	}
	return usbip.Descriptors{Speed: usbip.Full, Device: device, Config: config, Strings: usbip.Strings(texts...)}
}

// Control takes the settings of the line.
func (t *Twin) Control(_ context.Context, setup usbip.Setup, data []byte) ([]byte, error) {
	if setup.Type&0x7F != 0x21 {
		return nil, usbip.ErrStall
	}
	switch setup.Request {
	case setLineCoding:
		if len(data) != len(t.coding) {
			return nil, usbip.ErrStall
		}
		t.mu.Lock()
		t.coding = [7]byte(data)
		t.mu.Unlock()
		setRate(t.line, binary.LittleEndian.Uint32(data))
		return nil, nil
	case getLineCoding:
		t.mu.Lock()
		defer t.mu.Unlock()
		coding := t.coding
		return coding[:], nil
	case setControlLineState, sendBreak:
		return nil, nil // the modules have no such lines
	}
	return nil, usbip.ErrStall
}

// In sends what came from the port.
func (t *Twin) In(ctx context.Context, endpoint byte, size int) ([]byte, error) {
	if endpoint == notify {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return t.sent.Take(ctx, size)
}

// Out hands on to the port what the host sent. A port that hung up drops it.
func (t *Twin) Out(_ context.Context, _ byte, data []byte) error {
	_, _ = t.line.Write(data)
	return nil
}
