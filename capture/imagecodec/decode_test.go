package imagecodec

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"
)

func encodePNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func encodeJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecode(t *testing.T) {
	gray, colour := finger(70, 90), face(70, 90)
	gray16 := image.NewGray16(gray.Rect)
	draw.Draw(gray16, gray.Rect, gray, image.Point{}, draw.Src)
	nrgba := image.NewNRGBA(colour.Rect)
	draw.Draw(nrgba, colour.Rect, colour, image.Point{}, draw.Src)
	wsq, err := EncodeWSQ(gray, 2.25, 500)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		file []byte
		want image.Image
		info Info
		psnr float64 // 0 for exact
	}{
		"grey PNG":           {encodePNG(t, gray), gray, Info{Codec: "PNG", Components: 1, Reversible: true}, 0},
		"PNG of 16 bits":     {encodePNG(t, gray16), gray, Info{Codec: "PNG", Components: 1, Reversible: true}, 0},
		"coloured PNG":       {encodePNG(t, colour), colour, Info{Codec: "PNG", Components: 3, Reversible: true}, 0},
		"PNG with alpha":     {encodePNG(t, nrgba), colour, Info{Codec: "PNG", Components: 3, Reversible: true}, 0},
		"grey JPEG":          {encodeJPEG(t, gray), gray, Info{Codec: "JPEG", Components: 1}, 30},
		"coloured JPEG":      {encodeJPEG(t, colour), colour, Info{Codec: "JPEG", Components: 3}, 30},
		"PGM":                {pnm(gray), gray, Info{Codec: "PGM", Components: 1, Reversible: true}, 0},
		"PPM":                {pnm(colour), colour, Info{Codec: "PGM", Components: 3, Reversible: true}, 0},
		"WSQ":                {wsq, gray, Info{Codec: "WSQ", Components: 1, DPI: 500}, 20},
		"PGM with a comment": {append([]byte("P5 # by hand\n\t70 #\n# and more\n90\r255\n"), gray.Pix...), gray, Info{Codec: "PGM", Components: 1, Reversible: true}, 0},
	}
	if jp2, err := EncodeJP2(colour, JP2Options{Lossless: true}); !errors.Is(err, ErrNoOpenJPEG) {
		tests["JP2"] = struct {
			file []byte
			want image.Image
			info Info
			psnr float64
		}{jp2, colour, Info{Codec: "JP2", Components: 3, Reversible: true}, 0}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, info, err := Decode(tt.file)
			if err != nil {
				t.Fatal(err)
			}
			most, psnr := difference(t, got, tt.want)
			if tt.psnr == 0 && most != 0 || psnr < tt.psnr {
				t.Errorf("samples differ by up to %d, %.1f dB", most, psnr)
			}
			tt.info.Width, tt.info.Height, tt.info.BytesIn = 70, 90, len(tt.file)
			if info != tt.info {
				t.Errorf("got %+v, want %+v", info, tt.info)
			}
			if rgba, ok := got.(*image.RGBA); ok && !rgba.Opaque() {
				t.Error("the picture is transparent")
			}
		})
	}
}

func TestDecodeShowsTransparencyBlack(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 2, 1))
	img.SetNRGBA(0, 0, color.NRGBA{200, 100, 50, 0})
	img.SetNRGBA(1, 0, color.NRGBA{200, 100, 50, 255})
	got, _, err := Decode(encodePNG(t, img))
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{0, 0, 0, 255, 200, 100, 50, 255}; !bytes.Equal(got.(*image.RGBA).Pix, want) {
		t.Errorf("got % v, want % v", got.(*image.RGBA).Pix, want)
	}
}

func TestDecodeRefuses(t *testing.T) {
	// A header that promises 2^16 by 2^16 pixels, and nothing behind it.
	bomb := encodePNG(t, noise(1, 1))[:33]
	copy(bomb[16:], []byte{0, 1, 0, 0, 0, 1, 0, 0})
	copy(bomb[29:], []byte{0x0F, 0x1B, 0x25, 0xC1})
	large := encodeJPEG(t, colourNoise(8, 8))
	sof := bytes.Index(large, []byte{0xFF, 0xC0})
	copy(large[sof+5:], []byte{0xFF, 0xFF, 0xFF, 0xFF})

	for name, tt := range map[string]struct {
		file []byte
		want string
	}{
		"nothing":               {nil, "neither"},
		"text":                  {[]byte("hello"), "neither"},
		"cut PNG":               {encodePNG(t, noise(9, 9))[:50], "decode PNG"},
		"large PNG":             {bomb, "decode PNG"},
		"cut JPEG":              {encodeJPEG(t, noise(9, 9))[:300], "decode JPEG"},
		"large JPEG":            {large, "larger than"},
		"cut WSQ":               {[]byte{0xFF, 0xA0}, "decode WSQ"},
		"signature only":        {signature, "decode JP2"},
		"no header":             {[]byte("P5"), "three numbers"},
		"letters":               {[]byte("P5 a b c "), "three numbers"},
		"no blank before width": {[]byte("P51 1 255 x"), "three numbers"},
		"comment without end":   {[]byte("P5 1 #1 255 x"), "three numbers"},
		"absurd number":         {[]byte("P5 99999999999999999999 1 255 x"), "three numbers"},
		"empty picture":         {[]byte("P5 0 1 255 "), "empty"},
		"large picture":         {[]byte("P6 8192 8192 255 "), "larger than"},
		"overflowing picture":   {[]byte("P5 4294967296 4294967296 255 "), "larger than"},
		"16 bits":               {[]byte("P5 1 1 65535 xx"), "largest value"},
		"no blank after header": {[]byte("P5 1 1 255"), "no blank"},
		"pixels missing":        {[]byte("P5 2 1 255 x"), "1 bytes of pixels: want 2"},
		"pixels left over":      {[]byte("P6 1 1 255 xxxx"), "4 bytes of pixels: want 3"},
	} {
		t.Run(name, func(t *testing.T) {
			img, info, err := Decode(tt.file)
			if err == nil || !strings.Contains(err.Error(), tt.want) || img != nil || info != (Info{}) {
				t.Errorf("got %v, %+v, %v, want an error about %q", img, info, err, tt.want)
			}
		})
	}
}
