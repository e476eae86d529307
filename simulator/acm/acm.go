// Package acm has the twin of a USB serial adapter of class CDC-ACM, plugged into
// a machine by USB/IP. What is soldered to its other end is a serial port of this
// machine, such as the line of a module's twin in package simulator/serial: what
// the kernel's driver sets, rate and all, is set there.
package acm

import (
	"fmt"
	"os"
	"sync"

	"sbid/simulator/usbip"
)

// An Adapter says which one a twin is.
type Adapter struct {
	Path            string // of the serial port behind it
	Vendor, Product uint16 // 0: 1209:0002
	Serial          string // "": none
}

// A Twin is one adapter. Its methods may be called from any goroutine.
type Twin struct {
	adapter Adapter

	plugging sync.Mutex
	cable    *usbip.Cable // nil while unplugged
	reading  sync.WaitGroup

	line   *os.File // of the port behind it
	sent   usbip.Queue
	coding [7]byte // what the host set: rate, stop bits, parity, data bits
	mu     sync.Mutex
}

// Start plugs an adapter into this machine. It takes root and the kernel's module
// vhci-hcd; half a second later there is a port like /dev/ttyACM0.
func Start(a Adapter) (*Twin, error) {
	if a.Vendor == 0 {
		a.Vendor, a.Product = 0x1209, 0x0002
	}
	t := &Twin{adapter: a}
	return t, t.Plug()
}

// Plug powers the adapter on. One that is plugged in stays so.
func (t *Twin) Plug() error {
	t.plugging.Lock()
	defer t.plugging.Unlock()
	if t.cable != nil {
		return nil
	}
	line, err := openLine(t.adapter.Path)
	if err != nil {
		return fmt.Errorf("plug in an adapter: %w", err)
	}
	t.line = line
	t.sent.Clear()
	cable, err := usbip.Attach(t)
	if err != nil {
		line.Close()
		return fmt.Errorf("plug in an adapter: %w", err)
	}
	t.cable = cable
	t.reading.Go(func() { t.read(line) })
	return nil
}

// Unplug takes the adapter away in whatever it is doing.
func (t *Twin) Unplug() {
	t.plugging.Lock()
	defer t.plugging.Unlock()
	if t.cable == nil {
		return
	}
	_ = t.cable.Pull() // what the host did wrong before is not the adapter's business
	t.cable = nil
	t.line.Close()
	t.reading.Wait()
}

// read hands on what comes from the port until that is closed or hangs up.
func (t *Twin) read(line *os.File) {
	for {
		b := make([]byte, 4*packetSize)
		n, err := line.Read(b)
		if err != nil {
			return
		}
		t.sent.Put(b[:n], packetSize)
	}
}
