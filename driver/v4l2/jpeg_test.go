package v4l2

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"slices"
	"testing"
)

// picture is a coloured slope.
func picture(width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.SetRGBA(x, y, color.RGBA{uint8(255 * x / width), uint8(255 * y / height), 128, 255})
		}
	}
	return img
}

func encoded(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bare leaves out the Huffman tables, as cameras do.
func bare(t testing.TB, b []byte) []byte {
	t.Helper()
	at := bytes.Index(b, []byte{0xFF, dht})
	if at < 0 {
		t.Fatal("no tables to leave out")
	}
	return slices.Concat(b[:at], b[at+2+int(b[at+2])<<8+int(b[at+3]):])
}

var mjpg = layout{format: formatNamed("MJPG"), size: image.Pt(48, 32)}

// Whatever a camera does around a picture, the pixels are the same.
func TestMend(t *testing.T) {
	whole := encoded(t, picture(48, 32))
	want, err := mjpg.decode(whole, false)
	if err != nil {
		t.Fatal(err)
	}
	without := bare(t, whole)
	sos := bytes.Index(without, []byte{0xFF, sos})
	for name, b := range map[string][]byte{
		"as it is":           whole,
		"no tables":          without,
		"garbage before":     append([]byte("\x00\xFF\xFFgarbage"), without...),
		"zeros after":        append(slices.Clone(without), make([]byte, 500)...),
		"the next one after": append(slices.Clone(without), without...),
		"filled up":          slices.Concat(without[:2], []byte{0xFF, 0xFF}, without[2:]),
		"a comment":          slices.Concat(without[:2], []byte{0xFF, 0xFE, 0, 4, 'h', 'i'}, without[2:]),
		"AVI1":               slices.Concat(without[:2], []byte("\xFF\xE0\x00\x10AVI1\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), without[2:]),
		"a lone marker":      slices.Concat(without[:sos], []byte{0xFF, rst0}, without[sos:]),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := mjpg.decode(b, false)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.(*image.RGBA).Pix, want.(*image.RGBA).Pix) {
				t.Error("the pixels are others")
			}
		})
	}
}

func TestMendRefuses(t *testing.T) {
	whole := encoded(t, picture(48, 32))
	for name, b := range map[string][]byte{
		"nothing":           {},
		"no picture":        make([]byte, 1000),
		"too much garbage":  append(make([]byte, maxGarbage+1), whole...),
		"start alone":       whole[:2],
		"cut in a header":   whole[:30],
		"cut in the pixels": whole[:len(whole)-20],
		"another size":      encoded(t, picture(64, 32)),
		"empty segment":     slices.Concat(whole[:2], []byte{0xFF, 0xFE, 0, 0}, whole[2:]),
		"end at once":       {0xFF, soi, 0xFF, eoi},
		"start twice":       append([]byte{0xFF, soi}, whole...),
		"small frame":       {0xFF, soi, 0xFF, sof0, 0, 4, 8, 0, 0xFF, sos, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			if img, err := mjpg.decode(b, false); err == nil {
				t.Errorf("became a picture of %v", img.Bounds())
			}
		})
	}
}

// What was mended needs no mending: it comes out as it went in.
func FuzzMend(f *testing.F) {
	whole := encoded(f, picture(48, 32))
	f.Add(whole)
	f.Add(bare(f, whole))
	f.Add(append([]byte("garbage"), bare(f, whole)...))
	f.Add([]byte{0xFF, soi, 0xFF, sof2, 0, 8, 8, 0, 32, 0, 48, 1, 0xFF, sos, 0, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, size, err := mend(b)
		if err != nil {
			return
		}
		mended, err := io.ReadAll(r)
		if err != nil || len(mended) > len(b)+len(huffmanTables) {
			t.Fatalf("%d bytes became %d, %v", len(b), len(mended), err)
		}
		r, again, err := mend(mended)
		if err != nil {
			t.Fatal("mended, and not in order:", err)
		}
		if twice, _ := io.ReadAll(r); !bytes.Equal(twice, mended) || again != size {
			t.Errorf("mended twice it is another picture, of %v and %v", size, again)
		}
	})
}
