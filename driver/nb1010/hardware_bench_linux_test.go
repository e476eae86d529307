//go:build hardware

package nb1010_test

import (
	"testing"
	"time"

	"sbid/driver/internal/usb"
	"sbid/driver/internal/usb/usbtest"
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
		device, err := usb.System().Open(b.Context(), usbtest.Readers(b, d, 1)[0].Addr, claim)
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
		usbtest.Frames(b, d, onWire, bare)
	})
}

// BenchmarkHardwareTouch is the time from a finger on the window to its frame.
// The reader does not tell by itself: fingers come at all times between two looks.
func BenchmarkHardwareTouch(b *testing.B) {
	const poll = 50 * time.Millisecond // the driver's
	d, r := attach(b, nb1010.Config{})
	usbtest.Touch(b, d, r, twins.StageFinger, ridges(), func(touch int) time.Duration {
		return time.Duration((touch*3+5)%10) * poll / 10
	})
}

// BenchmarkHardwareIdle is the processor time of readers that nobody captures
// from.
func BenchmarkHardwareIdle(b *testing.B) {
	const readers = 5
	for range readers {
		attach(b, nb1010.Config{})
	}
	d, err := nb1010.New(usb.System(), nb1010.Config{})
	if err != nil {
		b.Fatal(err)
	}
	usbtest.Idle(b, d, readers)
}
