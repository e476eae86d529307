//go:build amd64 || arm64

package v4l2

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sbid/driver"
)

// A node is a video node that the kernel shows, as /sys tells of it.
type node struct {
	addr  string // of the scanner behind it
	path  string // of the device node
	key   string // another one for each plugging
	index int    // of the device's video nodes; pictures come from the first, mostly

	usb       string // the device's folder; "" for what is not on USB
	control   byte   // number of the video function's control interface
	id        string // vendor:product
	serial    string
	make      string
	model     string
	release   string
	connected string // the socket
}

// nodes lists the video nodes below root, which is / but in tests.
func nodes(root string) []node {
	folder := filepath.Join(root, "sys/class/video4linux")
	entries, _ := os.ReadDir(folder) // without the kernel's module there is no camera either
	var all []node
	for _, e := range entries {
		if n, ok := look(root, filepath.Join(folder, e.Name())); ok {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b node) int {
		return cmp.Or(strings.Compare(a.addr, b.addr), cmp.Compare(a.index, b.index))
	})
	return all
}

// functions are names of USB interfaces in /sys, like 1-2.3:1.0.
var functions = regexp.MustCompile(`^([0-9]+-[0-9.]+):[0-9]+\.([0-9]+)$`)

func look(root, folder string) (node, bool) {
	name := filepath.Base(folder)
	device, err := filepath.EvalSymlinks(filepath.Join(folder, "device"))
	if !strings.HasPrefix(name, "video") || err != nil {
		return node{}, false
	}
	index, err := strconv.Atoi(attribute(folder, "index"))
	if err != nil {
		return node{}, false
	}
	n := node{path: filepath.Join(root, "dev", name), index: index}
	function := functions.FindStringSubmatch(filepath.Base(device))
	if function == nil {
		n.connected = "video:" + filepath.Base(device)
		n.make, n.model = "Generic", attribute(folder, "name")
	} else {
		n.usb = filepath.Dir(device)
		number, _ := strconv.ParseUint(function[2], 10, 8)
		n.control = byte(number)
		n.connected = "usb:" + function[1]
		n.id = attribute(n.usb, "idVendor") + ":" + attribute(n.usb, "idProduct")
		n.serial = attribute(n.usb, "serial")
		n.make = cmp.Or(attribute(n.usb, "manufacturer"), "Generic")
		n.model = cmp.Or(attribute(n.usb, "product"), "Camera "+n.id)
		n.release = attribute(n.usb, "bcdDevice")
	}
	// A second function of one USB device, and a second camera of one function.
	n.addr = n.connected
	if n.control > 0 {
		n.addr += "/" + strconv.Itoa(int(n.control))
	}
	n.key = n.path + " " + attribute(folder, "dev") + " " + device + " " + attribute(n.usb, "devnum")
	return n, true
}

// attribute reads a file of /sys; "" if there is none.
func attribute(folder, name string) string {
	if folder == "" {
		return ""
	}
	b, _ := os.ReadFile(filepath.Join(folder, name))
	return strings.TrimSpace(strings.ToValidUTF8(string(b), "?"))
}

// info is what /sys tells of the scanner.
func (n *node) info() driver.Info {
	info := driver.Info{Addr: n.addr, Path: n.addr, Serial: n.serial, Make: n.make, Model: n.model}
	if len(n.release) == 4 { // binary-coded decimal
		info.Firmware = strings.TrimPrefix(n.release[:2], "0") + "." + n.release[2:]
	}
	return info
}

// fits reports whether a camera of the configuration means this node.
func (n *node) fits(c *Camera) bool {
	return (c.Path == "" || c.Path == n.connected || c.Path == n.addr) &&
		(c.ID == "" || c.ID == n.id) && (c.Serial == "" || c.Serial == n.serial)
}
