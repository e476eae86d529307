package preview

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"testing"

	"sbid/capture"
	"sbid/capture/segment"
	"sbid/driver"
)

func grey(w, h int, v uint8) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = v
	}
	return img
}

// paint draws a view and decodes what came, as every client must be able to.
func paint(t *testing.T, p *Painter, v capture.View, advice string) image.Image {
	t.Helper()
	var out bytes.Buffer
	if err := p.View(&out, v, advice); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(out.Bytes(), []byte{0xFF, 0xD8}); n != 1 {
		t.Errorf("%d starts of an image in one frame: clients lose it", n)
	}
	img, err := jpeg.Decode(&out)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func square(x0, y0, x1, y1 float64) []segment.Point {
	return []segment.Point{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}}
}

// hue says which of the marks' colours a pixel has, "" for grey.
func hue(c color.Color) string {
	r, g, b, _ := c.RGBA()
	switch {
	case r > g+0x2800 && r > b+0x2800 && g > b+0x2000:
		return "fair"
	case r > g+0x2800:
		return "weak"
	case g > r+0x2000:
		return "strong"
	}
	return ""
}

// A mark is drawn where the finger is, at the scale of the preview, in a colour
// and a width that tell its quality.
func TestMarks(t *testing.T) {
	for name, quality := range map[string]float64{"weak": 20, "fair": 50, "strong": 80} {
		v := capture.View{
			Frame: driver.Frame{Image: grey(1600, 1500, 200)},
			Marks: []capture.Mark{{Outline: square(400, 600, 800, 1200), Quality: quality}},
		}
		img := paint(t, &Painter{}, v, "")
		if got := img.Bounds().Size(); got != image.Pt(800, 750) {
			t.Fatalf("size %v", got)
		}
		if got := hue(img.At(300, 300)); got != name {
			t.Errorf("quality %.0f: the edge is %q, want %q", quality, got, name)
		}
		for _, elsewhere := range []image.Point{{100, 100}, {300, 450}, {600, 600}} {
			if got := hue(img.At(elsewhere.X, elsewhere.Y)); got != "" {
				t.Errorf("quality %.0f: %v is %q", quality, elsewhere, got)
			}
		}
	}
}

// The picture keeps what the scanner saw: greys of fingers, colours of faces,
// parts side by side.
func TestFrames(t *testing.T) {
	within := func(got color.Color, want color.RGBA) bool {
		r, g, b, _ := got.RGBA()
		near := func(a uint32, b uint8) bool { return math.Abs(float64(a>>8)-float64(b)) < 12 }
		return near(r, want.R) && near(g, want.G) && near(b, want.B)
	}
	p := &Painter{} // one for all: the canvas changes its size
	if img := paint(t, p, capture.View{Frame: driver.Frame{Image: grey(401, 499, 90)}}, ""); !within(img.At(200, 200), color.RGBA{90, 90, 90, 255}) {
		t.Errorf("grey became %v", img.At(200, 200))
	}
	face := image.NewRGBA(image.Rect(10, 20, 970, 740))
	for i := 0; i < len(face.Pix); i += 4 {
		copy(face.Pix[i:], []byte{180, 120, 90, 255})
	}
	if img := paint(t, p, capture.View{Frame: driver.Frame{Image: face}}, ""); !within(img.At(200, 200), color.RGBA{180, 120, 90, 255}) {
		t.Errorf("colour became %v", img.At(200, 200))
	}
	parts := capture.View{Frame: driver.Frame{Parts: []driver.Part{{Image: grey(200, 300, 40)}, {Image: grey(200, 100, 160)}}}}
	img := paint(t, p, parts, "")
	if !within(img.At(100, 100), color.RGBA{40, 40, 40, 255}) || !within(img.At(330, 60), color.RGBA{160, 160, 160, 255}) {
		t.Errorf("parts became %v and %v", img.At(100, 100), img.At(330, 60))
	}
}

// Advice and messages are letters on a light line.
func TestText(t *testing.T) {
	dark := func(img image.Image) (n int) {
		b := img.Bounds()
		for y := b.Max.Y - textSize - 12; y < b.Max.Y; y++ {
			for x := range b.Max.X {
				if r, _, _, _ := img.At(x, y).RGBA(); r < 0x6000 {
					n++
				}
			}
		}
		return n
	}
	p := &Painter{}
	view := capture.View{Frame: driver.Frame{Image: grey(640, 480, 230)}}
	if without, with := dark(paint(t, p, view, "")), dark(paint(t, p, view, "Écarter un peu les doigts.")); without != 0 || with < 200 {
		t.Errorf("dark pixels: %d without advice, %d with it", without, with)
	}
	// A scanner that has seen nothing yet prompts on an empty picture.
	if img := paint(t, &Painter{}, capture.View{Hint: capture.PlaceLeftIndex}, "Place the left index finger."); img.Bounds().Size() != image.Pt(640, 480) || dark(img) < 200 {
		t.Errorf("prompt: %v, %d dark pixels", img.Bounds(), dark(img))
	}
	var out bytes.Buffer
	if err := p.Message(&out, "The scanner was unplugged during the capture."); err != nil {
		t.Fatal(err)
	}
	img, err := jpeg.Decode(&out)
	if err != nil {
		t.Fatal(err)
	}
	if img.Bounds().Size() != image.Pt(640, 480) || dark(img) < 300 {
		t.Errorf("message: %v, %d dark pixels", img.Bounds(), dark(img))
	}
}

// Whatever the frame's size and wherever the marks, there is a picture.
func FuzzView(f *testing.F) {
	f.Add(uint16(1), uint16(1), 0.0, 0.0, 5.0, 5.0, 50.0)
	f.Add(uint16(1600), uint16(1500), -1e9, 3.0, 1e9, math.MaxFloat64, 100.0)
	f.Add(uint16(801), uint16(3), math.NaN(), 3.0, math.Inf(1), 7.0, math.NaN())
	f.Fuzz(func(t *testing.T, w, h uint16, x0, y0, x1, y1, quality float64) {
		v := capture.View{
			Frame: driver.Frame{Image: grey(int(w)%2000+1, int(h)%2000+1, 200)},
			Marks: []capture.Mark{{Outline: square(x0, y0, x1, y1), Quality: quality}, {Circles: []segment.Circle{{Point: segment.Point{X: x0, Y: y0}, R: x1}}, Quality: quality}},
		}
		paint(t, &Painter{}, v, "Keep still.")
	})
}
