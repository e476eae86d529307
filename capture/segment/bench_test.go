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
	img, _ := paintHand(3, driver.Right, scene{})
	for name, angle := range map[string]float64{"upright": 0, "turned": 0.2} {
		f := segment.Finger{Angle: angle, Corners: [4]segment.Point{{X: 600, Y: 400}, {X: 880, Y: 400}, {X: 880, Y: 850}, {X: 600, Y: 850}}}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f.Cut(img)
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
