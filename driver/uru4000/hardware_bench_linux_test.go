//go:build hardware

package uru4000_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"sbid/driver"
	"sbid/driver/internal/hotplug"
	"sbid/driver/internal/usb"
	"sbid/driver/uru4000"
	twins "sbid/simulator/usb"
)

// lifting is the driver's wait for a finger that is lifted, once a picture.
const lifting = 100 * time.Millisecond

// BenchmarkHardwareFrames is the rate at which pictures come from a reader that
// sends them as fast as they are read, against that of the bare transfer: the
// same pictures read through the same kernel and libusb, and not looked at.
func BenchmarkHardwareFrames(b *testing.B) {
	var bare time.Duration // a picture
	b.Run("bare", func(b *testing.B) {
		d, twin := attach(b, twins.URU4000{})
		twin.Show(ridges())
		claim := usb.Claim{IDs: ids, Class: 0xFF, Subclass: 0xFF, Protocol: 0xFF, Endpoints: []byte{0x81, 0x82}}
		device, err := usb.System().Open(b.Context(), probe(b, d, 1)[0].Addr, claim)
		if err != nil {
			b.Fatal(err)
		}
		defer device.Close()
		if _, err := device.Control(b.Context(), 0x40, 4, 0x4E, 0, []byte{0x20}); err != nil {
			b.Fatal(err)
		}
		buf := make([]byte, 64+384*290)
		b.SetBytes(onWire)
		for b.Loop() {
			if n, err := device.Read(b.Context(), 0x82, buf); n != onWire || err != nil {
				b.Fatal(n, err)
			}
		}
		bare = b.Elapsed() / time.Duration(b.N)
		b.ReportMetric(1/bare.Seconds(), "frames/s")
	})
	b.Run("driver", func(b *testing.B) {
		d, twin := attach(b, twins.URU4000{})
		twin.Show(ridges())
		b.SetBytes(onWire)
		for _, err := range open(b, d, probe(b, d, 1)[0]).Frames(b.Context(), driver.Target{}) {
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
		b.ReportMetric(bare.Seconds()/(took-lifting).Seconds(), "of-bare-unwaited")
	})
}

// BenchmarkHardwareTouch is the time from a finger on the window to its frame.
// The driver waits for it already, and the reader tells by itself.
func BenchmarkHardwareTouch(b *testing.B) {
	d, twin := attach(b, twins.URU4000{})
	s, picture := open(b, d, probe(b, d, 1)[0]), ridges()
	for b.Loop() {
		b.StopTimer()
		twin.Show(nil)
		waits := twin.Hold(twins.StageFinger)
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
		<-time.After(20 * time.Millisecond) // the driver gets the reader's answer
		b.StartTimer()
		twin.Show(picture)
		err := <-first
		b.StopTimer()
		<-first
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(1e3*b.Elapsed().Seconds()/float64(b.N), "ms/frame")
}

// BenchmarkHardwareIdle is the processor time of readers that nobody captures
// from, with all that is behind their cables: watched for plugging through the
// kernel's events as the daemon does, polled as it does where those cannot be
// had, and open besides.
func BenchmarkHardwareIdle(b *testing.B) {
	const readers, poll = 5, 2 * time.Second
	for range readers {
		attach(b, twins.URU4000{})
	}
	d, err := uru4000.New(usb.System(), uru4000.Config{})
	if err != nil {
		b.Fatal(err)
	}
	infos := probe(b, d, readers)
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
	b.Run("polled", idle(func(b *testing.B) { probe(b, d, readers) }))
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

// probe returns the readers, of which there are n.
func probe(b *testing.B, d driver.Driver, n int) []driver.Info {
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

// processorTime is what this process used until now.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
