//go:build hardware

package usbtest

import (
	"context"
	"image"
	"syscall"
	"testing"
	"time"

	"sbid/driver"
	"sbid/driver/drivertest"
	"sbid/driver/internal/hotplug"
)

// Readers returns the readers that a driver finds, of which there are n.
func Readers(b *testing.B, d driver.Driver, n int) []driver.Info {
	b.Helper()
	infos, err := d.Probe(b.Context())
	if err != nil || len(infos) != n {
		b.Fatalf("%d readers, not %d: %v", len(infos), n, err)
	}
	return infos
}

// open opens a reader until the benchmark ends.
func open(b *testing.B, d driver.Driver, info driver.Info) driver.Scanner {
	b.Helper()
	s, err := d.Open(b.Context(), info.Addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error("close:", err)
		}
	})
	return s
}

// Frames measures how fast pictures come from the one reader of a driver, against
// the bare transfer of one. A picture is size bytes on the wire. It returns the
// time of one.
func Frames(b *testing.B, d driver.Driver, size int64, bare time.Duration) time.Duration {
	b.Helper()
	b.SetBytes(size)
	for _, err := range open(b, d, Readers(b, d, 1)[0]).Frames(b.Context(), driver.Target{}) {
		if err != nil {
			b.Fatal(err)
		}
		if !b.Loop() {
			break
		}
	}
	took := b.Elapsed() / time.Duration(b.N)
	b.ReportMetric(1/took.Seconds(), "frames/s")
	b.ReportMetric(bare.Seconds()/took.Seconds(), "of-bare")
	return took
}

// Touch measures the time from a picture on the window of the one reader to its
// frame. The driver has got to the stage where it waits for a finger; pause is how
// long after that the finger comes, touch by touch.
func Touch(b *testing.B, d driver.Driver, twin drivertest.Twin, stage string, picture image.Image, pause func(touch int) time.Duration) {
	b.Helper()
	s := open(b, d, Readers(b, d, 1)[0])
	for touch := 0; b.Loop(); touch++ {
		b.StopTimer()
		twin.Show(nil)
		waits := twin.Hold(stage)
		first := make(chan error) // closed when Frames has ended
		go func() {
			defer close(first)
			for _, err := range s.Frames(b.Context(), driver.Target{}) {
				first <- err
				return
			}
		}()
		select {
		case <-waits:
		case err := <-first:
			b.Fatal("no finger, and no wait for one:", err)
		}
		twin.Release()
		<-time.After(pause(touch))
		b.StartTimer()
		twin.Show(picture)
		err := <-first
		b.StopTimer()
		<-first //nolint:errcheck // closed by now
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(1e3*b.Elapsed().Seconds()/float64(b.N), "ms/frame")
}

// Idle measures the processor time of n readers that nobody captures from, with
// all that is behind their cables: watched for plugging through the kernel's
// events as the daemon does, polled as it does where those cannot be had, and open
// besides.
func Idle(b *testing.B, d driver.Driver, n int) {
	b.Helper()
	const poll = 2 * time.Second
	infos := Readers(b, d, n)
	watch(b)
	idle := func(look func(b *testing.B)) func(*testing.B) {
		return func(b *testing.B) {
			before, begin := processorTime(b), time.Now()
			for b.Loop() {
				<-time.After(poll)
				look(b)
			}
			b.ReportMetric(100*(processorTime(b)-before).Seconds()/time.Since(begin).Seconds(), "%cpu")
		}
	}
	b.Run("watched", idle(func(*testing.B) {}))
	b.Run("polled", idle(func(b *testing.B) { Readers(b, d, n) }))
	for _, info := range infos {
		open(b, d, info)
	}
	b.Run("open", idle(func(*testing.B) {}))
}

// watch listens for readers that come and go until the benchmark ends.
func watch(b *testing.B) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- hotplug.Watch(ctx, []string{"usb"}, func() {}) }()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
}

// processorTime is what this process used until now.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
