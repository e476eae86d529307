// Package usb is the little that drivers need of USB: to find a scanner, to hold
// its interface, and to talk on it within a given time. System reaches the
// machine's own bus through libusb; package usbtest has one without hardware.
//
// Errors are those of package driver: ErrRemoved for an unplugged scanner,
// ErrHeld, ErrPermission, ErrUnavailable, and those below.
package usb

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sbid/driver"
)

// What a transfer can fail with besides.
var (
	// ErrTimeout: the scanner does not answer in the time that Within gives.
	ErrTimeout = fmt.Errorf("%w: it does not answer", driver.ErrNotReady)
	// ErrStall: the scanner refused the transfer. A halt is cleared already.
	ErrStall = fmt.Errorf("%w: it refuses the transfer", driver.ErrNotReady)
	// ErrTransfer: the transfer was damaged or broken off.
	ErrTransfer = fmt.Errorf("%w: broken transfer", driver.ErrNotReady)
	// ErrOverflow: the scanner sent more than the buffer holds.
	ErrOverflow = fmt.Errorf("%w: it sends more than it was asked for", driver.ErrBroken)
	// ErrDescriptors: the scanner's descriptors lack what its family has.
	ErrDescriptors = fmt.Errorf("%w: its usb descriptors are not those of its family", driver.ErrBroken)
)

// controlTimeout bounds a request on endpoint 0, which libusb cannot cancel.
// Scanners answer within a few milliseconds, and a cancelled capture has to end
// within a second.
const controlTimeout = 500 * time.Millisecond

// An ID says who made a device, and what it is.
type ID struct{ Vendor, Product uint16 }

// String returns the ID as lsusb prints it: 05ba:000a.
func (id ID) String() string { return fmt.Sprintf("%04x:%04x", id.Vendor, id.Product) }

// Info describes a device that is plugged in.
type Info struct {
	ID

	Release             uint16 // bcdDevice: 0x0103 is 1.03
	Path                string // the socket: bus and ports, like usb:1-2.3
	Make, Model, Serial string // printable ASCII; "" if the device does not tell or may not be asked
}

// Version returns Release as people write it: 1.03.
func (i Info) Version() string { return fmt.Sprintf("%x.%02x", i.Release>>8, i.Release&0xFF) }

// A Claim says what a driver needs of a device.
type Claim struct {
	IDs []ID
	// Class, Subclass and Protocol tell the interface.
	Class, Subclass, Protocol byte
	// Endpoints are the addresses of bulk and interrupt endpoints that it must have;
	// 0x80 and up are to the host.
	Endpoints []byte
}

// A Bus is where devices are plugged in. It is safe for concurrent use.
type Bus interface {
	// List returns the devices with one of the ids.
	List(ctx context.Context, ids []ID) ([]Info, error)
	// Open takes hold of the device with one of claim.IDs at a path.
	Open(ctx context.Context, path string, claim Claim) (Device, error)
}

// A Device is an open one. Endpoints may be used by several goroutines, one at a
// time each. A call that ctx ends returns ctx's cause.
type Device interface {
	Info() Info
	// Control makes a request on endpoint 0, where the first arguments are
	// bmRequestType and bRequest. As many bytes as data has go from or into it; the
	// device may give fewer. It takes half a second at most.
	Control(ctx context.Context, kind, request byte, value, index uint16, data []byte) (int, error)
	// Read fills buf until the device ends the transfer by a short packet. A buf
	// that is no multiple of the endpoint's packets may make it fail with
	// ErrOverflow.
	Read(ctx context.Context, endpoint byte, buf []byte) (int, error)
	// Write sends data.
	Write(ctx context.Context, endpoint byte, data []byte) error
	// Close gives the device back. No other call may be under way.
	Close() error
}

// Within bounds calls on a device: past d they fail with ErrTimeout.
func Within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, ErrTimeout)
}

// Clean returns what a device says of itself fit for logs and screens.
func Clean(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s))
}
