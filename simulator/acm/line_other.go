//go:build !linux

package acm

import (
	"errors"
	"os"
)

// openLine opens ports on Linux only, as adapters are plugged in there only.
func openLine(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func setRate(*os.File, uint32) {}
