package nb1010_test

import (
	"image"
	"image/draw"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sbid/driver"
	"sbid/driver/drivertest"
	"sbid/driver/internal/usb/usbtest"
	"sbid/driver/nb1010"
	twins "sbid/simulator/usb"
	"sbid/simulator/usbip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answer is short, so that a reader that never answers costs the tests little.
const answer = 300 * time.Millisecond

func plug(t testing.TB, c nb1010.Config) (driver.Driver, *twins.Twin) {
	t.Helper()
	bus := &usbtest.Bus{}
	twin, err := twins.StartNB1010(func(d usbip.Device) (*usbip.Cable, error) {
		host, cable := usbip.Connect(d)
		bus.Plug("usb:1-1", host)
		return cable, nil
	}, twins.NB1010{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(twin.Close)
	c.Answer = answer
	d, err := nb1010.New(bus, c)
	if err != nil {
		t.Fatal(err)
	}
	return d, twin
}

func harness(plug func(testing.TB, nb1010.Config) (driver.Driver, *twins.Twin)) drivertest.Harness {
	return drivertest.Harness{
		// At 500 pixels per inch nothing is resampled, and all must come as it was shown.
		New:         func(t testing.TB) (driver.Driver, drivertest.Twin) { return plug(t, nb1010.Config{DPI: 500}) },
		Picture:     ridges(),
		Size:        image.Pt(256, 180),
		Native:      driver.Geometry{Width: 256, Height: 180, DPI: 500, Depth: 8},
		DPI:         500,
		Check:       check,
		OpenStages:  []string{twins.StageFinger},
		FrameStages: []string{twins.StageStart, twins.StageCapture, twins.StageImage},
		Mended:      []string{twins.EmptyOnce, twins.TallOnce, twins.ShortOnce, twins.StallOnce},
		Fatal: []string{
			twins.Silent, twins.Refuse, twins.Babble, twins.Endless, twins.CutImage, twins.BadHeader, twins.NoImage,
		},
	}
}

func TestConformance(t *testing.T) { drivertest.Run(t, harness(plug)) }

// ridges is a picture as large as the sensor: no one's finger.
func ridges() *image.Gray {
	img := image.NewGray(image.Rect(0, 0, 256, 180))
	for i := range img.Pix {
		x, y := i%256-100, i/256-200
		img.Pix[i] = uint8((x*x + y*y) >> 4)
	}
	return img
}

func check(t *testing.T, f driver.Frame) {
	t.Helper()
	img, want := f.Image.(*image.Gray), ridges()
	wrong := 0
	for i, v := range img.Pix {
		if v != want.Pix[i] {
			wrong++
		}
	}
	if wrong > 0 {
		t.Errorf("%d pixels are not as shown", wrong)
	}
}

// Turned and at the common rate, the picture is that of the table in README.md.
func TestTurnedAndResampled(t *testing.T) {
	d, twin := plug(t, nb1010.Config{Turn: 90})
	finger := image.NewGray(image.Rect(0, 0, 256, 180))
	draw.Draw(finger, image.Rect(0, 0, 128, 180), image.White, image.Point{}, draw.Src)
	twin.Show(finger)
	s, err := d.Open(t.Context(), "usb:1-1")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for f, err := range s.Frames(t.Context(), driver.Target{}) {
		if err != nil {
			t.Fatal(err)
		}
		img := f.Image.(*image.Gray)
		if f.Native != (driver.Geometry{Width: 180, Height: 256, DPI: 385, Depth: 8}) || img.Rect.Size() != image.Pt(234, 332) {
			t.Errorf("%+v, %v", f.Native, img.Rect)
		}
		if up, down := img.GrayAt(117, 50).Y, img.GrayAt(117, 280).Y; up < 250 || down > 5 {
			t.Errorf("the left half went elsewhere than up: %d above, %d below", up, down)
		}
		break
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []nb1010.Config{{DPI: -1}, {Turn: 45}} {
		if _, err := nb1010.New(&usbtest.Bus{}, c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}
