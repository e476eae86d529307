package serial

import (
	"encoding/binary"
	"image"
	"time"
)

// An EF01 says which module of the EF 01 packet family a twin is, and how its
// flash memory is set when it is first plugged in. The zero value is an optical
// one of 256x288 pixels, as it leaves the factory.
type EF01 struct {
	Width, Height int    // of the window in pixels; 0: 256x288
	Address       uint32 // 0: FFFFFFFF
	Password      uint32
	Baud          int           // 0: 57600
	PacketSize    int           // 32, 64, 128 or 256; 0: 128
	Product       string        // the model that it tells of itself; "": it is of a kind that does not, nor has an aura
	Serial        string        // eight characters at most
	Boot          time.Duration // deaf for that long after power on; then it greets, if it has a Product
	// Pace is the speed of the line relative to its rate: 1 is true to life; 0: as
	// fast as the pseudo-terminal.
	Pace float64
}

// Stages where an EF01 can be held. StageImage is in the middle of one.
const (
	StageHandshake = "handshake"
	StageFinger    = "finger"
	StageCapture   = "capture"
	StageImage     = "image"
)

// StartEF01 plugs a module in at path, which must not exist: it becomes a link
// to the pseudo-terminal.
func StartEF01(path string, o EF01) (*Twin, error) {
	if o.Width == 0 {
		o.Width, o.Height = 256, 288
	}
	if o.Address == 0 {
		o.Address = 0xFFFFFFFF
	}
	if o.Baud == 0 {
		o.Baud = 57600
	}
	if o.PacketSize == 0 {
		o.PacketSize = 128
	}
	return start(path, &ef01{EF01: o}, o.Pace)
}

// ef01 is the module: its embedded options are its flash memory.
type ef01 struct {
	EF01
	booted   time.Time
	verified bool
	input    []byte
	heard    time.Time // when input last grew
	buffer   []byte    // the image buffer: packed pixels; nil is empty
}

func (m *ef01) size() image.Point { return image.Pt(m.Width, m.Height) }

func (m *ef01) powerOn(w *wire) {
	m.verified, m.input, m.buffer = m.Password == 0, nil, nil
	m.booted = time.Now().Add(m.Boot)
	if m.Boot > 0 {
		time.Sleep(m.Boot)
		if m.Product != "" {
			w.write([]byte{0x55})
		}
	}
}

// unfinished is how long the module waits for the rest of a packet.
const unfinished = time.Second

func (m *ef01) hear(w *wire, b []byte) {
	now := time.Now()
	if now.Before(m.booted) || w.line.baud() != m.Baud {
		return
	}
	if now.Sub(m.heard) > unfinished {
		m.input = nil
	}
	m.heard = now
	m.input = append(m.input, b...)
	for {
		payload, rest, ok := m.next(w, m.input)
		m.input = rest
		if !ok {
			return
		}
		if payload != nil {
			m.obey(w, payload)
		}
	}
}

// next takes one packet off the input. A nil payload was not for this module.
func (m *ef01) next(w *wire, in []byte) (payload, rest []byte, ok bool) {
	for len(in) >= 2 && (in[0] != 0xEF || in[1] != 0x01) {
		in = in[1:]
	}
	if len(in) < 9 {
		return nil, in, false
	}
	length := int(binary.BigEndian.Uint16(in[7:]))
	if length < 3 || length > 258 {
		return nil, in[2:], true
	}
	if len(in) < 9+length {
		return nil, in, false
	}
	packet, rest := in[:9+length], in[9+length:]
	if binary.BigEndian.Uint32(packet[2:]) != m.Address || packet[6] != 1 {
		return nil, rest, true
	}
	var sum uint16
	for _, b := range packet[6 : len(packet)-2] {
		sum += uint16(b)
	}
	if sum != binary.BigEndian.Uint16(packet[len(packet)-2:]) || w.twin.hand.Once(BadRequest) {
		m.answer(w, 0x01)
		return nil, rest, true
	}
	return packet[9 : len(packet)-2], rest, true
}

// stages of the commands that have one.
var ef01Stages = map[byte]string{0x13: StageHandshake, 0x01: StageFinger, 0x0A: StageCapture}

