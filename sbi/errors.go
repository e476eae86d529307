package sbi

import (
	"errors"
	"fmt"
	"strconv"

	"sbid/attest"
	"sbid/capture"
	"sbid/driver"
)

// A Code is an error code of SBI 0.9.5; 500 to 599 are ours to choose.
type Code int

const (
	Success              Code = 0
	NotRegistered        Code = 100
	NotDetected          Code = 101
	ExtractionFailed     Code = 102
	Tampered             Code = 103
	NoManagementServer   Code = 104
	WrongOrientation     Code = 105
	NotFound             Code = 106
	KeyExpired           Code = 107
	NoDomainKey          Code = 108
	CountNotSupported    Code = 109
	NotReady             Code = 110
	Busy                 Code = 111
	InvalidTransactionID Code = 112
	NoDevice             Code = 202

	InvalidRequest Code = 500
	Unplugged      Code = 501
	Stopped        Code = 502
	NoSigningKey   Code = 503
	Internal       Code = 599
)

// String returns the code as it stands on the wire: decimal digits.
func (c Code) String() string { return strconv.Itoa(int(c)) }

// An Error is a failure whose code is known where it happens. Its text is for
// the log; the client gets the code's own text.
type Error struct {
	Code Code
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("sbi %d: %v", e.Code, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func failf(code Code, format string, args ...any) error {
	return &Error{code, fmt.Errorf(format, args...)}
}

// codes says what failures below this package mean on the wire.
var codes = []struct {
	err  error
	code Code
}{
	{capture.ErrBusy, Busy},
	{capture.ErrNothing, NotDetected},
	{capture.ErrUnusable, ExtractionFailed},
	{capture.ErrOrientation, WrongOrientation},
	{driver.ErrRemoved, Unplugged},
	{driver.ErrHeld, Busy}, // an ErrNotReady, too
	{driver.ErrNotReady, NotReady},
	{driver.ErrBroken, NotReady},
	{driver.ErrTampered, Tampered},
	{attest.ErrNoEncryptionCertificate, NoDomainKey},
	{attest.ErrManagementServer, NoManagementServer},
	{attest.ErrExpired, KeyExpired},
	{attest.ErrNoKey, NoSigningKey},
	{attest.ErrKeyLost, NoSigningKey},
}

// CodeOf is the one place where Go errors become SBI codes.
func CodeOf(err error) Code {
	if err == nil {
		return Success
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return Internal
}
