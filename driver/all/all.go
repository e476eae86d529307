// Package all is the explicit list of the drivers for real scanners.
package all

import (
	"os"
	"path/filepath"
	"runtime"

	"sbid/driver"
	"sbid/driver/gt511"
	"sbid/driver/remote"
	"sbid/driver/v4l2"
	"sbid/driver/zfm"
)

// A Config has what drivers cannot find out by themselves. The zero value finds
// what can be recognised: cameras, and the readers of the USB drivers.
type Config struct {
	ZFM   zfm.Config
	GT511 gt511.Config
	V4L2  v4l2.Config
	// USBHelper is the path of the program sbid-usb; "": beside this program.
	USBHelper string
	// NoUSB: no USB drivers, and no helper program.
	NoUSB bool
}

// usbDrivers are the drivers that run in the helper program. They are named here
// so that one can be told why they do not work when it does not start.
var usbDrivers = []string{"nb1010", "uru4000"}

// Drivers returns every driver of this build, or says what is wrong with c. A
// driver that cannot work on this machine is among them, and says so when asked.
func Drivers(c Config) (driver.Registry, error) {
	modules, err := zfm.New(c.ZFM)
	if err != nil {
		return nil, err
	}
	others, err := gt511.New(c.GT511)
	if err != nil {
		return nil, err
	}
	cameras, err := v4l2.New(c.V4L2)
	if err != nil {
		return nil, err
	}
	drivers := []driver.Driver{modules, others, cameras}
	if !c.NoUSB {
		helper := remote.New(helperPath(c.USBHelper))
		for _, id := range usbDrivers {
			drivers = append(drivers, helper.Driver(id))
		}
	}
	return driver.NewRegistry(drivers...), nil
}

// helperPath is where the helper program is: never looked for on the PATH, where
// somebody else's may be.
func helperPath(configured string) string {
	if configured != "" {
		return configured
	}
	name := "sbid-usb"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	self, err := os.Executable()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(self), name)
}
