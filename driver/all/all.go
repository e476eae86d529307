// Package all is the explicit list of the drivers for real scanners.
package all

import "sbid/driver"

// Drivers returns every driver of this build.
func Drivers() driver.Registry { return driver.NewRegistry() }
