package imagecodec

import (
	"bytes"
	"image"
	"testing"
)

func TestJP2RoundTrip(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 33, 17))
	for i := range img.Pix {
		img.Pix[i] = byte(i * i)
	}
	file, err := EncodeJP2(img, JP2Options{Lossless: true, DPI: 500})
	if err != nil {
		t.Fatal(err)
	}
	got, info, err := DecodeJP2(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Info{Codec: "JP2", Width: 33, Height: 17, Components: 1, Reversible: true, DPI: 500, BytesIn: len(file)}); info != want {
		t.Errorf("got %+v, want %+v", info, want)
	}
	if !bytes.Equal(got.(*image.Gray).Pix, img.Pix) {
		t.Error("a lossless file came back with other pixels")
	}
}
