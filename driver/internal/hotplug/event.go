package hotplug

import "bytes"

// An event is what the kernel says about one device.
type event struct {
	action    string // add, remove, bind, change ...
	subsystem string // usb, tty, video4linux ...
}

// maxValue bounds what is kept of a message: the kernel's names are short.
const maxValue = 64

// parse reads a message of the kernel: ACTION@PATH, then KEY=VALUE, each ended
// by a zero byte (lib/kobject_uevent.c). What udev says to its own listeners on
// the same kind of socket begins otherwise and is no event.
func parse(message []byte) (event, bool) {
	var e event
	head, rest, found := bytes.Cut(message, []byte{0})
	action, path, at := bytes.Cut(head, []byte{'@'})
	if !found || !at || len(path) == 0 || path[0] != '/' {
		return e, false
	}
	for len(rest) > 0 {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte{0})
		key, value, _ := bytes.Cut(line, []byte{'='})
		if len(value) > maxValue {
			continue
		}
		switch string(key) {
		case "ACTION":
			e.action = string(value)
		case "SUBSYSTEM":
			e.subsystem = string(value)
		}
	}
	return e, e.action != "" && e.action == string(action)
}

// plugging says whether a device came or went. Opening a scanner makes events,
// too: its interface is bound to another driver and back.
func (e event) plugging() bool { return e.action == "add" || e.action == "remove" }
