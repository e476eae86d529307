// Package preview draws what a capture sees, for the person at the scanner:
// the frame at reduced size, a mark around each finger, eye or face with its
// quality, and one line of advice.
package preview

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"sbid/capture"
	"sbid/capture/segment"
)

const (
	maxWidth  = 800 // pixels of a preview
	textSize  = 18  // pixels
	quality   = 60  // of the JPEG: enough to place a hand by
	idleWidth = 640 // of a message when there is no frame to write it on
	idleRows  = 480
)

// The marks' colours. Weak marks are also drawn thick and strong ones thin, so
// that nothing depends on colour alone.
var (
	strong = color.RGBA{0x1B, 0x8A, 0x3A, 0xFF}
	fair   = color.RGBA{0xD0, 0x7A, 0x00, 0xFF}
	weak   = color.RGBA{0xC6, 0x28, 0x28, 0xFF}
)

// A Painter draws previews, one after the other, and reuses its canvas. The
// zero value is ready for use. The JPEGs have no thumbnail, on which some
// clients lose the frame.
type Painter struct {
	canvas *image.YCbCr
	face   font.Face
	last   image.Rectangle // of the last view, for a message
}

// View draws v as a JPEG with one line of advice, "" for none. A view without a
// picture is an empty one.
func (p *Painter) View(out *bytes.Buffer, v capture.View, advice string) error {
	scale := p.frame(v)
	for _, m := range v.Marks {
		p.mark(m, scale)
	}
	p.line(advice)
	return p.encode(out)
}

// Message draws a text over an empty preview.
func (p *Painter) Message(out *bytes.Buffer, text string) error {
	p.blank()
	p.line(text)
	return p.encode(out)
}

// blank makes the canvas empty, of the size that it last had.
func (p *Painter) blank() {
	size := p.last
	if size.Empty() {
		size = image.Rect(0, 0, idleWidth, idleRows)
	}
	p.reset(size.Dx(), size.Dy())
}

func (p *Painter) encode(out *bytes.Buffer) error {
	if err := jpeg.Encode(out, p.canvas, &jpeg.Options{Quality: quality}); err != nil {
		return fmt.Errorf("encode preview: %w", err)
	}
	return nil
}

