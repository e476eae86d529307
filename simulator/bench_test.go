package simulator

import (
	"image"
	"testing"

	"sbid/driver"
)

// BenchmarkGrow draws a finger nobody has seen yet.
func BenchmarkGrow(b *testing.B) {
	for i := range b.N {
		NewPerson(uint64(i)).finger(driver.RightIndex)
	}
}

// BenchmarkFirstSlapFrame is what the operator waits for at the first capture.
func BenchmarkFirstSlapFrame(b *testing.B) {
	for i := range b.N {
		s := New(Config{Seed: uint64(i)})
		frames(b, s, AddrSlap, whole(driver.Finger, driver.Left), 1)
	}
}

// BenchmarkScene draws what stays the same during a capture.
func BenchmarkScene(b *testing.B) {
	p := NewPerson(1)
	for _, v := range views {
		b.Run(v.name, func(b *testing.B) {
			positions := visible(v.want.Positions[0].Modality(), v.want)
			for i := range b.N {
				p.scene(v.addr, v.want, positions, uint64(i), Condition{})
			}
		})
	}
}

// BenchmarkFrame draws one frame: while a finger settles, and afterwards.
func BenchmarkFrame(b *testing.B) {
	p := NewPerson(1)
	for _, v := range views {
		draw := p.scene(v.addr, v.want, visible(v.want.Positions[0].Modality(), v.want), 1, Condition{})
		b.Run(v.name+"/settling", func(b *testing.B) {
			for range b.N {
				(&drawn{person: p, draw: draw}).next()
			}
		})
		b.Run(v.name+"/settled", func(b *testing.B) {
			d := &drawn{person: p, base: draw(0), frame: settleFrames + 1}
			b.ReportAllocs()
			for range b.N {
				d.next()
			}
		})
	}
}

// BenchmarkPlayback is the price of a frame that costs nothing to draw.
func BenchmarkPlayback(b *testing.B) {
	s := New(Config{Images: map[string]image.Image{"face": image.NewRGBA(image.Rect(0, 0, 960, 720))}})
	b.ReportAllocs()
	for range b.N {
		s.look(s.unit(AddrCamera), whole(driver.Face, driver.Single), state{present: true}).next()
	}
}
