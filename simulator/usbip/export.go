package usbip

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// The management phase, which comes before the URB phase on a TCP connection.
const (
	version     = 0x0111
	reqDevices  = 0x8005
	repDevices  = 0x0005
	reqImport   = 0x8003
	repImport   = 0x0003
	busIDSize   = 32
	notGiven    = 1               // status: no such device, or in use
	requestTime = 5 * time.Second // for a client to say what it wants
)

// Serve exports devices to USB/IP clients, as buses 1-1, 1-2 and so on, until
// ctx ends. The clients' devices are unplugged then. A device is plugged into one
// machine at a time.
func Serve(ctx context.Context, ln net.Listener, devices ...Device) error {
	e := &exports{devices: devices, taken: make([]bool, len(devices))}
	var clients sync.WaitGroup
	defer clients.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("usb/ip: %w", err)
		}
		clients.Go(func() {
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			e.manage(conn)
		})
	}
}

type exports struct {
	devices []Device
	mu      sync.Mutex
	taken   []bool
}

// manage answers one client. What it does wrong ends its connection.
func (e *exports) manage(conn net.Conn) {
	if conn.SetDeadline(time.Now().Add(requestTime)) != nil {
		return
	}
	code, busID, err := readRequest(conn)
	if err != nil {
		return
	}
	if code == reqDevices {
		_, _ = conn.Write(e.list())
		return
	}
	i := e.take(busID)
	if i < 0 {
		_, _ = conn.Write(reply(repImport, notGiven))
		return
	}
	defer e.give(i)
	_, err = conn.Write(append(reply(repImport, 0), record(i, e.devices[i].Descriptors())...))
	if err != nil || conn.SetDeadline(time.Time{}) != nil {
		return
	}
	_ = serve(conn, e.devices[i])
}

// readRequest returns what a client asks for: reqDevices, or reqImport and the
// bus of the device.
func readRequest(r io.Reader) (code uint16, busID string, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, "", err
	}
	if v := binary.BigEndian.Uint16(head[:]); v != version {
		return 0, "", fmt.Errorf("%w: version %04x", errProtocol, v)
	}
	switch code = binary.BigEndian.Uint16(head[2:]); code {
	case reqDevices:
		return code, "", nil
	case reqImport:
		var id [busIDSize]byte
		if _, err := io.ReadFull(r, id[:]); err != nil {
			return 0, "", err
		}
		name, _, _ := bytes.Cut(id[:], []byte{0})
		return code, string(name), nil
	}
	return 0, "", fmt.Errorf("%w: request %04x", errProtocol, code)
}

func (e *exports) take(busID string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.devices {
		if busOf(i) == busID && !e.taken[i] {
			e.taken[i] = true
			return i
		}
	}
	return -1
}

func (e *exports) give(i int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.taken[i] = false
}

func (e *exports) list() []byte {
	b := binary.BigEndian.AppendUint32(reply(repDevices, 0), uint32(len(e.devices)))
	for i, d := range e.devices {
		descriptors := d.Descriptors()
		b = append(b, record(i, descriptors)...)
		b = append(b, interfaces(descriptors.Config)...)
	}
	return b
}

func busOf(i int) string { return fmt.Sprintf("1-%d", i+1) }

func reply(code uint16, status uint32) []byte {
	b := binary.BigEndian.AppendUint16(nil, version)
	b = binary.BigEndian.AppendUint16(b, code)
	return binary.BigEndian.AppendUint32(b, status)
}

// record describes a device in 312 bytes. Descriptors too short to have a
// member count as filled up with zeros.
func record(i int, d Descriptors) []byte {
	var names [256 + busIDSize]byte
	copy(names[:], "/sys/devices/twin/"+busOf(i))
	copy(names[256:], busOf(i))
	b := names[:]
	for _, w := range []uint32{1, uint32(i + 1), uint32(d.Speed.orFull())} {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	device := append(slices.Clone(d.Device), make([]byte, 18)...)
	config := append(slices.Clone(d.Config), make([]byte, 9)...)
	for _, at := range []int{8, 10, 12} { // vendor, product, release
		b = binary.BigEndian.AppendUint16(b, binary.LittleEndian.Uint16(device[at:]))
	}
	count := len(interfaces(d.Config)) / 4
	return append(b, device[4], device[5], device[6], config[5], device[17], byte(count))
}

// interfaces lists class, subclass and protocol of each interface, and a byte of
// padding.
func interfaces(config []byte) []byte {
	var b []byte
	for len(config) >= 2 {
		n := int(config[0])
		if n < 2 || n > len(config) || len(b) == 4*255 {
			break
		}
		if config[1] == 4 && n >= 9 && config[3] == 0 { // first setting of an interface
			b = append(b, config[5], config[6], config[7], 0)
		}
		config = config[n:]
	}
	return b
}

func (s Speed) orFull() Speed {
	if s == 0 {
		return Full
	}
	return s
}

// errNoPort: the kernel's virtual hub is full or missing.
var errNoPort = errors.New("no free port on a virtual usb hub")