// reset makes the canvas an even grey of this size.
func (p *Painter) reset(width, height int) {
	p.last = image.Rect(0, 0, width, height)
	if p.canvas == nil || p.canvas.Rect != p.last {
		p.canvas = image.NewYCbCr(p.last, image.YCbCrSubsampleRatio420)
	}
	fill(p.canvas.Y, 0xE0)
	fill(p.canvas.Cb, 128)
	fill(p.canvas.Cr, 128)
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

// frame draws the frame and returns by what it was divided.
func (p *Painter) frame(v capture.View) (scale int) {
	if v.Frame.Image != nil {
		size := v.Frame.Image.Bounds().Size()
		scale = max(1, (size.X+maxWidth-1)/maxWidth)
		p.reset(size.X/scale, size.Y/scale)
		p.shrink(v.Frame.Image, image.Point{}, scale)
		return scale
	}
	if len(v.Frame.Parts) == 0 { // nothing to see yet, and a line to write
		p.blank()
		return 1
	}
	// The scanner cut the scene itself: its parts stand side by side.
	const gap = 16
	width, height := gap, 0
	for _, part := range v.Frame.Parts {
		size := part.Image.Bounds().Size()
		width, height = width+size.X+gap, max(height, size.Y+2*gap)
	}
	scale = max(1, (width+maxWidth-1)/maxWidth)
	p.reset(max(width/scale, 2*gap), max(height/scale, 2*gap))
	at := image.Pt(gap, gap)
	for _, part := range v.Frame.Parts {
		p.shrink(part.Image, at.Div(scale), scale)
		at.X += part.Image.Bounds().Dx() + gap
	}
	return scale
}

// shrink draws img at a place of the canvas, each pixel the mean of a square of
// scale by scale.
func (p *Painter) shrink(img image.Image, at image.Point, scale int) {
	b := img.Bounds()
	w, h := min(b.Dx()/scale, p.canvas.Rect.Dx()-at.X), min(b.Dy()/scale, p.canvas.Rect.Dy()-at.Y)
	area := uint32(scale * scale)
	switch img := img.(type) {
	case *image.Gray:
		for y := range h {
			row := p.canvas.Y[p.canvas.YOffset(at.X, at.Y+y):]
			for x := range w {
				var sum uint32
				for dy := range scale {
					o := img.PixOffset(b.Min.X+x*scale, b.Min.Y+y*scale+dy)
					for _, v := range img.Pix[o : o+scale] {
						sum += uint32(v)
					}
				}
				row[x] = byte(sum / area)
			}
		}
	case *image.RGBA:
		for y := range h {
			for x := range w {
				var r, g, bl uint32
				for dy := range scale {
					o := img.PixOffset(b.Min.X+x*scale, b.Min.Y+y*scale+dy)
					for px := img.Pix[o : o+4*scale]; len(px) >= 4; px = px[4:] {
						r, g, bl = r+uint32(px[0]), g+uint32(px[1]), bl+uint32(px[2])
					}
				}
				p.set(at.X+x, at.Y+y, color.RGBA{byte(r / area), byte(g / area), byte(bl / area), 0xFF})
			}
		}
	}
}

func (p *Painter) set(x, y int, c color.RGBA) {
	if !image.Pt(x, y).In(p.canvas.Rect) {
		return
	}
	yy, cb, cr := color.RGBToYCbCr(c.R, c.G, c.B)
	p.canvas.Y[p.canvas.YOffset(x, y)] = yy
	o := p.canvas.COffset(x, y)
	p.canvas.Cb[o], p.canvas.Cr[o] = cb, cr
}

// mark draws one outline with the quality beside it.
func (p *Painter) mark(m capture.Mark, scale int) {
	c, width := weak, 4
	switch {
	case m.Quality >= 60:
		c, width = strong, 2
	case m.Quality >= 40:
		c, width = fair, 3
	}
	small := func(pt segment.Point) segment.Point {
		return segment.Point{X: pt.X / float64(scale), Y: pt.Y / float64(scale)}
	}
	top := segment.Point{Y: math.Inf(1)}
	for i, corner := range m.Outline {
		from, to := small(corner), small(m.Outline[(i+1)%len(m.Outline)])
		p.stroke(from, to, c, width)
		if from.Y < top.Y {
			top = from
		}
	}
	for _, circle := range m.Circles {
		centre, r := small(circle.Point), circle.R/float64(scale)
		const sides = 48
		at := func(k int) segment.Point {
			sin, cos := math.Sincos(2 * math.Pi * float64(k) / sides)
			return segment.Point{X: centre.X + r*cos, Y: centre.Y + r*sin}
		}
		for k := range sides {
			p.stroke(at(k), at(k+1), c, width)
		}
		if y := centre.Y - r; y < top.Y {
			top = segment.Point{X: centre.X, Y: y}
		}
	}
	if math.Abs(top.X) < farthest && math.Abs(top.Y) < farthest {
		p.text(fmt.Sprintf("%.0f", m.Quality), int(top.X)+6, max(int(top.Y)-6, textSize), c)
	}
}

// farthest is how far from the picture's corner a mark may reach, in pixels.
const farthest = 10_000

// stroke draws a line of square dots. One that leads nowhere is left out.
func (p *Painter) stroke(from, to segment.Point, c color.RGBA, width int) {
	for _, v := range []float64{from.X, from.Y, to.X, to.Y} {
		if !(math.Abs(v) < farthest) {
			return
		}
	}
	n := int(max(math.Abs(to.X-from.X), math.Abs(to.Y-from.Y))) + 1
	for i := range n + 1 {
		t := float64(i) / float64(n)
		x, y := int(from.X+t*(to.X-from.X)), int(from.Y+t*(to.Y-from.Y))
		for d := range width * width {
			p.set(x+d%width-width/2, y+d/width-width/2, c)
		}
	}
}

// line writes the advice along the lower edge.
func (p *Painter) line(advice string) {
	if advice == "" {
		return
	}
	const height = textSize + 12
	b := p.canvas.Rect
	for y := max(0, b.Max.Y-height); y < b.Max.Y; y++ {
		for x := range b.Max.X {
			p.set(x, y, color.RGBA{0xFF, 0xFF, 0xFF, 0xFF})
		}
	}
	p.text(advice, 10, b.Max.Y-10, color.RGBA{0x20, 0x20, 0x20, 0xFF})
}

// text writes from x to the right on the baseline y.
func (p *Painter) text(s string, x, y int, c color.RGBA) {
	if p.face == nil {
		f, err := opentype.Parse(gobold.TTF)
		if err == nil {
			p.face, err = opentype.NewFace(f, &opentype.FaceOptions{Size: textSize, DPI: 72})
		}
		if err != nil {
			panic(err) // the font is part of the program
		}
	}
	d := font.Drawer{Dst: canvas{p}, Src: image.NewUniform(c), Face: p.face, Dot: fixed.P(x, y)}
	d.DrawString(s)
}

// canvas lets the font drawer write on the YCbCr picture.
type canvas struct{ p *Painter }

func (c canvas) ColorModel() color.Model { return color.RGBAModel }
func (c canvas) Bounds() image.Rectangle { return c.p.canvas.Rect }
func (c canvas) At(x, y int) color.Color { return c.p.canvas.At(x, y) }
func (c canvas) Set(x, y int, v color.Color) {
	rgba, _ := color.RGBAModel.Convert(v).(color.RGBA)
	c.p.set(x, y, rgba)
}
