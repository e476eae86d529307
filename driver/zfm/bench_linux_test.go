package zfm_test

import (
	"encoding/hex"
	"io"
	"testing"
	"time"

	"sbid/driver"
	"sbid/driver/internal/serialport"
	"sbid/driver/zfm"
	"sbid/simulator/serial"
)

// onWire is how many bytes an image of 256x288 pixels takes in packets of 256:
// 144 of them, 11 bytes around each, and the answer before.
const onWire = 144*(256+11) + 12

// BenchmarkFrame is the way of a frame from the finger to the consumer, against
// the same bytes on the same line without a driver.
func BenchmarkFrame(b *testing.B) {
	b.Run("driver", func(b *testing.B) {
		d, twin := with(b, serial.EF01{PacketSize: 256}, zfm.Config{FastRate: -1})
		twin.Show(ridges())
		s := open(b, d)
		defer s.Close()
		b.SetBytes(onWire)
		frames(b, s)
	})
	b.Run("bare", func(b *testing.B) {
		_, twin := plug(b, serial.EF01{PacketSize: 256})
		twin.Show(ridges())
		line, err := serialport.Open(twin.Path(), 57600)
		if err != nil {
			b.Fatal(err)
		}
		defer line.Close()
		ask := func(question string, n int) {
			p, err := hex.DecodeString(question)
			if err == nil {
				err = line.Send(p)
			}
			if err == nil {
				_, err = io.ReadFull(line.Reader(b.Context(), time.Now().Add(10*time.Second)), make([]byte, n))
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		b.SetBytes(onWire)
		for b.Loop() {
			ask("ef01ffffffff010003010005", 12)
			ask("ef01ffffffff0100030a000e", onWire)
		}
	})
	// The line at its real rate: what a person waits for.
	b.Run("115200 baud", func(b *testing.B) {
		d, twin := with(b, serial.EF01{Pace: 1}, zfm.Config{})
		twin.Show(ridges())
		s := open(b, d)
		defer s.Close()
		b.SetBytes(onWire)
		frames(b, s)
		line := serialport.TransferTime(onWire, 115200).Seconds()
		b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/line, "x-line-time")
	})
}

func frames(b *testing.B, s driver.Scanner) {
	b.Helper()
	for b.Loop() {
		for _, err := range s.Frames(b.Context(), driver.Target{}) {
			if err != nil {
				b.Fatal(err)
			}
			break
		}
	}
}
