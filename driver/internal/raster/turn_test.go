package raster

import (
	"image"
	"slices"
	"testing"
)

func TestTurn(t *testing.T) {
	img := &image.Gray{Pix: []byte{1, 2, 3, 4, 5, 6}, Stride: 3, Rect: image.Rect(0, 0, 3, 2)}
	for degrees, want := range map[int][]byte{
		0:   {1, 2, 3, 4, 5, 6},
		90:  {4, 1, 5, 2, 6, 3},
		180: {6, 5, 4, 3, 2, 1},
		270: {3, 6, 2, 5, 1, 4},
	} {
		got, err := Turn(img, degrees)
		if err != nil {
			t.Fatal(err)
		}
		width := 3
		if degrees%180 != 0 {
			width = 2
		}
		if !slices.Equal(got.Pix, want) || got.Rect.Dx() != width {
			t.Errorf("%d degrees: %v, %d wide; want %v, %d", degrees, got.Pix, got.Rect.Dx(), want, width)
		}
	}
	if _, err := Turn(img, 45); err == nil {
		t.Error("45 degrees were accepted")
	}
}
