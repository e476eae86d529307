//go:build !cgo || nousb

package usb

import (
	"context"
	"fmt"

	"sbid/driver"
)

// System returns a bus that says that this build has none.
func System() Bus { return none{} }

type none struct{}

var errNone = fmt.Errorf("%w: this program was built without libusb; build it with cgo and libusb-1.0", driver.ErrUnavailable)

func (none) List(context.Context, []ID) ([]Info, error) { return nil, errNone }

func (none) Open(context.Context, string, Claim) (Device, error) { return nil, errNone }
