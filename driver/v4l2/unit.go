package v4l2

import "bytes"

// Descriptors of USB Video Class 1.0, section 3.7 and appendix A.
const (
	descriptorInterface = 4
	classSpecific       = 0x24
	videoClass          = 0x0E
	videoControl        = 1
	extensionUnit       = 6
)

const (
	// faceAuthentication is the control of Microsoft's extension unit that switches
	// the light of a near-infrared camera.
	faceAuthentication = 6
	emitterSize        = 9 // bytes of its value
)

// cameraControl is the GUID of that unit, 0F3F95DC-2632-4C4E-92C9-A04782F43BC8.
var cameraControl = []byte{
	0xDC, 0x95, 0x3F, 0x0F, 0x32, 0x26, 0x4E, 0x4C, 0x92, 0xC9, 0xA0, 0x47, 0x82, 0xF4, 0x3B, 0xC8,
}

// unitWith finds the extension unit of the given GUID that has a control, among
// the descriptors of a device: that of the video function whose control
// interface has the given number.
func unitWith(descriptors []byte, number, control byte, guid []byte) (unit byte, found bool) {
	ours := false
	for b := descriptors; len(b) >= 2; {
		n := int(b[0])
		if n < 2 || n > len(b) {
			return 0, false
		}
		d := b[:n]
		b = b[n:]
		switch {
		case d[1] == descriptorInterface && n >= 9:
			ours = d[2] == number && d[5] == videoClass && d[6] == videoControl
		case ours && d[1] == classSpecific && n >= 24 && d[2] == extensionUnit && bytes.Equal(d[4:20], guid):
			controls := 22 + int(d[21]) // after the sources
			if controls >= n {
				continue
			}
			bits := d[controls+1:]
			bits = bits[:min(len(bits), int(d[controls]))]
			if at := int(control-1) / 8; at < len(bits) && bits[at]>>((control-1)%8)&1 != 0 {
				return d[3], true
			}
		}
	}
	return 0, false
}
