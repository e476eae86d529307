package uvc

import (
	"encoding/binary"

	"sbid/simulator/usbip"
)

// Numbers of the descriptors below.
const (
	controlInterface = 0
	streamInterface  = 1
	endpoint         = 0x81
	packetSize       = 512 // bytes, of a bulk endpoint at high speed

	cameraTerminal = 1
	outputTerminal = 2
	emitterUnit    = 4
	emitterControl = 6 // face authentication
	emitterSize    = 9
)

// guids are the formats' names on the wire, after which all end alike.
var guids = map[string]string{
	"YUYV": "YUY2", "GREY": "Y800", "Y8I": "Y8I ", "Y10": "Y10 ", "Y12": "Y12 ", "Y16": "Y16 ",
}

// guidEnd follows a four-character code in the GUID of a format.
var guidEnd = []byte{0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71}

// microsoftGUID is that of the extension unit with the emitter's control.
var microsoftGUID = []byte{
	0xDC, 0x95, 0x3F, 0x0F, 0x32, 0x26, 0x4E, 0x4C, 0x92, 0xC9, 0xA0, 0x47, 0x82, 0xF4, 0x3B, 0xC8,
}

func (c *Camera) descriptors() usbip.Descriptors {
	device := []byte{18, 1, 0x00, 0x02, 0xEF, 2, 1, 64, 0, 0, 0, 0, 0x00, 0x01, 1, 2, 3, 1}
	binary.LittleEndian.PutUint16(device[8:], c.Vendor)
	binary.LittleEndian.PutUint16(device[10:], c.Product)

	config := []byte{9, 2, 0, 0, 2, 1, 0, 0x80, 250}
	config = append(config, 8, 0x0B, controlInterface, 2, 0x0E, 3, 0, 0)
	config = append(config, 9, 4, controlInterface, 0, 0, 0x0E, 1, 0, 0)
	config = append(config, c.control()...)
	config = append(config, 9, 4, streamInterface, 0, 1, 0x0E, 2, 0, 0)
	config = append(config, c.streaming()...)
	config = append(config, 7, 5, endpoint, 2, packetSize&0xFF, packetSize>>8, 0)
	binary.LittleEndian.PutUint16(config[2:], uint16(len(config)))
	return usbip.Descriptors{
		Speed: usbip.High, Device: device, Config: config, Strings: usbip.Strings(c.Make, c.Model, c.Serial),
	}
}

// control describes lens, emitter and output: UVC 1.0, section 3.7.
func (c *Camera) control() []byte {
	units := []byte{18, 0x24, 2, cameraTerminal, 0x01, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0}
	source := byte(cameraTerminal)
	if c.Emitter {
		units = append(units, 27, 0x24, 6, emitterUnit)
		units = append(units, microsoftGUID...)
		units = append(units, 1, 1, source, 2, 1<<(emitterControl-1), 0, 0)
		source = emitterUnit
	}
	units = append(units, 9, 0x24, 3, outputTerminal, 0x01, 0x01, 0, source, 0)
	head := []byte{13, 0x24, 1, 0x00, 0x01, 0, 0, 0x80, 0xC3, 0xC9, 0x01, 1, streamInterface}
	binary.LittleEndian.PutUint16(head[5:], uint16(len(head)+len(units)))
	return append(head, units...)
}

// formats lists the formats in the order of their first mode.
func (c *Camera) formats() (names []string, modes map[string][]Mode) {
	modes = map[string][]Mode{}
	for _, m := range c.Modes {
		if modes[m.Format] == nil {
			names = append(names, m.Format)
		}
		modes[m.Format] = append(modes[m.Format], m)
	}
	return names, modes
}

// streaming describes what pictures there are: UVC 1.0, section 3.9.
func (c *Camera) streaming() []byte {
	names, modes := c.formats()
	var all []byte
	for i, name := range names {
		frame := byte(5)
		if name == "MJPG" {
			frame = 7
			all = append(all, 11, 0x24, 6, byte(i+1), byte(len(modes[name])), 1, 1, 0, 0, 0, 0)
		} else {
			all = append(all, 27, 0x24, 4, byte(i+1), byte(len(modes[name])))
			all = append(all, guids[name]...)
			all = append(all, guidEnd...)
			all = append(all, byte(8*bytesPerPixel(name)), 1, 0, 0, 0, 0)
		}
		for j, m := range modes[name] {
			all = append(all, c.frame(frame, byte(j+1), m)...)
		}
		all = append(all, 6, 0x24, 0x0D, 1, 1, 4)
	}
	head := []byte{byte(13 + len(names)), 0x24, 1, byte(len(names)), 0, 0, endpoint, 0, outputTerminal, 0, 0, 0, 1}
	head = append(head, make([]byte, len(names))...)
	binary.LittleEndian.PutUint16(head[4:], uint16(len(head)+len(all)))
	return append(head, all...)
}

func (c *Camera) frame(kind, index byte, m Mode) []byte {
	b := []byte{30, 0x24, kind, index, 0}
	b = binary.LittleEndian.AppendUint16(b, uint16(m.Width))
	b = binary.LittleEndian.AppendUint16(b, uint16(m.Height))
	bits := uint32(m.size() * 8 * c.Rate)
	for _, v := range []uint32{bits, bits, uint32(m.size()), c.interval()} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	b = append(b, 1)
	return binary.LittleEndian.AppendUint32(b, c.interval())
}

// interval is the time from picture to picture in units of 100 ns.
func (c *Camera) interval() uint32 { return uint32(10_000_000 / c.Rate) }

// bytesPerPixel is 2 for compressed formats, too: what they take at most.
func bytesPerPixel(format string) int {
	if format == "GREY" {
		return 1
	}
	return 2
}

// size bounds a picture in bytes.
func (m Mode) size() int { return m.Width * m.Height * bytesPerPixel(m.Format) }
