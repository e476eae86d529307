package serial

import (
	"encoding/binary"
	"image"
)

// A GT511 says which module of the GT-511 family a twin is. The zero value is a
// C3 as it leaves the factory.
type GT511 struct {
	C1R  bool
	Baud int // 0: 9600; forgotten without power
	// Serial is the module's serial number.
	Serial [16]byte
	// Pace is the speed of the line relative to its rate: 1 is true to life; 0: as
	// fast as the pseudo-terminal.
	Pace float64
}

// StartGT511 plugs a module in at path, which must not exist: it becomes a link
// to the pseudo-terminal. It has the stages of an EF01.
func StartGT511(path string, o GT511) (*Twin, error) {
	if o.Baud == 0 {
		o.Baud = 9600
	}
	return start(path, &gt511{GT511: o}, o.Pace)
}

type gt511 struct {
	GT511
	rate     int
	light    bool
	input    []byte
	captured *image.Gray
}

func (m *gt511) size() image.Point {
	if m.C1R {
		return image.Pt(240, 216)
	}
	return image.Pt(202, 258)
}

func (m *gt511) powerOn(*wire) {
	m.rate, m.light, m.input, m.captured = m.Baud, false, nil, nil
}

func (m *gt511) hear(w *wire, b []byte) {
	if w.line.baud() != m.rate {
		return
	}
	m.input = append(m.input, b...)
	for len(m.input) >= 12 {
		if m.input[0] != 0x55 || m.input[1] != 0xAA {
			m.input = m.input[1:]
			continue
		}
		p := m.input[:12]
		m.input = m.input[12:]
		if binary.LittleEndian.Uint16(p[10:]) != sum(p[:10]) || w.twin.hand.Once(BadRequest) {
			m.answer(w, 0x31, 0x1006)
			continue
		}
		m.obey(w, binary.LittleEndian.Uint16(p[8:]), binary.LittleEndian.Uint32(p[4:]))
	}
}

var gt511Stages = map[uint16]string{0x01: StageHandshake, 0x26: StageFinger, 0x60: StageCapture}

// Errors of the module, as the parameter of a nack.
const (
	notSupported = 0x100E
	deviceError  = 0x100F
	badParameter = 0x1011
	notPressed   = 0x1012
)

func (m *gt511) obey(w *wire, command uint16, parameter uint32) {
	w.took(gt511Stages[command])
	finger := w.finger()
	if !m.light {
		finger = nil
	}
	if w.twin.hand.Has(BadSensor) && command != 0x01 {
		m.answer(w, 0x31, deviceError)
		return
	}
	switch command {
	case 0x01: // Open
		m.answer(w, 0x30, 0)
		if parameter != 0 {
			m.data(w, m.identity())
		}
	case 0x02, 0x03: // Close, UsbInternalCheck
		m.answer(w, 0x30, 0)
	case 0x04: // ChangeBaudrate
		switch parameter {
		case 9600, 19200, 38400, 57600, 115200:
			m.answer(w, 0x30, 0) // still at the old rate
			m.rate = int(parameter)
		default:
			m.answer(w, 0x31, badParameter)
		}
	case 0x12: // CmosLed
		m.light = parameter != 0
		m.answer(w, 0x30, 0)
	case 0x20: // GetEnrollCount
		m.answer(w, 0x30, 0)
	case 0x26: // IsPressFinger
		if finger == nil {
			m.answer(w, 0x30, notPressed)
			return
		}
		m.answer(w, 0x30, 0)
	case 0x60: // CaptureFinger
		if m.captured = finger; finger == nil {
			m.answer(w, 0x31, notPressed)
			return
		}
		m.answer(w, 0x30, 0)
	case 0x62: // GetImage
		if m.captured == nil {
			m.answer(w, 0x31, notPressed)
			return
		}
		m.image(w, m.captured.Pix)
	case 0x63: // GetRawImage
		m.image(w, m.raw(finger))
	default:
		m.answer(w, 0x31, notSupported)
	}
}

// raw is what the sensor sees, finger or not: a C3 halves it.
func (m *gt511) raw(finger *image.Gray) []byte {
	if finger == nil {
		finger = image.NewGray(image.Rectangle{Max: m.size()})
	}
	if m.C1R {
		return finger.Pix
	}
	pix := make([]byte, 160*120)
	for y := range 120 {
		for x := range 160 {
			pix[y*160+x] = finger.GrayAt(202/2-160+2*x, 258/2-120+2*y).Y
		}
	}
	return pix
}

func (m *gt511) identity() []byte {
	b := make([]byte, 24)
	binary.LittleEndian.PutUint32(b, 0x20130806)
	copy(b[8:], m.Serial[:])
	return b
}

func (m *gt511) image(w *wire, pix []byte) {
	m.answer(w, 0x30, 0)
	packet := m.packet(pix)
	half := len(packet) / 2
	w.send(packet[:half:half])
	w.at(StageImage)
	switch {
	case w.twin.hand.Has(CutImage):
		return
	case w.twin.hand.Once(LostByte):
		half++
	}
	w.send(packet[half:])
	for w.twin.hand.Has(LongImage) && !w.closed() {
		w.write(packet[4:])
	}
}

// data sends the whole of an object in one packet.
func (m *gt511) data(w *wire, b []byte) { w.send(m.packet(b)) }

func (m *gt511) packet(b []byte) []byte {
	p := append([]byte{0x5A, 0xA5, 1, 0}, b...)
	return binary.LittleEndian.AppendUint16(p, sum(p))
}

func (m *gt511) answer(w *wire, kind uint16, parameter uint32) {
	p := []byte{0x55, 0xAA, 1, 0}
	p = binary.LittleEndian.AppendUint32(p, parameter)
	p = binary.LittleEndian.AppendUint16(p, kind)
	w.stray()
	w.send(binary.LittleEndian.AppendUint16(p, sum(p)))
}

func sum(b []byte) uint16 {
	var total uint16
	for _, v := range b {
		total += uint16(v)
	}
	return total
}
