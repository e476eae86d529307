package hotplug

import (
	"bytes"
	"testing"
)

// What the kernel said when a scanner was plugged in, and what is not its word.
func TestParse(t *testing.T) {
	const plug = "add@/devices/platform/vhci_hcd.0/usb1/1-1\x00ACTION=add\x00DEVPATH=/devices/platform/vhci_hcd.0/usb1/1-1\x00" +
		"SUBSYSTEM=usb\x00MAJOR=189\x00MINOR=14\x00DEVNAME=bus/usb/001/015\x00DEVTYPE=usb_device\x00PRODUCT=1209/1/100\x00SEQNUM=1234\x00"
	for name, tt := range map[string]struct {
		message  string
		ok, plug bool
		want     event
	}{
		"plugged in":        {plug, true, true, event{"add", "usb"}},
		"unplugged":         {"remove@/devices/x\x00ACTION=remove\x00SUBSYSTEM=tty\x00", true, true, event{"remove", "tty"}},
		"opened":            {"bind@/devices/x\x00ACTION=bind\x00SUBSYSTEM=usb\x00", true, false, event{"bind", "usb"}},
		"without end":       {"add@/devices/x\x00ACTION=add\x00SUBSYSTEM=video4linux", true, true, event{"add", "video4linux"}},
		"udev's own":        {"libudev\x00\xfe\xed\xca\xfe\x28\x00\x00\x00", false, false, event{}},
		"two minds":         {"add@/devices/x\x00ACTION=remove\x00SUBSYSTEM=usb\x00", false, false, event{}},
		"no action":         {"add@/devices/x\x00SUBSYSTEM=usb\x00", false, false, event{}},
		"no path":           {"add@\x00ACTION=add\x00", false, false, event{}},
		"nothing":           {"", false, false, event{}},
		"a subsystem's lie": {"add@/devices/x\x00ACTION=add\x00SUBSYSTEM=" + string(bytes.Repeat([]byte{'u'}, 100)) + "\x00", true, true, event{"add", ""}},
	} {
		got, ok := parse([]byte(tt.message))
		if ok != tt.ok || ok && (got != tt.want || got.plugging() != tt.plug) {
			t.Errorf("%s: %+v, %v; want %+v, %v", name, got, ok, tt.want, tt.ok)
		}
	}
}

// Whatever comes, an event has an action and short values.
func FuzzParse(f *testing.F) {
	f.Add([]byte("add@/devices/x\x00ACTION=add\x00SUBSYSTEM=usb\x00"))
	f.Add([]byte("@/\x00ACTION=\x00=\x00\x00"))
	f.Fuzz(func(t *testing.T, message []byte) {
		e, ok := parse(message)
		if len(e.action) > maxValue || len(e.subsystem) > maxValue {
			t.Errorf("%d bytes are kept", len(e.action)+len(e.subsystem))
		}
		if ok && !bytes.HasPrefix(message, []byte(e.action+"@/")) {
			t.Errorf("action %q of %q", e.action, message)
		}
	})
}