func (m *ef01) obey(w *wire, p []byte) {
	w.took(ef01Stages[p[0]])
	if !m.verified && p[0] != 0x13 {
		m.answer(w, 0x21)
		return
	}
	switch grow := m.Product != ""; {
	case p[0] == 0x13 && len(p) == 5: // VfyPwd
		if binary.BigEndian.Uint32(p[1:]) != m.Password {
			m.answer(w, 0x13)
			return
		}
		m.verified = true
		m.answer(w, 0)
	case p[0] == 0x0F: // ReadSysPara
		m.answer(w, 0, m.parameters()...)
	case p[0] == 0x0E && len(p) == 3: // SetSysPara
		m.set(w, p[1], p[2])
	case p[0] == 0x01: // GenImg
		m.take(w)
	case p[0] == 0x0A: // UpImage
		m.upload(w)
	case p[0] == 0x3C && grow: // ReadProdInfo
		m.answer(w, 0, m.product()...)
	case p[0] == 0x3A && grow: // GetFwVer
		m.answer(w, 0, append([]byte("TWIN 1.0"), make([]byte, 24)...)...)
	case p[0] == 0x36 && grow: // CheckSensor
		m.answer(w, m.health(w))
	case (p[0] == 0x35 || p[0] == 0x30 || p[0] == 0x40) && grow, // AuraLedConfig, Cancel, HandShake
		(p[0] == 0x50 || p[0] == 0x51) && !grow: // LED on, off
		m.answer(w, 0)
	default:
		m.answer(w, 0xFC)
	}
}

func (m *ef01) health(w *wire) byte {
	if w.twin.hand.Has(BadSensor) {
		return 0x29
	}
	return 0
}

func (m *ef01) parameters() []byte {
	var status, size uint16
	if m.verified && m.Password != 0 {
		status |= 4
	}
	if m.buffer != nil {
		status |= 8
	}
	for 32<<size < m.PacketSize {
		size++
	}
	b := make([]byte, 0, 16)
	b = binary.BigEndian.AppendUint16(b, status)
	b = append(b, 0, 0, 0, 200, 0, 3)
	b = binary.BigEndian.AppendUint32(b, m.Address)
	b = binary.BigEndian.AppendUint16(b, size)
	return binary.BigEndian.AppendUint16(b, uint16(m.Baud/9600))
}

func (m *ef01) product() []byte {
	b := make([]byte, 46)
	copy(b[:16], m.Product)
	copy(b[16:20], "0001")
	copy(b[20:28], m.Serial)
	b[28], b[29] = 1, 2
	copy(b[30:38], "FPS192")
	binary.BigEndian.PutUint16(b[38:], uint16(m.Width))
	binary.BigEndian.PutUint16(b[40:], uint16(m.Height))
	binary.BigEndian.PutUint16(b[42:], 1536)
	binary.BigEndian.PutUint16(b[44:], 200)
	return b
}

func (m *ef01) set(w *wire, register, value byte) {
	switch {
	case register == 4 && value >= 1 && value <= 12:
		m.answer(w, 0) // still at the old rate
		m.Baud = 9600 * int(value)
	case register == 6 && value <= 3:
		m.answer(w, 0)
		m.PacketSize = 32 << value
	case register >= 4 && register <= 6:
		m.answer(w, 0x1B)
	default:
		m.answer(w, 0x1A)
	}
}

func (m *ef01) take(w *wire) {
	if c := m.health(w); c != 0 {
		m.answer(w, c)
		return
	}
	finger := w.finger()
	if finger == nil {
		m.answer(w, 0x02)
		return
	}
	m.buffer = make([]byte, 0, len(finger.Pix)/2)
	for i := 0; i+1 < len(finger.Pix); i += 2 {
		m.buffer = append(m.buffer, finger.Pix[i]&0xF0|finger.Pix[i+1]>>4)
	}
	m.answer(w, 0)
}

func (m *ef01) upload(w *wire) {
	if m.buffer == nil {
		m.answer(w, 0x15)
		return
	}
	m.answer(w, 0)
	lost := w.twin.hand.Once(LostByte)
	half := len(m.buffer) / 2
	for at := 0; at < len(m.buffer); at += m.PacketSize {
		end := min(at+m.PacketSize, len(m.buffer))
		kind := byte(0x02)
		if end == len(m.buffer) {
			kind = 0x08
		}
		packet := m.packet(kind, m.buffer[at:end])
		if at <= half && half < end {
			w.at(StageImage)
			switch {
			case w.twin.hand.Has(CutImage):
				return
			case lost:
				packet = packet[:len(packet)-1]
			}
			for w.twin.hand.Has(LongImage) && !w.closed() {
				w.send(m.packet(0x02, m.buffer[at:end]))
			}
		}
		w.stray()
		w.send(packet)
	}
}

func (m *ef01) answer(w *wire, code byte, data ...byte) {
	packet := m.packet(0x07, append([]byte{code}, data...))
	if w.twin.hand.Has(BadLength) {
		packet[7], packet[8] = 0xFF, 0xFF
	}
	w.stray()
	w.send(packet)
}

func (m *ef01) packet(kind byte, payload []byte) []byte {
	p := binary.BigEndian.AppendUint32([]byte{0xEF, 0x01}, m.Address)
	p = append(p, kind)
	p = binary.BigEndian.AppendUint16(p, uint16(len(payload)+2))
	p = append(p, payload...)
	var sum uint16
	for _, b := range p[6:] {
		sum += uint16(b)
	}
	return binary.BigEndian.AppendUint16(p, sum)
}
