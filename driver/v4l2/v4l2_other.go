//go:build !linux || (!amd64 && !arm64)

package v4l2

import (
	"context"
	"fmt"

	"sbid/driver"
)

var errSystem = fmt.Errorf("%w: cameras are driven on 64-bit Linux only", driver.ErrUnavailable)

// Probe finds nothing on this system, and says so.
func (d *Driver) Probe(context.Context) ([]driver.Info, error) { return nil, errSystem }

// Open opens nothing on this system.
func (d *Driver) Open(context.Context, string) (driver.Scanner, error) {
	return nil, fmt.Errorf("%w: %w", driver.ErrRemoved, errSystem)
}
