package gt511

import (
	"fmt"
	"image"

	"sbid/driver"
	"sbid/driver/internal/raster"
)

// An imageKind is what a command for an image brings: 8-bit grey, ridges dark,
// in rows as a finger that points up is seen.
type imageKind struct {
	command       uint16
	width, height int // pixels
	dpi           int
}

func (k imageKind) bytes() int { return k.width * k.height }

// imageOf returns what a module as configured sends.
func imageOf(c Config) (imageKind, error) {
	k := imageKind{command: cmdGetImage, dpi: c.DPI}
	if c.Raw {
		k.command = cmdGetRawImage
	}
	switch c.Model {
	case "C3":
		if c.Transposed {
			return k, fmt.Errorf("lines of a C3 are not in doubt: transposed is for a C1R")
		}
		if k.dpi == 0 {
			k.dpi = 450
		}
		k.width, k.height = 202, 258
		if c.Raw { // the sensor at half its rate
			k.width, k.height, k.dpi = 160, 120, k.dpi/2
		}
	case "C1R":
		k.width, k.height = 240, 216
		if c.Transposed {
			k.width, k.height = 216, 240
		}
	default:
		return k, fmt.Errorf("model is C3 or C1R, not %q", c.Model)
	}
	if k.dpi <= 0 {
		return k, fmt.Errorf("the pixels per inch of a %s must be configured", c.Model)
	}
	return k, nil
}

// frame makes a frame of the pixels that a module sent, and keeps them.
func (k imageKind) frame(pixels []byte) driver.Frame {
	img := &image.Gray{Pix: pixels, Stride: k.width, Rect: image.Rect(0, 0, k.width, k.height)}
	return driver.Frame{
		Image:  raster.ToStandard(img, k.dpi),
		DPI:    raster.Standard,
		Native: driver.Geometry{Width: k.width, Height: k.height, DPI: k.dpi, Depth: 8},
	}
}
