// Package all is the explicit list of the drivers for real scanners.
package all

import (
	"fmt"
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
	// What USB readers do not tell of themselves.
	URU4000, NB1010 Reader
	// USBHelper is the path of the program sbid-usb; "": beside this program.
	USBHelper string
	// NoUSB: no USB drivers, and no helper program.
	NoUSB bool
}

// A Reader is how readers of one family are built and mounted, for all of them
// that are plugged in.
type Reader struct {
	DPI  int // the sensor's sampling rate in pixels per inch; 0: as the driver knows
	Turn int // how far pictures are turned clockwise: 0, 90, 180 or 270 degrees
}

// flags are those of sbid-usb.
func (r Reader) flags(id string) []string {
	return []string{fmt.Sprintf("--%s-dpi=%d", id, r.DPI), fmt.Sprintf("--%s-turn=%d", id, r.Turn)}
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
		helper := remote.New(helperPath(c.USBHelper), append(c.URU4000.flags("uru4000"), c.NB1010.flags("nb1010")...)...)
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
