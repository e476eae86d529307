package segment_test

import (
	"testing"

	"sbid/capture/segment"
	"sbid/driver"
	"sbid/simulator"
)

func BenchmarkSlap(b *testing.B) {
	img, _ := paintHand(1, driver.Right, scene{})
	want := driver.Finger.Positions(driver.Right)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := segment.Slap(img, want); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCut(b *testing.B) {
	for name, rotation := range map[string]float64{"upright": 0, "turned": 0.2} {
		img, _ := paintHand(3, driver.Right, scene{rotation: rotation})
		l, err := segment.Slap(img, driver.Finger.Positions(driver.Right))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Fingers[0].Cut(img)
			}
		})
	}
}

func BenchmarkEyes(b *testing.B) {
	img, _ := simulator.NewPerson(1).Eye(driver.LeftIris, simulator.Shot{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := segment.Eyes(img, []driver.Position{driver.LeftIris}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFace(b *testing.B) {
	img, _ := simulator.NewPerson(1).Face(simulator.Shot{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := segment.Face(img); err != nil {
			b.Fatal(err)
		}
	}
}
