package usbip

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const vhci = "/sys/devices/platform/vhci_hcd.0/"

// attaching keeps two devices from being plugged into one port.
var attaching sync.Mutex

// Attach plugs d into this machine. It returns when the kernel has the cable;
// enumeration takes up to half a second more. It needs root and the kernel
// module vhci-hcd: modprobe vhci-hcd.
func Attach(d Device) (*Cable, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("attach usb device: %w", err)
	}
	kernels, ours := os.NewFile(uintptr(fds[0]), "kernel"), os.NewFile(uintptr(fds[1]), "device")
	defer kernels.Close() // the kernel keeps its own reference
	defer ours.Close()    // and the connection has another
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("attach usb device: %w", err)
	}
	cable := plug(conn, d)
	p, err := give(kernels, d.Descriptors().Speed.orFull())
	if err != nil {
		_ = cable.Pull() // the reason is err
		return nil, fmt.Errorf("attach usb device: %w", err)
	}
	cable.free = func() { awaitFree(p) }
	return cable, nil
}

// give hands the host's end of a cable to a free port of the virtual hub.
func give(end *os.File, speed Speed) (port, error) {
	attaching.Lock()
	defer attaching.Unlock()
	status, err := os.ReadFile(vhci + "status")
	if err != nil {
		return port{}, fmt.Errorf("%w (is the module vhci-hcd loaded?)", err)
	}
	p, err := freePort(string(status), speed)
	if err != nil {
		return port{}, err
	}
	// The device's number is the server's business and means nothing here.
	order := fmt.Sprintf("%d %d %d %d", p.number, end.Fd(), 0x10001, speed)
	return p, os.WriteFile(vhci+"attach", []byte(order), 0)
}

// letGo bounds how long the kernel may take to notice a pulled cable.
const letGo = 5 * time.Second

// awaitFree waits until a port can be used again, so that a device that is
// plugged in again finds its port.
func awaitFree(p port) {
	for end := time.Now().Add(letGo); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		status, err := os.ReadFile(vhci + "status")
		if err != nil || slices.Contains(freePorts(string(status)), p) {
			return
		}
	}
}

// A port is one of the virtual hub's.
type port struct {
	hub    string // hs: up to high speed, ss: super speed
	number int
}

// freePort returns the first free port for a speed.
func freePort(status string, speed Speed) (port, error) {
	for _, p := range freePorts(status) {
		if (p.hub == "ss") == (speed == Super) {
			return p, nil
		}
	}
	return port{}, errNoPort
}

// freePorts reads the hub's table: "hs 0003 004 …" is port 3, in state 4, which
// is free.
func freePorts(status string) []port {
	var free []port
	for line := range strings.Lines(status) {
		f := strings.Fields(line)
		if len(f) < 3 || f[2] != "004" {
			continue
		}
		if number, err := strconv.Atoi(f[1]); err == nil {
			free = append(free, port{f[0], number})
		}
	}
	return free
}
