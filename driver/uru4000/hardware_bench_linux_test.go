//go:build hardware

package uru4000_test

import (
	"testing"
	"time"

	"sbid/driver/internal/usb"
	"sbid/driver/internal/usb/usbtest"
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
		device, err := usb.System().Open(b.Context(), usbtest.Readers(b, d, 1)[0].Addr, claim)
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
		took := usbtest.Frames(b, d, onWire, bare)
		b.ReportMetric(bare.Seconds()/(took-lifting).Seconds(), "of-bare-unwaited")
	})
}

// BenchmarkHardwareTouch is the time from a finger on the window to its frame.
// The driver waits for it already, and the reader tells by itself.
func BenchmarkHardwareTouch(b *testing.B) {
	const answer = 20 * time.Millisecond // until the driver has the reader's
	d, twin := attach(b, twins.URU4000{})
	usbtest.Touch(b, d, twin, twins.StageFinger, ridges(), func(int) time.Duration { return answer })
}

// BenchmarkHardwareIdle is the processor time of readers that nobody captures
// from.
func BenchmarkHardwareIdle(b *testing.B) {
	const readers = 5
	for range readers {
		attach(b, twins.URU4000{})
	}
	d, err := uru4000.New(usb.System(), uru4000.Config{})
	if err != nil {
		b.Fatal(err)
	}
	usbtest.Idle(b, d, readers)
}
