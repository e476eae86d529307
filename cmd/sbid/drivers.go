package main

import (
	"sbid/cmd/sbid/internal/config"
	"sbid/driver"
	"sbid/driver/all"
)

// drivers returns those of this build, as configured.
func drivers(c config.Config) (driver.Registry, error) {
	s := c.Scanners
	return all.Drivers(all.Config{
		ZFM: s.ZFM, GT511: s.GT511, V4L2: s.V4L2,
		URU4000: s.USB.URU4000, NB1010: s.USB.NB1010, USBHelper: s.USB.Helper, NoUSB: s.USB.Disabled,
	})
}
