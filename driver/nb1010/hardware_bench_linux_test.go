//go:build hardware

package nb1010_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"sbid/driver"
	"sbid/driver/internal/hotplug"
	"sbid/driver/internal/usb"
	"sbid/driver/nb1010"
	twins "sbid/simulator/usb"
)

// BenchmarkHardwareFrames is the rate at which pictures come from a reader that
// sends them as fast as they are read, against that of the bare transfer: the
// same questions and messages through the same kernel and libusb, not looked at.
func BenchmarkHardwareFrames(b *testing.B) {
	var bare time.Duration // a picture
	b.Run("bare", func(b *testing.B) {
		d, r := attach(b, nb1010.Config{})
		r.Show(ridges())
		claim := usb.Claim{IDs: ids, Endpoints: []byte{0x02, 0x83}}
		device, err := usb.System().Open(b.Context(), probe(b, d, 1)[0].Addr, claim)
		if err != nil {
			b.Fatal(err)
		}
		defer device.Close()
		buf := make([]byte, 1024)
		read := func(want int) {
			if n, err := device.Read(b.Context(), 0x83, buf); n != want || err != nil {
				b.Fatal(n, err)
			}
		}
		b.SetBytes(onWire)
		for b.Loop() {
			for _, question := range questions {
				if err := device.Write(b.Context(), 0x02, question); err != nil {
					b.Fatal(err)
				}
				read(16)
			}
			for range 90 {
				read(540)
			}
		}
		bare = b.Elapsed() / time.Duration(b.N)
		b.ReportMetric(1/bare.Seconds(), "frames/s")
	})
	b.Run("driver", func(b *testing.B) {
		d, r := attach(b, nb1010.Config{})
		r.Show(ridges())
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
	})
}

// BenchmarkHardwareTouch is the time from a finger on the window to its frame.
// The reader does not tell by itself: fingers come at all times between two looks.
func BenchmarkHardwareTouch(b *testing.B) {
	const poll = 50 * time.Millisecond // the driver's
	d, r := attach(b, nb1010.Config{})
	s, picture := open(b, d, probe(b, d, 1)[0]), ridges()
	touches := 0
	for b.Loop() {
		b.StopTimer()
		r.Show(nil)
		waits := r.Hold(twins.StageFinger)
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
		r.Release()
		<-time.After(time.Duration((touches*3+5)%10) * poll / 10)
		touches++
		b.StartTimer()
		r.Show(picture)
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
		attach(b, nb1010.Config{})
	}
	d, err := nb1010.New(usb.System(), nb1010.Config{})
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
