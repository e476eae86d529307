package serial

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// A pty is a pseudo-terminal pair: the module holds master, a driver opens the
// other end by name. The pair keeps that end open itself, as a module keeps its
// wires: what the driver set on it outlives the driver.
type pty struct {
	master, slave *os.File
}

// openPTY returns a new pair in raw mode and the name of its other end.
func openPTY() (*pty, string, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, "", err
	}
	var number, locked uint32
	if err := ioctl(master, syscall.TIOCSPTLCK, unsafe.Pointer(&locked)); err != nil {
		master.Close()
		return nil, "", fmt.Errorf("unlock pseudo-terminal: %w", err)
	}
	if err := ioctl(master, syscall.TIOCGPTN, unsafe.Pointer(&number)); err != nil {
		master.Close()
		return nil, "", fmt.Errorf("number of pseudo-terminal: %w", err)
	}
	name := fmt.Sprintf("/dev/pts/%d", number)
	slave, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		master.Close()
		return nil, "", err
	}
	p := &pty{master, slave}
	if err := p.raw(); err != nil {
		p.close()
		return nil, "", err
	}
	return p, name, nil
}

// raw makes the line carry bytes as they are, and echo none.
func (p *pty) raw() error {
	var t syscall.Termios
	if err := ioctl(p.slave, syscall.TCGETS, unsafe.Pointer(&t)); err != nil {
		return fmt.Errorf("settings of pseudo-terminal: %w", err)
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cc[syscall.VMIN], t.Cc[syscall.VTIME] = 1, 0
	if err := ioctl(p.slave, syscall.TCSETS, unsafe.Pointer(&t)); err != nil {
		return fmt.Errorf("settings of pseudo-terminal: %w", err)
	}
	return nil
}

// tcgets2 is TCGETS2 of asm-generic/ioctls.h: it tells rates that have no name.
const tcgets2 = 0x802C542A

// termios2 is struct termios2 of asm-generic/termbits.h.
type termios2 struct {
	iflag, oflag, cflag, lflag uint32
	line                       uint8
	cc                         [19]uint8
	ispeed, ospeed             uint32
}

// baud returns the rate that the driver set, in bits per second.
func (p *pty) baud() int {
	var t termios2
	if ioctl(p.master, tcgets2, unsafe.Pointer(&t)) != nil {
		return 0
	}
	return int(t.ospeed)
}

// close hangs up: the driver sees its device vanish.
func (p *pty) close() {
	p.master.Close()
	p.slave.Close()
}

func ioctl(f *os.File, request uintptr, argument unsafe.Pointer) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	err = conn.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(argument))
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}
