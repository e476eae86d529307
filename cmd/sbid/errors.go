package main

import (
	"cmp"
	"errors"
	"fmt"

	"sbid/cmd/sbid/internal/config"
	"sbid/sbi/client"
)

// The exit codes, which scripts rely on; they are also in the help and the
// README.
const (
	exitDone         = 0
	exitFailed       = 1 // anything that is not below
	exitUsage        = 2
	exitNoDevice     = 3
	exitDevice       = 4
	exitVerification = 5
)

// A failure is an error whose exit code is known where it happens, with what
// the person can do about it.
type failure struct {
	code int
	err  error
	hint string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func usageError(err error) error {
	return &failure{exitUsage, err, "See sbid --help."}
}

// misconfigured is for a configuration that cannot be used.
func misconfigured(file string, err error) error {
	return &failure{exitUsage, err, "Mend the configuration: " + cmp.Or(file, config.Path())}
}

func usagef(format string, args ...any) error { return usageError(fmt.Errorf(format, args...)) }

func noDevice(hint, format string, args ...any) error {
	return &failure{exitNoDevice, fmt.Errorf(format, args...), hint}
}

func unverified(failed, made int) error {
	return &failure{exitVerification, fmt.Errorf("%d of %d checks failed", failed, made), "Do not rely on what came until you know why."}
}

// judge is the one place where errors become exit codes, and where people are
// told what to do.
func judge(err error) (code int, hint string) {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.code, f.hint
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		return exitDevice, hintFor(e.Code)
	}
	if client.Absent(err) {
		return exitNoDevice, hintNoService
	}
	return exitFailed, ""
}

var errFaults = errors.New("something does not work")

const hintNoService = "Start the service, or look for others with: sbid devices"

// hintFor says what to do about an error code of SBI, "" if that depends.
func hintFor(code int) string {
	switch code {
	case 100:
		return "Get the scanner a key and a certificate: sbid provision"
	case 101:
		return "Place the hand, the eyes or the face before the time is over."
	case 102:
		return "Clean the scanner and the fingers. Capture again."
	case 103:
		return "Take the scanner out of use and report it."
	case 104:
		return "Check the network."
	case 105:
		return "Straighten the hand or the face. Capture again."
	case 106:
		return "See what is there with: sbid devices"
	case 107:
		return "Renew the certificate of the scanner."
	case 108:
		return "Fetch the certificate of the MOSIP server that captures are encrypted for."
	case 109:
		return "Ask for fewer, or name what the person does not have with --exception."
	case 110:
		return "Wait a moment. If it stays so, unplug the scanner and plug it in again."
	case 111:
		return "Wait until the other capture is over. If there is none, sbid doctor names the program that has the scanner."
	case 112:
		return "Use 4 to 50 letters, digits and hyphens with --transaction."
	case 202:
		return "Plug a scanner in."
	}
	return ""
}
