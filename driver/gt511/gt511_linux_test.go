package gt511_test

import (
	"image"
	"path/filepath"
	"testing"
	"time"

	"sbid/driver"
	"sbid/driver/drivertest"
	"sbid/driver/gt511"
	"sbid/simulator/serial"
)

func TestConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Harness{
		New: func(t testing.TB) (driver.Driver, drivertest.Twin) {
			return plug(t, serial.GT511{}, gt511.Config{})
		},
		Picture:     ridges(),
		Size:        image.Pt(224, 287),
		Native:      driver.Geometry{Width: 202, Height: 258, DPI: 450, Depth: 8},
		DPI:         500,
		OpenStages:  []string{serial.StageHandshake},
		FrameStages: []string{serial.StageFinger, serial.StageCapture, serial.StageImage},
		Mended:      []string{serial.Split, serial.Noise, serial.BadOnce, serial.LostByte, serial.BadRequest},
		Fatal: []string{
			serial.Silent, serial.Babble, serial.BadChecksum, serial.CutImage,
			serial.LongImage, serial.BadSensor,
		},
	})
}

func plug(t testing.TB, module serial.GT511, c gt511.Config) (driver.Driver, *serial.Twin) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tty")
	twin, err := serial.StartGT511(path, module)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(twin.Close)
	c.Ports, c.Answer = []string{path}, 500*time.Millisecond
	d, err := gt511.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d, twin
}

// ridges is a picture of diagonal ridges, 8 pixels apart: no one's finger.
func ridges() *image.Gray {
	img := image.NewGray(image.Rect(0, 0, 120, 140))
	for i := range img.Pix {
		img.Pix[i] = uint8(40 + (i%120+i/120)%8*25)
	}
	return img
}
