package iso19794_test

import (
	"slices"
	"testing"

	"sbid/capture/iso19794"
	"sbid/driver"
)

func benchmarkRecords(b *testing.B) map[string]iso19794.Record {
	records := map[string]iso19794.Record{}
	for _, p := range []driver.Position{driver.LeftIndex, driver.LeftIris, driver.FullFace} {
		s := sample(p)
		s.Image = append(slices.Clip(jp2), make([]byte, 100_000)...)
		r, err := iso19794.New(iso19794.Registration, s)
		if err != nil {
			b.Fatal(err)
		}
		records[p.String()] = r
	}
	return records
}

func BenchmarkEncode(b *testing.B) {
	for name, r := range benchmarkRecords(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(r.Image())))
			for b.Loop() {
				if _, err := r.MarshalBinary(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, r := range benchmarkRecords(b) {
		b.Run(name, func(b *testing.B) {
			data, err := r.MarshalBinary()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := iso19794.Decode(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
