package zfm_test

import (
	"image"
	"path/filepath"
	"testing"

	"sbid/driver"
	"sbid/driver/drivertest"
	"sbid/driver/zfm"
	"sbid/simulator/serial"
)

func TestConformance(t *testing.T) {
	for name, tt := range map[string]struct {
		module serial.EF01
		native driver.Geometry
		size   image.Point
	}{
		"optical": {serial.EF01{}, driver.Geometry{Width: 256, Height: 288, DPI: 500, Depth: 4}, image.Pt(256, 288)},
		"r503":    {r503, driver.Geometry{Width: 192, Height: 192, DPI: 508, Depth: 4}, image.Pt(189, 189)},
	} {
		t.Run(name, func(t *testing.T) {
			drivertest.Run(t, drivertest.Harness{
				New:        func(t testing.TB) (driver.Driver, drivertest.Twin) { return plug(t, tt.module) },
				Picture:    ridges(),
				Size:       tt.size,
				Native:     tt.native,
				DPI:        500,
				Check:      check,
				OpenStages: []string{serial.StageHandshake},
				FrameStages: []string{
					serial.StageFinger, serial.StageCapture, serial.StageImage,
				},
				Mended: []string{serial.Split, serial.Noise, serial.BadOnce, serial.LostByte, serial.BadRequest},
				Fatal: []string{
					serial.Silent, serial.Babble, serial.BadChecksum, serial.CutImage,
					serial.LongImage, serial.BadLength, serial.BadSensor,
				},
			})
		})
	}
}

var r503 = serial.EF01{Width: 192, Height: 192, Product: "R503", Serial: "00000001"}

func plug(t testing.TB, module serial.EF01) (driver.Driver, *serial.Twin) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tty")
	twin, err := serial.StartEF01(path, module)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(twin.Close)
	d, err := zfm.New(zfm.Config{Ports: []string{path}, Answer: answer})
	if err != nil {
		t.Fatal(err)
	}
	return d, twin
}
