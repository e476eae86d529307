package nb1010_test

import (
	"testing"

	"sbid/driver"
	"sbid/driver/nb1010"
	twins "sbid/simulator/usb"
	"sbid/simulator/usbip"
)

// onWire is how many bytes a picture takes, with the answers before it.
const onWire = 3*16 + 90*540

// questions are asked for a picture: is there a finger, get ready, take it.
var questions = [][]byte{
	{0x80, 0x38, 1, 0, 8, 0, 0, 0},
	{0x80, 0x0D, 3, 0, 12, 0, 0, 0, 0, 4, 0, 0},
	{0x80, 0x12, 4, 0, 32, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0},
}

// BenchmarkFrame is the way of a picture to the consumer, against the same bytes
// from the same twin without a driver.
func BenchmarkFrame(b *testing.B) {
	b.Run("driver", func(b *testing.B) {
		d, twin := plug(b, nb1010.Config{DPI: 500})
		twin.Show(ridges())
		s, err := d.Open(b.Context(), "usb:1-1")
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		b.SetBytes(onWire)
		for b.Loop() {
			for _, err := range s.Frames(b.Context(), driver.Target{}) {
				if err != nil {
					b.Fatal(err)
				}
				break
			}
		}
	})
	b.Run("bare", func(b *testing.B) {
		var host *usbip.Host
		twin, err := twins.StartNB1010(func(d usbip.Device) (*usbip.Cable, error) {
			h, cable := usbip.Connect(d)
			host = h
			return cable, nil
		}, twins.NB1010{})
		if err != nil {
			b.Fatal(err)
		}
		defer twin.Close()
		twin.Show(ridges())
		buf := make([]byte, 1024)
		b.SetBytes(onWire)
		for b.Loop() {
			for _, question := range questions {
				if _, err := host.Transfer(b.Context(), 0x02, question); err != nil {
					b.Fatal(err)
				}
				if _, err := host.Transfer(b.Context(), 0x83, buf); err != nil {
					b.Fatal(err)
				}
			}
			for range 90 {
				if n, err := host.Transfer(b.Context(), 0x83, buf); n != 540 || err != nil {
					b.Fatal(n, err)
				}
			}
		}
	})
}
