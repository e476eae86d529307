//go:build !linux

package hotplug

import (
	"context"
	"errors"
	"fmt"
)

// Watch is for Linux alone; elsewhere drivers are polled.
func Watch(context.Context, []string, func()) error {
	return fmt.Errorf("kernel events: %w", errors.ErrUnsupported)
}
