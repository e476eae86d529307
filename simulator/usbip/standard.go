package usbip

import "context"

// Standard requests (USB 2.0, table 9-4).
const (
	getStatus        = 0x00
	clearFeature     = 0x01
	setFeature       = 0x03
	getDescriptor    = 0x06
	getConfiguration = 0x08
	setConfiguration = 0x09
	getInterface     = 0x0A
	setInterface     = 0x0B
)

const (
	typeMask      = 0x60 // of bmRequestType: 0 is a standard request
	recipientMask = 0x1F
	toEndpoint    = 0x02
)

// control answers standard requests and passes the others on.
func (s *session) control(ctx context.Context, setup Setup, data []byte) ([]byte, error) {
	if setup.Type&typeMask != 0 {
		return s.device.Control(ctx, setup, data)
	}
	endpoint := setup.Type&recipientMask == toEndpoint
	switch setup.Request {
	case getDescriptor:
		if b, ok := s.descriptor(byte(setup.Value>>8), int(setup.Value&0xFF)); ok {
			return b, nil
		}
		return s.device.Control(ctx, setup, data)
	case getStatus:
		if endpoint && s.isHalted(byte(setup.Index)) {
			return []byte{1, 0}, nil
		}
		return []byte{0, 0}, nil
	case clearFeature, setFeature:
		if endpoint && setup.Value == 0 { // ENDPOINT_HALT
			s.halt(byte(setup.Index), setup.Request == setFeature)
		}
		return nil, nil
	case setConfiguration:
		s.mu.Lock()
		s.config = byte(setup.Value)
		s.mu.Unlock()
		return nil, nil
	case getConfiguration:
		s.mu.Lock()
		defer s.mu.Unlock()
		return []byte{s.config}, nil
	case getInterface:
		return []byte{0}, nil
	case setInterface:
		return nil, nil
	}
	return nil, ErrStall
}

func (s *session) descriptor(kind byte, index int) ([]byte, bool) {
	d := s.descriptors
	switch {
	case kind == 1:
		return d.Device, true
	case kind == 2 && index == 0:
		return d.Config, true
	case kind == 3 && index < len(d.Strings):
		return d.Strings[index], true
	}
	return nil, false
}
