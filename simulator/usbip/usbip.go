// Package usbip plugs emulated USB devices into a machine. A twin of a scanner
// is a Device: its descriptors, and what it answers on each endpoint. There are
// three ways to reach it, and the twin cannot tell them apart:
//
//   - Attach plugs it into this machine's kernel (Linux, module vhci_hcd, root),
//     where libusb, uvcvideo or cdc_acm meet it as they meet hardware;
//   - Serve exports it over TCP to the stock usbip client;
//   - Connect gives a Host: a host controller in this process, for tests that
//     need no kernel.
//
// All three speak the same USB/IP messages (Linux Documentation/usb/usbip_protocol,
// version 1.1.1) to the same code.
//
// # Writing a twin
//
// Return the descriptors byte for byte as the device has them; Strings makes
// those of text. Standard requests on endpoint 0 are answered for the twin; the
// rest come to Control. In is called once for every buffer that the host
// offers on an endpoint, one at a time for each endpoint: block until there is
// something to say, and return when ctx ends, which means that the host took
// its buffer back or the cable was pulled. A host cuts long reads into buffers
// of 16 KiB; a Queue does the cutting, the short packet at the end included.
//
//	type echo struct{ said usbip.Queue }
//
//	func (e *echo) Descriptors() usbip.Descriptors { return descriptors }
//	func (e *echo) Control(context.Context, usbip.Setup, []byte) ([]byte, error) {
//		return nil, usbip.ErrStall
//	}
//	func (e *echo) In(ctx context.Context, endpoint byte, size int) ([]byte, error) {
//		return e.said.Take(ctx, size)
//	}
//	func (e *echo) Out(ctx context.Context, endpoint byte, data []byte) error {
//		e.said.Put(data, 64)
//		return nil
//	}
//
// A device that stalls an endpoint returns ErrStall; the endpoint then stays
// halted until the host clears it. One that sends more than the host's buffer
// holds just returns too much: the host sees babble. One that never answers
// waits for ctx. Isochronous endpoints are not emulated.
package usbip

import (
	"context"
	"errors"
	"unicode/utf16"
)

// A Device is one emulated device. Calls for different endpoints come at the
// same time.
type Device interface {
	// Descriptors is called once for each plugging.
	Descriptors() Descriptors
	// Control answers a request on endpoint 0 that is not answered for the device:
	// class and vendor requests, and descriptors of other kinds. data is what
	// came with a request to the device; what is returned goes to the host, cut to
	// setup.Length.
	Control(ctx context.Context, setup Setup, data []byte) ([]byte, error)
	// In returns what the device sends into a buffer of size bytes on an IN
	// endpoint (0x81 and up). Fewer bytes end the host's read.
	In(ctx context.Context, endpoint byte, size int) ([]byte, error)
	// Out takes what the host sent on an OUT endpoint (0x01 and up).
	Out(ctx context.Context, endpoint byte, data []byte) error
}

// Descriptors are what a device tells of itself, byte for byte. Nothing here
// checks them: a host must stand nonsense.
type Descriptors struct {
	Speed   Speed
	Device  []byte   // 18 bytes
	Config  []byte   // the one configuration: all descriptors of it, joined
	Strings [][]byte // string descriptors by index; the one at 0 lists the languages
}

// A Speed is a USB speed as the kernel numbers them; the zero value is Full.
type Speed byte

const (
	Full  Speed = 2
	High  Speed = 3
	Super Speed = 5
)

// Strings returns the string descriptors of texts, with indexes from 1, in US
// English.
func Strings(texts ...string) [][]byte {
	all := [][]byte{{4, 3, 0x09, 0x04}}
	for _, text := range texts {
		b := []byte{0, 3}
		for _, u := range utf16.Encode([]rune(text)) {
			b = append(b, byte(u), byte(u>>8))
		}
		b[0] = byte(len(b))
		all = append(all, b)
	}
	return all
}

// ErrStall is a device's refusal. On endpoint 0 it ends one request; another
// endpoint is halted by it.
var ErrStall = errors.New("endpoint stalled")

// A Setup is the setup packet of a request on endpoint 0 (USB 2.0, 9.3).
type Setup struct {
	Type    byte // bmRequestType; bit 7: to the host
	Request byte
	Value   uint16
	Index   uint16
	Length  uint16 // bytes that follow in either direction
}

// In reports whether data goes to the host.
func (s Setup) In() bool { return s.Type&0x80 != 0 }
