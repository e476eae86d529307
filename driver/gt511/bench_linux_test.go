package gt511_test

import (
	"testing"

	"sbid/driver"
	"sbid/driver/gt511"
	"sbid/driver/internal/serialport"
	"sbid/simulator/serial"
)

// onWire is how many bytes an image of a C3 takes: the answer, and one packet.
const onWire = 12 + 4 + 202*258 + 2

// BenchmarkFrame is the way of a frame from the finger to the consumer, on a
// line that is as fast as the system and at the module's best rate.
func BenchmarkFrame(b *testing.B) {
	for name, pace := range map[string]float64{"unpaced": 0, "115200 baud": 1} {
		b.Run(name, func(b *testing.B) {
			d, twin := plug(b, serial.GT511{Pace: pace}, gt511.Config{})
			twin.Show(ridges())
			s := open(b, d)
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
			line := serialport.TransferTime(onWire, 115200).Seconds()
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/line, "x-line-time")
		})
	}
}
