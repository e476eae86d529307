package uru4000_test

import (
	"image"
	"math"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sbid/driver"
	"sbid/driver/drivertest"
	"sbid/driver/internal/usb/usbtest"
	"sbid/driver/uru4000"
	twins "sbid/simulator/usb"
	"sbid/simulator/usbip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answer is short, so that a reader that never answers costs the tests little.
const answer = 400 * time.Millisecond

func plug(t testing.TB, o twins.URU4000) (driver.Driver, *twins.Twin) {
	t.Helper()
	bus := &usbtest.Bus{}
	twin, err := twins.StartURU4000(func(d usbip.Device) (*usbip.Cable, error) {
		host, cable := usbip.Connect(d)
		bus.Plug("usb:1-1", host)
		return cable, nil
	}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(twin.Close)
	d, err := uru4000.New(bus, uru4000.Config{Answer: answer})
	if err != nil {
		t.Fatal(err)
	}
	return d, twin
}

func harness(o twins.URU4000, plug func(testing.TB, twins.URU4000) (driver.Driver, *twins.Twin)) drivertest.Harness {
	return drivertest.Harness{
		New:         func(t testing.TB) (driver.Driver, drivertest.Twin) { return plug(t, o) },
		Picture:     ridges(),
		Size:        image.Pt(375, 283),
		Native:      driver.Geometry{Width: 384, Height: 290, DPI: 512, Depth: 8},
		DPI:         500,
		Check:       check,
		OpenStages:  []string{twins.StageStart},
		FrameStages: []string{twins.StageFinger, twins.StageCapture, twins.StageImage},
		Mended:      []string{twins.EmptyOnce, twins.TallOnce, twins.ShortOnce, twins.StallOnce, twins.FailOnce},
		Fatal: []string{
			twins.Silent, twins.Refuse, twins.Babble, twins.Endless, twins.CutImage, twins.BadHeader, twins.NoPower, twins.NoImage,
		},
	}
}

func TestConformance(t *testing.T) {
	drivertest.Run(t, harness(twins.URU4000{}, plug))
}

// The other readers differ in how they start and in what they send.
func TestConformanceOfTheOthers(t *testing.T) {
	for name, o := range map[string]twins.URU4000{
		"microsoft v2": {V2: true}, "clear pictures": {Clear: true}, "changing keys": {V2: true, NewKey: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, twin := plug(t, o)
			twin.Show(ridges())
			s, err := d.Open(t.Context(), "usb:1-1")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			n := 0
			for f, err := range s.Frames(t.Context(), driver.Target{}) {
				if err != nil {
					t.Fatal(err)
				}
				check(t, f)
				if n++; n == 3 {
					break
				}
			}
		})
	}
}

// A keyboard reader is found hanging after others have used it.
func TestHungReaderIsStarted(t *testing.T) {
	d, twin := plug(t, twins.URU4000{})
	twin.Unplug()
	twin.Misbehave(twins.HungOnce)
	if err := twin.Plug(); err != nil {
		t.Fatal(err)
	}
	s, err := d.Open(t.Context(), "usb:1-1")
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

// What lies on the window and is no finger is told to the person, not shown.
func TestBlankPicturesAreHints(t *testing.T) {
	d, twin := plug(t, twins.URU4000{})
	twin.Show(image.NewGray(image.Rect(0, 0, 384, 290)))
	s, err := d.Open(t.Context(), "usb:1-1")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for f, err := range s.Frames(t.Context(), driver.Target{}) {
		if err != nil || f.Image != nil || !slices.Equal(f.Hints, []driver.Hint{driver.HintClean}) {
			t.Errorf("a dirty window: image %v, hints %v, %v", f.Image != nil, f.Hints, err)
		}
		break
	}
}

func TestProbeTellsWhatItIs(t *testing.T) {
	d, _ := plug(t, twins.URU4000{V2: true})
	infos, err := d.Probe(t.Context())
	if err != nil || len(infos) != 1 {
		t.Fatal(infos, err)
	}
	if i := infos[0]; i.Make != "Microsoft" || i.Model != "Fingerprint Reader v2" || i.Firmware != "1.00" ||
		i.Serial != "{00000000-0000-4000-8000-000000000002}" || i.Path != "usb:1-1" {
		t.Errorf("%+v", i)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []uru4000.Config{{DPI: -1}, {Turn: 45}} {
		if _, err := uru4000.New(&usbtest.Bus{}, c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

// ridges is a picture of curved ridges, 9 pixels apart, on a light ground: no
// one's finger.
func ridges() *image.Gray {
	img := image.NewGray(image.Rect(0, 0, 300, 270))
	for i := range img.Pix {
		x, y := float64(i%300)-150, float64(i/300)-135
		img.Pix[i] = 255
		if math.Hypot(x/150, y/135) < 1 {
			img.Pix[i] = uint8(120 + 100*math.Cos(2*math.Pi*math.Hypot(x-20, y-180)/9))
		}
	}
	return img
}

// check compares a frame with ridges by the correlation of both: another
// sampling rate and a repeated line change little.
func check(t *testing.T, f driver.Frame) {
	t.Helper()
	img, picture := f.Image.(*image.Gray), ridges()
	scale := float64(f.DPI) / float64(f.Native.DPI)
	var n, sx, sy, sxx, syy, sxy float64
	for i, v := range picture.Pix {
		x := scale*(float64(i%300)+float64((f.Native.Width-300)/2)+0.5) - 0.5
		y := scale*(float64(i/300)+float64((f.Native.Height-270)/2)+0.5) - 0.5
		a, b := float64(v), float64(img.GrayAt(int(math.Round(x)), int(math.Round(y))).Y)
		n, sx, sy, sxx, syy, sxy = n+1, sx+a, sy+b, sxx+a*a, syy+b*b, sxy+a*b
	}
	r := (n*sxy - sx*sy) / math.Sqrt((n*sxx-sx*sx)*(n*syy-sy*sy))
	if r < 0.9 {
		t.Errorf("the frame correlates %.2f with what was shown", r)
	}
}
