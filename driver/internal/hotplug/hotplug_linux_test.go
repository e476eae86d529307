package hotplug

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel tells of a device again when asked through sysfs, as udev does at
// start. That is a real event of a real kernel.
func TestWatch(t *testing.T) {
	const device = "/sys/class/tty/tty0/uevent"
	ctx, stop := context.WithCancel(t.Context())
	changed := make(chan struct{}, 16)
	ended := make(chan error, 1)
	go func() { ended <- Watch(ctx, []string{"tty"}, func() { changed <- struct{}{} }) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error("watch:", err)
		}
	}()

	// The socket may not be there yet when the first event is sent.
	var heard bool
	for range 5 {
		if err := os.WriteFile(device, []byte("add"), 0o200); err != nil {
			t.Skip("this machine's kernel makes no events for us:", err)
		}
		select {
		case <-changed:
			heard = true
		case err := <-ended:
			ended <- nil
			t.Skip("no kernel events here:", err)
		case <-time.After(2 * quiet):
			continue
		}
		break
	}
	if !heard {
		t.Skip("the kernel sends its events elsewhere: this is a container")
	}
	if err := os.WriteFile(device, []byte("change"), 0o200); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
		t.Error("a change of settings was told as plugging")
	case <-time.After(2 * quiet):
	}
}

// Only the kernel is believed: whoever may send to the group cannot make the
// service look for scanners all day. The end of ctx ends the wait.
func TestNotTheKernel(t *testing.T) {
	socket, err := listen()
	if err != nil {
		t.Skip("no netlink here:", err)
	}
	defer socket.Close()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	message := []byte("add@/devices/x\x00ACTION=add\x00SUBSYSTEM=usb\x00")
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		t.Skip("may not send to the kernel's group:", err)
	}
	if err := socket.SetReadDeadline(time.Now().Add(quiet)); err != nil {
		t.Fatal(err)
	}
	err = read(socket, func(e event) {
		if e == (event{"add", "usb"}) {
			t.Error("a process was taken for the kernel")
		}
	}, func() {})
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read ended with %v", err)
	}
}
