package driver

import (
	"errors"
	"fmt"
)

// What a scanner can fail with that means something above the driver. Drivers
// wrap them with what was tried: fmt.Errorf("read endpoint 0x82: %w", ErrRemoved).
//
// A person who has to try again is no failure: that is a Frame with Hints.
// ErrNotReady and what wraps it is worth another try later, and the daemon makes
// it; ErrBroken needs somebody's hand.
var (
	// ErrRemoved: the scanner was unplugged, or never was there.
	ErrRemoved = errors.New("scanner unplugged")
	// ErrNotReady: the scanner is there and may work later (warming up, resetting,
	// a stalled transfer).
	ErrNotReady = errors.New("scanner not ready")
	// ErrHeld: another program has the scanner. The error's text names the program
	// where that can be found out.
	ErrHeld = fmt.Errorf("%w: held by another program", ErrNotReady)
	// ErrPermission: the scanner is there, and this user may not open it.
	ErrPermission = fmt.Errorf("%w: no permission", ErrNotReady)
	// ErrBroken: the scanner answers, and says or shows that it is faulty: its
	// self-test failed, or it does not keep to its protocol. Plugging it in again
	// may help.
	ErrBroken = errors.New("scanner is broken")
	// ErrTampered: the scanner reports that it was opened or altered.
	ErrTampered = errors.New("scanner reports tampering")
	// ErrUnavailable: none of the driver's scanners can be used on this machine as
	// it is: a library, a kernel module or a permission is missing. The error's
	// text says which, and what to do.
	ErrUnavailable = errors.New("driver unavailable")
)
