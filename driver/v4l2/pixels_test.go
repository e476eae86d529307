package v4l2

import (
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"testing"
)

// Primary colours, black and white, as ITU-R BT.601 has them in 8 bits of limited
// range.
func TestYUYV(t *testing.T) {
	for name, tt := range map[string]struct {
		y, cb, cr byte
		want      color.RGBA
	}{
		"black": {16, 128, 128, color.RGBA{0, 0, 0, 255}},
		"white": {235, 128, 128, color.RGBA{255, 255, 255, 255}},
		"red":   {81, 90, 240, color.RGBA{255, 0, 0, 255}},
		"green": {145, 54, 34, color.RGBA{0, 255, 0, 255}},
		"blue":  {41, 240, 110, color.RGBA{0, 0, 255, 255}},
		"below": {0, 128, 128, color.RGBA{0, 0, 0, 255}},
		"above": {255, 128, 128, color.RGBA{255, 255, 255, 255}},
	} {
		t.Run(name, func(t *testing.T) {
			l := layout{format: formatNamed("YUYV"), size: image.Pt(2, 1), stride: 4}
			img, err := l.decode([]byte{tt.y, tt.cb, tt.y, tt.cr}, false)
			if err != nil {
				t.Fatal(err)
			}
			for x := range 2 {
				got := img.(*image.RGBA).RGBAAt(x, 0)
				for _, d := range []int{int(got.R) - int(tt.want.R), int(got.G) - int(tt.want.G), int(got.B) - int(tt.want.B)} {
					if d < -2 || d > 2 {
						t.Errorf("pixel %d is %v, want %v", x, got, tt.want)
					}
				}
			}
			grey, err := l.decode([]byte{tt.y, tt.cb, tt.y, tt.cr}, true)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := grey.(*image.Gray).Pix[1], clampLuma(tt.y); got != want {
				t.Errorf("grey is %d, want %d", got, want)
			}
		})
	}
}

func clampLuma(y byte) uint8 {
	return uint8(min(max((float64(y)-16)*255/219+0.5, 0), 255))
}

// Samples of full range stay what they are.
func TestYUYVOfFullRange(t *testing.T) {
	l := layout{format: formatNamed("YUYV"), size: image.Pt(2, 1), stride: 4, full: true}
	img, err := l.decode([]byte{0, 100, 255, 200}, false)
	if err != nil {
		t.Fatal(err)
	}
	for x, y := range []byte{0, 255} {
		r, g, b := color.YCbCrToRGB(y, 100, 200)
		got := img.(*image.RGBA).RGBAAt(x, 0)
		for _, d := range []int{int(got.R) - int(r), int(got.G) - int(g), int(got.B) - int(b)} {
			if d < -1 || d > 1 {
				t.Errorf("pixel %d is %v, want %v", x, got, color.RGBA{r, g, b, 255})
			}
		}
	}
}

// Samples of more than 8 bits lose the lower ones; rows may be padded; the left
// of two sensors is taken.
func TestGrey(t *testing.T) {
	words := func(v ...uint16) []byte {
		var b []byte
		for _, w := range v {
			b = binary.LittleEndian.AppendUint16(b, w)
		}
		return b
	}
	for format, b := range map[string][]byte{
		"GREY": {10, 200, 0xEE, 255, 0},
		"Y8I":  append(words(0x990A, 0x99C8, 0xEEEE), words(0x99FF, 0x9900)...),
		"Y10":  append(words(10<<2|3, 200<<2, 0xEEEE), words(1023, 3)...),
		"Y12":  append(words(10<<4|15, 200<<4, 0xEEEE), words(4095, 15)...),
		"Y16":  append(words(10<<8|255, 200<<8, 0xEEEE), words(65535, 255)...),
	} {
		t.Run(format, func(t *testing.T) {
			f := formatNamed(format)
			l := layout{format: f, size: image.Pt(2, 2), stride: 3 * f.bytes}
			img, err := l.decode(b, true)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := [4]uint8(img.(*image.Gray).Pix), [4]uint8{10, 200, 255, 0}; got != want {
				t.Errorf("got %v, want %v", got, want)
			}
			if _, err := l.decode(b[:len(b)-1], true); !errors.Is(err, errShort) {
				t.Errorf("a byte less: %v", err)
			}
		})
	}
}

// A picture of eyes in Motion JPEG is its luma.
func TestGreyOfJPEG(t *testing.T) {
	b := bare(t, encoded(t, picture(48, 32)))
	img, err := mjpg.decode(b, true)
	if err != nil {
		t.Fatal(err)
	}
	colours, err := mjpg.decode(b, false)
	if err != nil {
		t.Fatal(err)
	}
	got, want := img.(*image.Gray).GrayAt(20, 20).Y, color.GrayModel.Convert(colours.At(20, 20)).(color.Gray).Y
	if d := int(got) - int(want); d < -2 || d > 2 {
		t.Errorf("grey is %d, that of the colour %d", got, want)
	}
}

func TestMean(t *testing.T) {
	grey, colours := image.NewGray(image.Rect(0, 0, 40, 30)), image.NewRGBA(image.Rect(0, 0, 40, 30))
	for i := range grey.Pix {
		grey.Pix[i] = 77
	}
	if mean(grey) != 77 || mean(colours) != 0 || mean(image.NewGray(image.Rectangle{})) != 0 {
		t.Errorf("means are %v, %v and %v", mean(grey), mean(colours), mean(image.NewGray(image.Rectangle{})))
	}
}

// Whatever the kernel hands over, decoding ends with a picture of the size that
// was agreed on, or with an error.
func FuzzDecode(f *testing.F) {
	for i := range formats {
		f.Add(i, 4, 2, 8, make([]byte, 16))
	}
	f.Add(len(formats)-1, 48, 32, 0, bare(f, encoded(f, picture(48, 32))))
	f.Fuzz(func(t *testing.T, which, width, height, stride int, b []byte) {
		if which < 0 || which >= len(formats) || width > maxSide || height > maxSide || stride > 4*maxSide {
			return
		}
		l := layout{format: &formats[which], size: image.Pt(width, height), stride: stride}
		for _, grey := range []bool{false, true} {
			img, err := l.decode(b, grey)
			if err == nil && img.Bounds() != (image.Rectangle{Max: l.size}) {
				t.Errorf("a picture of %v; agreed was %v", img.Bounds(), l.size)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	const width, height = 640, 480
	yuyv := make([]byte, width*height*2)
	for name, tt := range map[string]struct {
		format string
		data   []byte
		grey   bool
	}{
		"MJPG, colour": {"MJPG", bare(b, encoded(b, picture(width, height))), false},
		"YUYV, colour": {"YUYV", yuyv, false},
		"YUYV, grey":   {"YUYV", yuyv, true},
	} {
		b.Run(name, func(b *testing.B) {
			l := layout{format: formatNamed(tt.format), size: image.Pt(width, height), stride: 2 * width}
			b.SetBytes(int64(len(tt.data)))
			for b.Loop() {
				if _, err := l.decode(tt.data, tt.grey); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
