package imagecodec

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// finger draws ridges about nine pixels apart, dark on a light platen.
func finger(w, h int) *image.Gray {
	rnd := rand.New(rand.NewPCG(1, 2))
	img := image.NewGray(image.Rect(0, 0, w, h))
	radius := float64(min(w, h)) * 0.48
	for y := range h {
		for x := range w {
			dx, dy := float64(x-w/2), float64(y-h/2)*0.8
			r := math.Hypot(dx, dy)
			ridge := 100 * math.Cos(2*math.Pi*r/9+1.5*math.Sin(2*math.Atan2(dy, dx)))
			touch := 1 / (1 + math.Exp((r-radius)/4))
			img.Pix[y*w+x] = byte(240 - touch*(115-ridge) + 4*rnd.Float64())
		}
	}
	return img
}

// iris draws a dark pupil in a fibrous ring.
func iris(w, h int) *image.Gray {
	rnd := rand.New(rand.NewPCG(3, 4))
	img := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			dx, dy := float64(x-w/2), float64(y-h/2)
			r, v := math.Hypot(dx, dy)/float64(h), 200.0
			switch {
			case r < 0.1:
				v = 20
			case r < 0.28:
				v = 90 + 25*math.Sin(60*math.Atan2(dy, dx)+20*r)
			}
			img.Pix[y*w+x] = byte(v + 8*rnd.Float64())
		}
	}
	return img
}

// face draws coloured shading with a little noise.
func face(w, h int) *image.RGBA {
	rnd := rand.New(rand.NewPCG(5, 6))
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			r := math.Hypot(float64(x-w/2), float64(y-h/2)) / float64(h)
			n := 6 * rnd.Float64()
			c := color.RGBA{byte(230 + n), byte(230 + n), byte(235 + n), 255}
			if r < 0.35 {
				c = color.RGBA{byte(180 - 120*r + n), byte(130 - 90*r + n), byte(110 - 60*r + n), 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	return img
}

func noise(w, h int) *image.Gray {
	rnd := rand.New(rand.NewPCG(7, 8))
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = byte(rnd.Uint32())
	}
	return img
}

func colourNoise(w, h int) *image.RGBA {
	rnd := rand.New(rand.NewPCG(9, 10))
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = byte(rnd.Uint32())
	}
	return img
}

func uniform(w, h int, v byte) *image.Gray {
	return &image.Gray{Pix: bytes.Repeat([]byte{v}, w*h), Stride: w, Rect: image.Rect(0, 0, w, h)}
}

// difference returns the largest difference of any sample and the peak signal
// to noise ratio in dB, and fails the test if the shapes differ.
func difference(t testing.TB, got, want image.Image) (most int, psnr float64) {
	t.Helper()
	g, err := pixelsOf(got)
	if err != nil {
		t.Fatal(err)
	}
	w, err := pixelsOf(want)
	if err != nil {
		t.Fatal(err)
	}
	if g.width != w.width || g.height != w.height || g.components != w.components {
		t.Fatalf("got %dx%d with %d components, want %dx%d with %d", g.width, g.height, g.components, w.width, w.height, w.components)
	}
	step := []int{1: 1, 3: 4}[g.components]
	sum := 0.0
	for y := range g.height {
		for x := range g.width {
			for c := range g.components {
				d := int(g.pix[y*g.stride+x*step+c]) - int(w.pix[y*w.stride+x*step+c])
				most = max(most, d, -d)
				sum += float64(d * d)
			}
		}
	}
	return most, 10 * math.Log10(255*255*float64(g.width*g.height*g.components)/sum)
}

// pnm returns img as a PGM or PPM file.
func pnm(img image.Image) []byte {
	var b bytes.Buffer
	r := img.Bounds()
	switch img := img.(type) {
	case *image.Gray:
		fmt.Fprintf(&b, "P5\n%d %d\n255\n", r.Dx(), r.Dy())
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				b.WriteByte(img.GrayAt(x, y).Y)
			}
		}
	case *image.RGBA:
		fmt.Fprintf(&b, "P6\n%d %d\n255\n", r.Dx(), r.Dy())
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				c := img.RGBAAt(x, y)
				b.Write([]byte{c.R, c.G, c.B})
			}
		}
	}
	return b.Bytes()
}

// sample returns a sample file from beside the repository, nil if it is absent.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "samples", name))
	if err != nil {
		t.Logf("sample %s is absent", name)
		return nil
	}
	return b
}

// set returns a function that overwrites a file from an offset on.
func set(at int, with ...byte) func([]byte) []byte {
	return func(b []byte) []byte {
		copy(b[at:], with)
		return b
	}
}
