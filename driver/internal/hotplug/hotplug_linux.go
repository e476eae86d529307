package hotplug

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Watch calls changed after devices of these subsystems (usb, tty, video4linux)
// came or went, once for a burst of events and never twice at a time, and once
// when it has begun to listen. It returns
// nil when ctx has ended and, at once or later, an error where the kernel's
// events cannot be had, as in a sandbox without AF_NETLINK; then the caller
// polls.
func Watch(ctx context.Context, subsystems []string, changed func()) error {
	socket, err := listen()
	if err != nil {
		return fmt.Errorf("listen to kernel events: %w", err)
	}
	defer socket.Close()
	// The end of ctx wakes the reader; a deadline in the past is never reset.
	defer context.AfterFunc(ctx, func() { _ = socket.SetReadDeadline(time.Unix(1, 0)) })()

	events := make(chan struct{}, 1)
	tell(events) // what came before this socket was there, nobody heard
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		defer close(events)
		err = read(socket, func(e event) {
			if e.plugging() && slices.Contains(subsystems, e.subsystem) {
				tell(events)
			}
		}, func() { tell(events) })
	})
	settle(ctx, events, changed)
	wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("read kernel events: %w", err)
}

// tell leaves word; one that still waits to be heard is enough.
func tell(events chan<- struct{}) {
	select {
	case events <- struct{}{}:
	default:
	}
}

// kernelGroup is the multicast group of the kernel's own events; udev's is 2.
const kernelGroup = 1

func listen() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return os.NewFile(uintptr(fd), "uevent"), nil
}

// read hands on the kernel's events until the socket's deadline. lost is called
// when events were dropped because they came too fast.
func read(socket *os.File, use func(event), lost func()) error {
	conn, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	buf := make([]byte, 8192) // the kernel's messages are at most 2 KiB and a path long
	for {
		var n int
		var from unix.Sockaddr
		var failed error
		if err := conn.Read(func(fd uintptr) bool {
			n, from, failed = unix.Recvfrom(int(fd), buf, 0)
			return failed != unix.EAGAIN
		}); err != nil {
			return err
		}
		switch {
		case errors.Is(failed, unix.ENOBUFS):
			lost()
			continue
		case errors.Is(failed, unix.EINTR):
			continue
		case failed != nil:
			return os.NewSyscallError("recvfrom", failed)
		}
		// Any process may send here; only the kernel does so as number 0.
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue
		}
		if e, ok := parse(buf[:n]); ok {
			use(e)
		}
	}
}
