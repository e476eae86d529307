package usbip

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
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
	if err := give(kernels, d.Descriptors().Speed.orFull()); err != nil {
		_ = cable.Pull() // the reason is err
		return nil, fmt.Errorf("attach usb device: %w", err)
	}
	return cable, nil
}

// give hands the host's end of a cable to a free port of the virtual hub.
func give(end *os.File, speed Speed) error {
	attaching.Lock()
	defer attaching.Unlock()
	status, err := os.ReadFile(vhci + "status")
	if err != nil {
		return fmt.Errorf("%w (is the module vhci-hcd loaded?)", err)
	}
	port, err := freePort(string(status), speed)
	if err != nil {
		return err
	}
	// The device's number is the server's business and means nothing here.
	order := fmt.Sprintf("%d %d %d %d", port, end.Fd(), 0x10001, speed)
	return os.WriteFile(vhci+"attach", []byte(order), 0)
}

// freePort reads the hub's table: "hs 0003 004 …" is port 3 for speeds up to
// high, in state 4, which is free.
func freePort(status string, speed Speed) (int, error) {
	hub := "hs"
	if speed == Super {
		hub = "ss"
	}
	for line := range strings.Lines(status) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != hub || fields[2] != "004" {
			continue
		}
		port, err := strconv.Atoi(fields[1])
		if err != nil {
			return 0, fmt.Errorf("read %sstatus: %w", vhci, err)
		}
		return port, nil
	}
	return 0, errNoPort
}
