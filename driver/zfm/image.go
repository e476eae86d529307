package zfm

import (
	"errors"
	"fmt"

	"sbid/driver"
	"sbid/driver/internal/raster"
)

// A geometry is the size of a family's window, and its sampling rate where
// nothing is configured.
type geometry struct {
	width, height int // pixels
	dpi           int
}

// bytes is the size of an image on the line, where a pixel has 4 bits.
func (g geometry) bytes() int { return g.width / 2 * g.height }

// geometries are what the families send, largest first. A module is told by the
// number of bytes that it sends: claims of clones do not fit what they send.
var geometries = []geometry{
	{256, 288, 500}, // optical: ZFM-20 to -70, R301T, R307, FPM10A, AS608
	{208, 288, 500}, // R304A
	{192, 192, 508}, // R503
}

// maxImage bounds an upload: more than any known module sends.
const maxImage = 2 * 256 * 288 / 2

var errGeometry = errors.New("image of unknown geometry")

// geometryOf tells the size of an image of n bytes: as configured, as the module
// says of itself, or as its family has it; whichever has n bytes. It never guesses.
func geometryOf(n int, configured, claimed geometry) (geometry, error) {
	for _, g := range append([]geometry{configured, claimed}, geometries...) {
		if g.width > 0 && g.width%2 == 0 && g.bytes() == n {
			if configured.dpi > 0 {
				g.dpi = configured.dpi
			}
			if g.dpi == 0 {
				g.dpi = familyDPI(n)
			}
			return g, nil
		}
	}
	return geometry{}, fmt.Errorf("%w: %d bytes", errGeometry, n)
}

func familyDPI(n int) int {
	for _, g := range geometries {
		if g.bytes() == n {
			return g.dpi
		}
	}
	return 0
}

// frameOf makes a frame of the packed pixels that a module sent.
func frameOf(packed []byte, configured, claimed geometry, ridges raster.Ridges) (driver.Frame, error) {
	g, err := geometryOf(len(packed), configured, claimed)
	if err != nil {
		return driver.Frame{}, err
	}
	if g.dpi == 0 {
		return driver.Frame{}, fmt.Errorf("%w: %dx%d pixels, and no DPI is configured", errGeometry, g.width, g.height)
	}
	img, err := raster.Unpack4(packed, g.width, g.height)
	if err != nil {
		return driver.Frame{}, err
	}
	raster.Darken(img, ridges)
	return driver.Frame{
		Image:  raster.ToStandard(img, g.dpi),
		DPI:    raster.Standard,
		Native: driver.Geometry{Width: g.width, Height: g.height, DPI: g.dpi, Depth: 4},
	}, nil
}
