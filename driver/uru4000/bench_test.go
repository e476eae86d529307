package uru4000_test

import (
	"testing"

	"sbid/driver"
	twins "sbid/simulator/usb"
	"sbid/simulator/usbip"
)

// onWire is how many bytes a picture takes.
const onWire = 64 + 384*289

// BenchmarkFrame is the way of a picture to the consumer, against the same bytes
// from the same twin without a driver. Of the driver's time, 100 ms a frame are
// the wait for a finger that is lifted.
func BenchmarkFrame(b *testing.B) {
	b.Run("driver", func(b *testing.B) {
		d, twin := plug(b, twins.URU4000{})
		twin.Show(ridges())
		s, err := d.Open(b.Context(), "usb:1-1")
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		b.SetBytes(onWire)
		next := 0
		for _, err := range s.Frames(b.Context(), driver.Target{}) {
			if err != nil {
				b.Fatal(err)
			}
			if next++; next > b.N {
				break
			}
		}
	})
	b.Run("bare", func(b *testing.B) {
		var host *usbip.Host
		twin, err := twins.StartURU4000(func(d usbip.Device) (*usbip.Cable, error) {
			h, cable := usbip.Connect(d)
			host = h
			return cable, nil
		}, twins.URU4000{})
		if err != nil {
			b.Fatal(err)
		}
		defer twin.Close()
		twin.Show(ridges())
		if _, err := host.Control(b.Context(), 0x40, 4, 0x4E, 0, []byte{0x20}); err != nil {
			b.Fatal(err)
		}
		buf := make([]byte, 64+384*290)
		b.SetBytes(onWire)
		for b.Loop() {
			if n, err := host.Transfer(b.Context(), 0x82, buf); n != onWire || err != nil {
				b.Fatal(n, err)
			}
		}
	})
}
