//go:build hardware

package v4l2_test

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"sbid/driver"
	"sbid/driver/drivertest"
	"sbid/driver/v4l2"
	"sbid/simulator/uvc"
)

// patience of the driver under test: an emulated processor is slow.
const patience = 3 * time.Second

// A bench is a camera in the guest's kernel, and the driver that means it alone.
type bench struct {
	*uvc.Twin

	driver *v4l2.Driver
}

var serials atomic.Int64

// plug starts a camera of its own serial number and waits for its node.
func plug(t testing.TB, c uvc.Camera, meant v4l2.Camera) *bench {
	t.Helper()
	c.Serial = fmt.Sprintf("UVC%09d", serials.Add(1))
	meant.Serial = c.Serial
	d, err := v4l2.New(v4l2.Config{Cameras: []v4l2.Camera{meant}, Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	twin, err := uvc.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{twin, d}
	t.Cleanup(b.Unplug)
	b.await(t, 1)
	return b
}

// await waits until the driver sees n cameras.
func (b *bench) await(t testing.TB, n int) {
	t.Helper()
	if err := b.see(n); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) see(n int) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		infos, err := b.driver.Probe(context.Background())
		if err == nil && len(infos) == n {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the driver sees %v, %v; want %d cameras", infos, err, n)
		}
	}
}

// Plug waits until the kernel has made the camera's node.
func (b *bench) Plug() error {
	if err := b.Twin.Plug(); err != nil {
		return err
	}
	return b.see(1)
}

// Unplug waits until the kernel has taken the node away.
func (b *bench) Unplug() {
	b.Twin.Unplug()
	_ = b.see(0)
}

// portrait is a picture of coloured shapes, no one's face.
func portrait() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, 400, 400))
	for y := range 400 {
		for x := range 400 {
			r := math.Hypot(float64(x-200), float64(y-200))
			img.SetRGBA(x, y, color.RGBA{uint8(128 + 100*math.Cos(r/20)), uint8(x / 2), uint8(y / 2), 255})
		}
	}
	return img
}

// difference is the mean distance of a frame and a picture in its middle, in
// levels of grey.
func difference(got image.Image, picture image.Image) float64 {
	b := picture.Bounds()
	corner := got.Bounds().Size().Sub(b.Size()).Div(2)
	sum, n := 0.0, 0
	for y := b.Min.Y; y < b.Max.Y; y += 3 {
		for x := b.Min.X; x < b.Max.X; x += 3 {
			g := color.GrayModel.Convert(got.At(x-b.Min.X+corner.X, y-b.Min.Y+corner.Y)).(color.Gray).Y
			p := color.GrayModel.Convert(picture.At(x, y)).(color.Gray).Y
			sum += math.Abs(float64(g) - float64(p))
			n++
		}
	}
	return sum / float64(n)
}

func check(t *testing.T, f driver.Frame) {
	t.Helper()
	if d := difference(f.Image, portrait()); d > 6 {
		t.Errorf("the frame differs from what was shown by %.1f levels", d)
	}
}

func TestHardwareConformance(t *testing.T) {
	faults := []string{uvc.CutSome, uvc.MarkSome, uvc.StallOnce}
	for name, tt := range map[string]struct {
		camera uvc.Camera
		meant  v4l2.Camera
		mended []string
		fatal  []string
	}{
		"face by mjpeg": {
			uvc.Camera{Modes: []uvc.Mode{{Format: "MJPG", Width: 640, Height: 480}}},
			v4l2.Camera{},
			append([]string{uvc.Garbage, uvc.PadPicture}, faults...),
			[]string{uvc.Silent, uvc.Stall, uvc.Refuse, uvc.CutAll, uvc.Nonsense, uvc.OtherSize, uvc.Endless, uvc.ShortHeads},
		},
		"face by yuyv": {
			uvc.Camera{Modes: []uvc.Mode{{Format: "YUYV", Width: 640, Height: 480}}, Rate: 10},
			v4l2.Camera{},
			faults,
			[]string{uvc.CutAll},
		},
	} {
		t.Run(name, func(t *testing.T) {
			drivertest.Run(t, drivertest.Harness{
				New: func(t testing.TB) (driver.Driver, drivertest.Twin) {
					b := plug(t, tt.camera, tt.meant)
					return b.driver, b
				},
				Picture:     portrait(),
				Size:        image.Pt(640, 480),
				Check:       check,
				OpenStages:  []string{uvc.StageProbe},
				FrameStages: []string{uvc.StageCommit, uvc.StagePicture},
				Mended:      tt.mended,
				Fatal:       tt.fatal,
				Streams:     true,
			})
		})
	}
}
