//go:build hardware

package v4l2

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sbid/driver"
	"sbid/simulator/uvc"
)

// BenchmarkHardwareFrames is the rate at which pictures come from a camera that
// sends them as fast as it may, against that of the bare transfer: the same
// pictures taken out of the kernel and not looked at.
func BenchmarkHardwareFrames(b *testing.B) {
	for _, format := range []string{"MJPG", "YUYV"} {
		camera := uvc.Camera{Modes: []uvc.Mode{{Format: format, Width: 640, Height: 480}}, Rate: 120}
		var bare float64
		b.Run(format+"/bare", func(b *testing.B) {
			bench := plug(b, camera, Camera{})
			bench.Show(portrait())
			n, ch, err := bench.driver.find(bench.info(b).Addr)
			if err != nil {
				b.Fatal(err)
			}
			c, err := openCamera(&n, ch)
			if err != nil {
				b.Fatal(err)
			}
			defer c.close()
			if err := c.start(); err != nil {
				b.Fatal(err)
			}
			bytes := 0
			for b.Loop() {
				bytes += transfer(b, c)
			}
			bare = float64(b.N) / b.Elapsed().Seconds()
			b.ReportMetric(bare, "frames/s")
			b.ReportMetric(float64(bytes)/b.Elapsed().Seconds()/1e6, "MB/s")
			if err := c.halt(); err != nil {
				b.Error(err)
			}
		})
		b.Run(format+"/driver", func(b *testing.B) {
			bench := plug(b, camera, Camera{})
			bench.Show(portrait())
			s := bench.open(b)
			frames := 0
			for _, err := range s.Frames(b.Context(), driver.Target{}) {
				if err != nil {
					b.Fatal(err)
				}
				if frames++; !b.Loop() {
					break
				}
			}
			rate := float64(b.N) / b.Elapsed().Seconds()
			b.ReportMetric(rate, "frames/s")
			b.ReportMetric(rate/bare, "x-bare")
		})
	}
}

// transfer takes the next picture out of the kernel and returns its size in bytes.
func transfer(b *testing.B, c *camera) int {
	b.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if _, err := c.wait(slice); err != nil {
			b.Fatal(err)
		}
		picture, err := c.take()
		if errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err == nil {
			err = c.give(picture.index)
		}
		if err != nil {
			b.Fatal(err)
		}
		return int(picture.used)
	}
	b.Fatal("no picture in 10 s")
	return 0
}

// BenchmarkHardwareFirst is the time from asking an open camera for pictures to
// the first one.
func BenchmarkHardwareFirst(b *testing.B) {
	bench := plug(b, small("MJPG"), Camera{})
	bench.Show(portrait())
	s := bench.open(b)
	for b.Loop() {
		take(b, s, 1)
	}
}

// BenchmarkHardwareIdle is the processor time of cameras that are open and
// watched, and that nobody asks for pictures.
func BenchmarkHardwareIdle(b *testing.B) {
	const cameras = 5
	for range cameras {
		plug(b, small("MJPG"), Camera{}).open(b)
	}
	before := processorTime(b)
	begin := time.Now()
	for b.Loop() {
		<-time.After(time.Second)
	}
	b.ReportMetric(100*(processorTime(b)-before).Seconds()/time.Since(begin).Seconds(), "%cpu")
}
