// Package usbtest is a usb.Bus without hardware: twins of scanners are plugged
// into it in the process of a test. It keeps to the promises of package usb as
// the machine's bus does. It also has what the tests and benchmarks of readers in
// a real kernel share.
package usbtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"
	"unicode/utf16"

	"sbid/driver"
	"sbid/driver/internal/usb"
)

// A Host is the end of the cable that a twin is plugged in with. Its errors are
// the kernel's.
type Host interface {
	Control(ctx context.Context, kind, request byte, value, index uint16, data []byte) (int, error)
	Transfer(ctx context.Context, endpoint byte, buf []byte) (int, error)
}

// A Bus has sockets by path. The zero value is empty.
type Bus struct {
	mu      sync.Mutex
	sockets map[string]*socket
}

type socket struct {
	host    Host
	claimed bool
}

// Plug plugs a device in at path. What was there is out.
func (b *Bus) Plug(path string, h Host) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sockets == nil {
		b.sockets = map[string]*socket{}
	}
	b.sockets[path] = &socket{host: h}
}

// List asks every device who it is.
func (b *Bus) List(ctx context.Context, ids []usb.ID) ([]usb.Info, error) {
	b.mu.Lock()
	sockets := maps.Clone(b.sockets)
	b.mu.Unlock()
	var infos []usb.Info
	for path, s := range sockets {
		d := &device{socket: s, bus: b}
		if d.describe(ctx, path) == nil && slices.Contains(ids, d.info.ID) {
			infos = append(infos, d.info)
		}
	}
	return infos, nil
}

// Open claims the device at path.
func (b *Bus) Open(ctx context.Context, path string, claim usb.Claim) (usb.Device, error) {
	b.mu.Lock()
	s := b.sockets[path]
	b.mu.Unlock()
	if s == nil {
		return nil, fmt.Errorf("open %s: %w", path, driver.ErrRemoved)
	}
	d := &device{socket: s, bus: b}
	if err := d.describe(ctx, path); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if !slices.Contains(claim.IDs, d.info.ID) {
		return nil, fmt.Errorf("open %s: %w", path, driver.ErrRemoved)
	}
	config := make([]byte, 512)
	n, err := d.Control(ctx, 0x80, 6, 0x0200, 0, config)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if !fits(config[:n], claim) {
		return nil, fmt.Errorf("open %s: %w", path, usb.ErrDescriptors)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.claimed {
		return nil, fmt.Errorf("open %s: %w", path, driver.ErrHeld)
	}
	s.claimed = true
	return d, nil
}

// fits looks for an interface with the claimed class and endpoints.
func fits(config []byte, claim usb.Claim) bool {
	var missing []byte
	within := false
	for len(config) >= 2 && config[0] >= 2 && int(config[0]) <= len(config) {
		d := config[:config[0]]
		config = config[config[0]:]
		switch {
		case d[1] == 4 && len(d) >= 9:
			within = d[5] == claim.Class && d[6] == claim.Subclass && d[7] == claim.Protocol
			missing = slices.Clone(claim.Endpoints)
		case d[1] == 5 && len(d) >= 7 && d[3]&2 != 0 && (d[4] != 0 || d[5] != 0):
			missing = slices.DeleteFunc(missing, func(e byte) bool { return e == d[2] })
		}
		if within && len(missing) == 0 {
			return true
		}
	}
	return false
}

type device struct {
	socket *socket
	bus    *Bus
	info   usb.Info
}

func (d *device) describe(ctx context.Context, path string) error {
	b := make([]byte, 18)
	n, err := d.Control(ctx, 0x80, 6, 0x0100, 0, b)
	if err != nil {
		return err
	}
	if n < len(b) {
		return usb.ErrDescriptors
	}
	d.info = usb.Info{
		ID:      usb.ID{Vendor: binary.LittleEndian.Uint16(b[8:]), Product: binary.LittleEndian.Uint16(b[10:])},
		Release: binary.LittleEndian.Uint16(b[12:]),
		Path:    path,
		Make:    d.text(ctx, b[14]), Model: d.text(ctx, b[15]), Serial: d.text(ctx, b[16]),
	}
	return nil
}

// text reads a string descriptor; "" where there is none.
func (d *device) text(ctx context.Context, index byte) string {
	b := make([]byte, 255)
	n, err := d.Control(ctx, 0x80, 6, 0x0300|uint16(index), 0x0409, b)
	if index == 0 || err != nil || n < 2 {
		return ""
	}
	var units []uint16
	for b = b[2:n]; len(b) >= 2; b = b[2:] {
		units = append(units, binary.LittleEndian.Uint16(b))
	}
	return usb.Clean(string(utf16.Decode(units)))
}

func (d *device) Info() usb.Info { return d.info }

// patience is what the machine's bus has with a request.
const patience = 500 * time.Millisecond

func (d *device) Control(ctx context.Context, kind, request byte, value, index uint16, data []byte) (int, error) {
	ctx, stop := usb.Within(ctx, patience)
	defer stop()
	n, err := d.socket.host.Control(ctx, kind, request, value, index, data)
	if err != nil {
		return 0, fmt.Errorf("control request %02x %02x to %04x: %w", kind, request, value, translate(err))
	}
	return n, nil
}

func (d *device) Read(ctx context.Context, endpoint byte, buf []byte) (int, error) {
	n, err := d.transfer(ctx, endpoint, buf)
	if err != nil {
		err = fmt.Errorf("read endpoint %02x: %w", endpoint, err)
	}
	return n, err
}

func (d *device) Write(ctx context.Context, endpoint byte, data []byte) error {
	if _, err := d.transfer(ctx, endpoint, data); err != nil {
		return fmt.Errorf("write endpoint %02x: %w", endpoint, err)
	}
	return nil
}

func (d *device) transfer(ctx context.Context, endpoint byte, buf []byte) (int, error) {
	n, err := d.socket.host.Transfer(ctx, endpoint, buf)
	if err = translate(err); errors.Is(err, usb.ErrStall) {
		_, _ = d.Control(ctx, 0x02, 1, 0, uint16(endpoint), nil)
	}
	return n, err
}

// translate is an error of the kernel in the words of package usb. What else
// there is, is a context's cause.
func translate(err error) error {
	switch {
	case errors.Is(err, syscall.ENODEV):
		return driver.ErrRemoved
	case errors.Is(err, syscall.EPIPE):
		return usb.ErrStall
	case errors.Is(err, syscall.EOVERFLOW):
		return usb.ErrOverflow
	case errors.Is(err, syscall.EPROTO):
		return usb.ErrTransfer
	}
	return err
}

// Close gives the device back.
func (d *device) Close() error {
	d.bus.mu.Lock()
	defer d.bus.mu.Unlock()
	d.socket.claimed = false
	return nil
}
