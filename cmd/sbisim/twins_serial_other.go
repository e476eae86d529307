//go:build !linux

package main

import (
	"context"
	"errors"
	"io"
)

func (c *serialCmd) run(context.Context, io.Writer) error {
	return errors.New("twins of serial modules are pseudo-terminals, which pass for serial ports on Linux only; here, try: sbisim usbip")
}
