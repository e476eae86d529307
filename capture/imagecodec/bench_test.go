package imagecodec

import (
	"errors"
	"fmt"
	"image"
	"testing"
)

func BenchmarkJP2(b *testing.B) {
	for _, p := range []struct {
		name string
		img  image.Image
	}{
		{"finger500x500", finger(500, 500)},
		{"iris640x480", iris(640, 480)},
		{"face480x624", face(480, 624)},
	} {
		for _, o := range []JP2Options{{Lossless: true}, {Ratio: 10}} {
			for _, threads := range []int{1, 2} {
				o.Threads = threads
				kind := map[bool]string{true: "lossless", false: "10to1"}[o.Lossless]
				b.Run(fmt.Sprintf("encode/%s/%s/threads%d", p.name, kind, threads), func(b *testing.B) {
					for b.Loop() {
						if _, err := EncodeJP2(p.img, o); errors.Is(err, ErrNoOpenJPEG) {
							b.Skip(err)
						} else if err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			file, err := EncodeJP2(p.img, o)
			if err != nil {
				continue // said above
			}
			kind := map[bool]string{true: "lossless", false: "10to1"}[o.Lossless]
			for _, threads := range []int{1, 2} {
				b.Run(fmt.Sprintf("decode/%s/%s/threads%d", p.name, kind, threads), func(b *testing.B) {
					f, err := parseJP2(file)
					if err != nil {
						b.Fatal(err)
					}
					for b.Loop() {
						_, px := newImage(f.width, f.height, f.components)
						if err := decodeCodestream(f.codestream, px, threads); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

func BenchmarkWSQ(b *testing.B) {
	img := finger(500, 500)
	file, err := EncodeWSQ(img, 0.75, 500)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode/finger500x500", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := EncodeWSQ(img, 0.75, 500); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode/finger500x500", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := DecodeWSQ(file); err != nil {
				b.Fatal(err)
			}
		}
	})
}
