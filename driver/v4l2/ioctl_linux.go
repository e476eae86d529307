//go:build amd64 || arm64

package v4l2

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests of linux/videodev2.h and linux/uvcvideo.h, with the sizes that their
// structures have on 64-bit machines.
const (
	vidiocQueryCap           = 0x80685600
	vidiocEnumFmt            = 0xC0405602
	vidiocSetFmt             = 0xC0D05605
	vidiocReqBufs            = 0xC0145608
	vidiocQueryBuf           = 0xC0585609
	vidiocQueueBuf           = 0xC058560F
	vidiocDequeueBuf         = 0xC0585611
	vidiocStreamOn           = 0x40045612
	vidiocStreamOff          = 0x40045613
	vidiocSetParm            = 0xC0CC5616
	vidiocEnumFrameSizes     = 0xC02C564A
	vidiocEnumFrameIntervals = 0xC034564B
	uvciocControlQuery       = 0xC0107521
)

const (
	typeVideoCapture   = 1
	memoryMapped       = 1
	fieldNone          = 1
	capVideoCapture    = 0x00000001
	capStreaming       = 0x04000000
	bufferError        = 0x00000040
	sizeDiscrete       = 1
	quantizationFull   = 1
	privMagic          = 0xFEEDCAFE // the format's later members are meant, too
	uvcSetCur          = 0x01
	uvcGetCur          = 0x81
	maxEnumerated      = 64 // formats, sizes and rates: more are not asked for
	maxPictureInMemory = 64 << 20
)

// struct v4l2_capability.
type capability struct {
	driver, card         [16]byte
	cardRest             [16]byte
	busInfo              [32]byte
	version, caps, nodes uint32
	reserved             [3]uint32
}

// struct v4l2_fmtdesc.
type formatDescription struct {
	index, kind, flags uint32
	text               [32]byte
	fourcc, code       uint32
	reserved           [3]uint32
}

// struct v4l2_format with the union's member pix.
type pixFormat struct {
	kind, _                                uint32
	width, height, fourcc, field           uint32
	stride, size, colourspace, priv, flags uint32
	encoding, quantization, transfer       uint32
	_                                      [152]byte
}

// struct v4l2_requestbuffers.
type requestBuffers struct {
	count, kind, memory, caps uint32
	flags                     [4]byte
}

// struct v4l2_buffer.
type buffer struct {
	index, kind, used, flags, field, _ uint32
	time                               [2]int64
	timecode                           [16]byte
	sequence, memory                   uint32
	offset                             uint64
	length                             uint32
	_                                  [3]uint32
}

// struct v4l2_streamparm with the union's member capture.
type streamParameters struct {
	kind, caps, mode       uint32
	numerator, denominator uint32
	_                      [184]byte
}

// struct v4l2_frmsizeenum.
type frameSize struct {
	index, fourcc, kind uint32
	width, height       uint32 // of a discrete size; of others the least and the greatest width
	_                   [6]uint32
}

// struct v4l2_frmivalenum.
type frameInterval struct {
	index, fourcc, width, height, kind uint32
	numerator, denominator             uint32 // of a discrete interval, else the shortest
	_                                  [6]uint32
}

// struct uvc_xu_control_query.
type unitQuery struct {
	unit, selector, query, _ uint8
	size, _                  uint16
	data                     unsafe.Pointer
}

// ioctl makes a request on a node; argument points to the structure that it
// takes. A call that a signal interrupted is made again.
func ioctl(fd int, request uintptr, argument unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(argument))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// capture reports whether pictures come from the node.
func capture(fd int) (bool, error) {
	var c capability
	if err := ioctl(fd, vidiocQueryCap, unsafe.Pointer(&c)); err != nil {
		return false, fmt.Errorf("ask what it is: %w", err)
	}
	const need = capVideoCapture | capStreaming
	return c.nodes&need == need, nil
}

// modes lists what the node can send, as far as this driver can read it.
func modes(fd int) []mode {
	var all []mode
	for i := range uint32(maxEnumerated) {
		f := formatDescription{index: i, kind: typeVideoCapture}
		if ioctl(fd, vidiocEnumFmt, unsafe.Pointer(&f)) != nil {
			break
		}
		if known := formatOf(f.fourcc); known != nil {
			all = append(all, modesOf(fd, known)...)
		}
	}
	return all
}

func modesOf(fd int, f *format) []mode {
	var all []mode
	for i := range uint32(maxEnumerated) {
		s := frameSize{index: i, fourcc: f.fourcc}
		if ioctl(fd, vidiocEnumFrameSizes, unsafe.Pointer(&s)) != nil {
			break
		}
		// Cameras that can be set to any size are none of those that are scanners.
		if s.kind != sizeDiscrete || s.width == 0 || s.height == 0 || s.width > maxSide || s.height > maxSide {
			continue
		}
		m := mode{format: f, rate: rate(fd, f, s.width, s.height)}
		m.size.X, m.size.Y = int(s.width), int(s.height)
		all = append(all, m)
	}
	return all
}

// rate is the highest that a size comes at, in pictures a second.
func rate(fd int, f *format, width, height uint32) float64 {
	best := 0.0
	for i := range uint32(maxEnumerated) {
		v := frameInterval{index: i, fourcc: f.fourcc, width: width, height: height}
		if ioctl(fd, vidiocEnumFrameIntervals, unsafe.Pointer(&v)) != nil {
			break
		}
		if v.numerator > 0 {
			best = max(best, float64(v.denominator)/float64(v.numerator))
		}
		if v.kind != sizeDiscrete {
			break
		}
	}
	return best
}
