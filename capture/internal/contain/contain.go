// Package contain keeps the panics of drivers from ending the service.
package contain

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
)

// ErrPanic is a bug in a driver: no fault of the scanner, nor of the person at
// it.
var ErrPanic = errors.New("the scanner's driver failed")

// Call returns what f does, or an ErrPanic that says where f panicked and with
// what, so that a driver with a bug costs its own scanners only.
func Call(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: panic at %s: %v", ErrPanic, culprit(), p)
		}
	}()
	return f()
}

// culprit returns where the panic under way was raised.
func culprit() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for panicked := false; ; {
		frame, more := frames.Next()
		switch {
		case frame.Function == "runtime.gopanic":
			panicked = true
		case panicked && !strings.HasPrefix(frame.Function, "runtime."):
			return fmt.Sprintf("%s:%d", frame.File[strings.LastIndexByte(frame.File, '/')+1:], frame.Line)
		}
		if !more {
			return "a place unknown"
		}
	}
}
