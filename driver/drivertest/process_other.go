//go:build !linux

package drivertest

import "time"

// descriptors are not counted here.
func descriptors() int { return 0 }

// processorTime is not measured here.
func processorTime() time.Duration { return 0 }
