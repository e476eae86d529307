package quality_test

import (
	"testing"

	"sbid/capture/quality"
)

func BenchmarkFinger(b *testing.B) {
	img := ordinaryFinger().paint(500, 500)
	b.ReportAllocs()
	for b.Loop() {
		quality.Finger(img)
	}
}

func BenchmarkIris(b *testing.B) {
	img, eye := ordinaryEye().paint()
	b.ReportAllocs()
	for b.Loop() {
		quality.Iris(img, eye)
	}
}

func BenchmarkFace(b *testing.B) {
	img, face := photograph(b)
	b.ReportAllocs()
	for b.Loop() {
		quality.Face(img, face, true)
	}
}
