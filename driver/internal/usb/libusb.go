package usb

import (
	"fmt"
	"regexp"
	"strconv"

	"sbid/driver"
)

// permission is what to do about a device that may not be opened.
const permission = "install sbid's udev rules, or run as a user who may open it"

// Error codes of libusb (enum libusb_error).
const (
	codeAccess   = -3
	codeNoDevice = -4
	codeNotFound = -5
	codeBusy     = -6
	codeTimeout  = -7
	codeOverflow = -8
	codePipe     = -9
)

// fromCode is an error of libusb in the words of this house.
func fromCode(code int) error {
	switch code {
	case codeNoDevice, codeNotFound:
		return driver.ErrRemoved
	case codeAccess:
		return fmt.Errorf("%w: %s", driver.ErrPermission, permission)
	case codeBusy:
		return driver.ErrHeld
	case codeTimeout:
		return ErrTimeout
	case codeOverflow:
		return ErrOverflow
	case codePipe:
		return ErrStall
	}
	return fmt.Errorf("%w (libusb error %d)", ErrTransfer, code)
}

// codeInText finds the code in errors that gousb has as text alone:
// "… libusb: no device [code -4]".
var codeInText = regexp.MustCompile(`\[code (-\d{1,3})\]`)

// fromText is an error of gousb that has no type.
func fromText(text string) error {
	if found := codeInText.FindAllStringSubmatch(text, -1); found != nil {
		if code, err := strconv.Atoi(found[len(found)-1][1]); err == nil {
			return fromCode(code)
		}
	}
	return fmt.Errorf("%w: %s", ErrTransfer, Clean(text))
}

// Transfer statuses of libusb (enum libusb_transfer_status).
const (
	statusTimedOut  = 2
	statusCancelled = 3
	statusStall     = 4
	statusNoDevice  = 5
	statusOverflow  = 6
)

// fromStatus is how a transfer ended.
func fromStatus(status int) error {
	switch status {
	case statusTimedOut, statusCancelled:
		return ErrTimeout
	case statusStall:
		return ErrStall
	case statusNoDevice:
		return driver.ErrRemoved
	case statusOverflow:
		return ErrOverflow
	}
	return fmt.Errorf("%w (libusb status %d)", ErrTransfer, status)
}
