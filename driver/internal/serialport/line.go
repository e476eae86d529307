// Package serialport is what drivers of scanners on a serial line share: a line
// whose every wait is bounded and can be cancelled, and the search for the
// ports that have a scanner.
package serialport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"

	"go.bug.st/serial"

	"sbid/driver"
)

// What a line can fail with, besides driver.ErrRemoved and the end of a context.
var (
	// ErrSilent: nothing more came in time.
	ErrSilent = errors.New("no answer in time")
	// ErrNoise: bytes came without end.
	ErrNoise = errors.New("bytes without end")
)

// slice bounds one read, and so how late the end of a context is noticed.
const slice = 50 * time.Millisecond

// A Line is an open serial port, 8 data bits, no parity, 1 stop bit. It is used
// by one goroutine at a time.
type Line struct {
	port   serial.Port
	name   string
	store  [4096]byte
	unread []byte // of store
}

// Open opens the port called name at baud bits per second. The modem lines are
// left as the system sets them: pseudo-terminals have none.
//
// It fails with driver.ErrRemoved when there is no such port, and with
// driver.ErrNotReady when another program has it.
func Open(name string, baud int) (*Line, error) {
	port, err := serial.Open(name, mode(baud))
	if err != nil {
		return nil, fmt.Errorf("open %s at %d baud: %w", name, baud, openError(err))
	}
	return &Line{port: port, name: name}, nil
}

func mode(baud int) *serial.Mode {
	return &serial.Mode{BaudRate: baud, DataBits: 8, Parity: serial.NoParity, StopBits: serial.OneStopBit}
}

// openError gives an error of opening a port the meaning that it has for a
// scanner.
func openError(err error) error {
	if portErr, ok := errors.AsType[*serial.PortError](err); ok {
		switch portErr.Code() {
		case serial.PortBusy:
			return fmt.Errorf("%w: another program has the port", driver.ErrNotReady)
		case serial.PermissionDenied:
			return fmt.Errorf("%w: %w: may this user open serial ports (group dialout)?", driver.ErrNotReady, fs.ErrPermission)
		case serial.PortNotFound, serial.PortClosed:
			return fmt.Errorf("%w: %w", driver.ErrRemoved, err)
		}
	}
	for _, gone := range []error{fs.ErrNotExist, syscall.ENXIO, syscall.ENODEV, syscall.EIO} {
		if errors.Is(err, gone) {
			return fmt.Errorf("%w: %w", driver.ErrRemoved, err)
		}
	}
	return err
}

// SetBaud changes the rate of the open line.
func (l *Line) SetBaud(baud int) error {
	if err := l.port.SetMode(mode(baud)); err != nil {
		return fmt.Errorf("set %s to %d baud: %w", l.name, baud, openError(err))
	}
	return nil
}

// Close closes the port.
func (l *Line) Close() error { return l.port.Close() }

// Send writes p, after dropping what came in and was not read: on a half-duplex
// line that is late or nobody's.
func (l *Line) Send(p []byte) error {
	l.unread = nil
	// What a dead peer never took must not fill the buffer, or Write would block.
	// Ports that cannot drop it have none.
	_ = l.port.ResetOutputBuffer()
	if err := l.port.ResetInputBuffer(); err != nil {
		return l.gone("reset", err)
	}
	for len(p) > 0 {
		n, err := l.port.Write(p)
		if err != nil {
			return l.gone("write", err)
		}
		p = p[n:]
	}
	return nil
}

// gone is for an error of an open port: there is none that a port that is still
// there would give.
func (l *Line) gone(what string, err error) error {
	return fmt.Errorf("%s %s: %w: %w", what, l.name, driver.ErrRemoved, err)
}

// Reader reads from the line until by, or until ctx ends. Its Read returns what
// has come, at least one byte, or else ErrSilent, driver.ErrRemoved or the cause
// of the end of ctx.
func (l *Line) Reader(ctx context.Context, by time.Time) io.Reader {
	return reader{func(p []byte) (int, error) {
		if len(l.unread) == 0 {
			if err := l.fill(ctx, by); err != nil {
				return 0, err
			}
		}
		n := copy(p, l.unread)
		l.unread = l.unread[n:]
		return n, nil
	}}
}

// A reader is a function that reads. The context is bound by a closure, since
// it lives no longer than one read of one answer.
type reader struct{ read func([]byte) (int, error) }

func (r reader) Read(p []byte) (int, error) { return r.read(p) }

func (l *Line) fill(ctx context.Context, by time.Time) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		left := time.Until(by)
		if left <= 0 {
			return fmt.Errorf("read %s: %w", l.name, ErrSilent)
		}
		if err := l.port.SetReadTimeout(min(max(left, time.Millisecond), slice)); err != nil {
			return l.gone("read", err)
		}
		n, err := l.port.Read(l.store[:])
		if err != nil {
			return l.gone("read", err)
		}
		if n > 0 {
			l.unread = l.store[:n]
			return nil
		}
	}
}

// Drain reads and drops until nothing came for silence. It fails with ErrNoise
// when bytes still come after limit.
func (l *Line) Drain(ctx context.Context, silence, limit time.Duration) error {
	end := time.Now().Add(limit)
	for time.Now().Before(end) {
		err := l.fill(ctx, time.Now().Add(silence))
		l.unread = nil
		if errors.Is(err, ErrSilent) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("drain %s: %w", l.name, ErrNoise)
}

// Await waits until something comes, which stays unread.
func (l *Line) Await(ctx context.Context, by time.Time) error {
	if len(l.unread) > 0 {
		return nil
	}
	return l.fill(ctx, by)
}

// Pause waits for d, and returns the cause when ctx ends before.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// TransferTime is how long n bytes take at baud bits per second: 10 bits a byte.
func TransferTime(n, baud int) time.Duration {
	return time.Duration(n) * 10 * time.Second / time.Duration(baud)
}
