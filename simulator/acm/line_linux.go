package acm

import (
	"os"

	"golang.org/x/sys/unix"
)

// openLine opens a serial port for bytes as they are.
func openLine(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
}

// setRate sets a port to a rate in bits per second. One that hung up has none.
func setRate(line *os.File, rate uint32) {
	conn, err := line.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		settings, err := unix.IoctlGetTermios(int(fd), unix.TCGETS2)
		if err != nil {
			return
		}
		settings.Cflag = settings.Cflag&^unix.CBAUD | unix.BOTHER
		settings.Ispeed, settings.Ospeed = rate, rate
		_ = unix.IoctlSetTermios(int(fd), unix.TCSETS2, settings)
	})
}
