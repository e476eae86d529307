// Package usb is the explicit list of the drivers that need libusb. They run in
// the helper program sbid-usb alone: nothing that sbid is made of imports this
// package.
package usb

import (
	"fmt"

	"sbid/driver"
	"sbid/driver/internal/usb"
	"sbid/driver/nb1010"
	"sbid/driver/uru4000"
)

// A Config has what readers do not tell of themselves.
type Config struct {
	URU4000 uru4000.Config
	NB1010  nb1010.Config
}

// Drivers returns every driver of this build that needs libusb.
func Drivers(c Config) (driver.Registry, error) {
	bus := usb.System()
	uru, err := uru4000.New(bus, c.URU4000)
	if err != nil {
		return nil, fmt.Errorf("usb drivers: %w", err)
	}
	next, err := nb1010.New(bus, c.NB1010)
	if err != nil {
		return nil, fmt.Errorf("usb drivers: %w", err)
	}
	return driver.NewRegistry(uru, next), nil
}
