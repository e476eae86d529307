package usbip

import (
	"errors"
	"fmt"
	"iter"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const vhci = "/sys/devices/platform/vhci_hcd.0/"

// attaching is held while something is plugged in or out.
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
	cable.leave = func() func() { return leave(p) }
	cable.find = func() (string, error) { return awaitUsed(p, cable.done) }
	return cable, nil
}

// give hands the host's end of a cable to a free port of a virtual hub.
func give(end *os.File, speed Speed) (port, error) {
	attaching.Lock()
	defer attaching.Unlock()
	for {
		status, err := tables()
		if err != nil {
			return port{}, err
		}
		p, err := freePort(status, speed)
		if err != nil {
			return port{}, err
		}
		// The device's number is the server's business and means nothing here.
		order := fmt.Sprintf("%d %d %d %d", p.number, end.Fd(), 0x10001, speed)
		err = os.WriteFile(vhci+"attach", []byte(order), 0)
		if !errors.Is(err, syscall.EBUSY) { // another process took the port meanwhile
			return p, err
		}
	}
}

// tables returns the tables of all virtual hubs, joined. Each hub enumerates one
// device at a time: processes begin with different ones.
func tables() (string, error) {
	names, err := filepath.Glob(vhci + "status*")
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "", fmt.Errorf("no %s (is the module vhci-hcd loaded?)", vhci)
	}
	var all strings.Builder
	for i := range names {
		b, err := os.ReadFile(names[(os.Getpid()+i)%len(names)])
		if err != nil {
			return "", err
		}
		all.Write(b)
	}
	return all.String(), nil
}

// letGo bounds how long the kernel may take to notice a pulled cable.
const letGo = 5 * time.Second

// leave keeps others from plugging in until the kernel has let go of the device
// on a port. The table says that the port is free before the hub has noticed,
// and what is plugged in between is not always enumerated. A device that is
// plugged in again finds its port.
func leave(p port) (wait func()) {
	attaching.Lock()
	status, _ := tables() // without it there is nothing to wait for
	node := "/sys/bus/usb/devices/" + usedPorts(status)[p]
	return func() {
		defer attaching.Unlock()
		for end := time.Now().Add(letGo); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			status, err := tables()
			if err != nil {
				return
			}
			_, err = os.Stat(node)
			gone := err != nil || strings.HasSuffix(node, "/")
			if gone && slices.Contains(freePorts(status), p) {
				return
			}
		}
	}
}

// awaitUsed waits until the kernel has enumerated what is on a port, and returns
// its bus id.
func awaitUsed(p port, gone <-chan struct{}) (string, error) {
	for end := time.Now().Add(enumeration); time.Now().Before(end); {
		status, err := tables()
		if err != nil {
			return "", err
		}
		if id := usedPorts(status)[p]; id != "" {
			return id, nil
		}
		select {
		case <-gone:
			return "", errNotAttached
		case <-time.After(5 * time.Millisecond):
		}
	}
	return "", fmt.Errorf("the kernel did not enumerate the device in %v", enumeration)
}

// enumeration bounds what takes half a second on an idle machine.
const enumeration = 20 * time.Second

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

// freePorts lists the ports in state 4, which are free.
func freePorts(status string) []port {
	var free []port
	for p, f := range rows(status) {
		if f[2] == "004" {
			free = append(free, p)
		}
	}
	return free
}

// usedPorts are the bus ids of the devices on ports in state 6, which are in use.
func usedPorts(status string) map[port]string {
	used := map[port]string{}
	for p, f := range rows(status) {
		if f[2] == "006" && len(f) > 6 {
			used[p] = f[6]
		}
	}
	return used
}

// rows reads the hub's table. A row is: hub, port, state, speed, device, socket,
// bus id.
func rows(status string) iter.Seq2[port, []string] {
	return func(yield func(port, []string) bool) {
		for line := range strings.Lines(status) {
			f := strings.Fields(line)
			if len(f) < 3 {
				continue
			}
			if number, err := strconv.Atoi(f[1]); err == nil && !yield(port{f[0], number}, f) {
				return
			}
		}
	}
}
