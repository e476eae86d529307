package raster

import (
	"image"
	"math"
	"slices"
	"testing"
)

func TestUnpackPutsTheHighHalfLeft(t *testing.T) {
	img, err := Unpack4([]byte{0x0F, 0xA1, 0xFF, 0x50}, 4, 2)
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{0, 255, 170, 17, 255, 255, 85, 0}; !slices.Equal(img.Pix, want) {
		t.Errorf("got %v, want %v", img.Pix, want)
	}
	for _, size := range []image.Point{{4, 3}, {3, 2}, {0, 0}, {-4, -2}, {2, 2}} {
		if _, err := Unpack4(make([]byte, 4), size.X, size.Y); err == nil && size != (image.Point{4, 2}) {
			t.Errorf("4 bytes were taken for %v pixels", size)
		}
	}
}

// spot is a picture with the given grey at the edge and in the middle.
func spot(edge, middle uint8) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, 64, 64))
	for i := range img.Pix {
		img.Pix[i] = edge
		if x, y := i%64, i/64; x >= 16 && x < 48 && y >= 16 && y < 48 {
			img.Pix[i] = middle
		}
	}
	return img
}

func TestDarken(t *testing.T) {
	tests := map[string]struct {
		edge, middle uint8
		ridges       Ridges
		want         uint8 // the middle afterwards
	}{
		"dark on light, unknown":    {240, 90, RidgesUnknown, 90},
		"light on dark, unknown":    {10, 200, RidgesUnknown, 55},
		"light ridges, known":       {240, 90, RidgesLight, 165},
		"dark ridges, known":        {10, 200, RidgesDark, 200},
		"nothing on it, unknown":    {200, 200, RidgesUnknown, 200},
		"nothing on it, light ones": {0, 0, RidgesLight, 255},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			img := spot(tt.edge, tt.middle)
			Darken(img, tt.ridges)
			if got := img.GrayAt(32, 32).Y; got != tt.want {
				t.Errorf("middle is %d, want %d", got, tt.want)
			}
		})
	}
	Darken(image.NewGray(image.Rect(0, 0, 3, 3)), RidgesUnknown) // smaller than the edge that is looked at
}

func TestResampledSizes(t *testing.T) {
	tests := []struct {
		from image.Point
		dpi  int
		want image.Point
	}{
		{image.Pt(256, 288), 500, image.Pt(256, 288)},
		{image.Pt(256, 288), 508, image.Pt(252, 283)},
		{image.Pt(192, 192), 508, image.Pt(189, 189)},
		{image.Pt(202, 258), 450, image.Pt(224, 287)},
		{image.Pt(384, 290), 512, image.Pt(375, 283)},
		{image.Pt(256, 180), 385, image.Pt(332, 234)},
		{image.Pt(1, 1), 5000, image.Pt(1, 1)},
	}
	for _, tt := range tests {
		got := ToStandard(image.NewGray(image.Rectangle{Max: tt.from}), tt.dpi)
		if got.Rect.Size() != tt.want {
			t.Errorf("%v at %d dpi became %v, want %v", tt.from, tt.dpi, got.Rect.Size(), tt.want)
		}
	}
}

// ridges is a wave of the given length in inches at dpi.
func ridges(size image.Point, dpi int, inches float64) *image.Gray {
	img := image.NewGray(image.Rectangle{Max: size})
	for i := range img.Pix {
		x := (float64(i%size.X) + 0.5) / float64(dpi)
		img.Pix[i] = uint8(math.Round(128 + 100*math.Cos(2*math.Pi*x/inches)))
	}
	return img
}

// Ridges, 0.5 mm apart, must look as if the sensor had sampled at 500 dpi.
func TestRidgesKeepTheirShape(t *testing.T) {
	for _, dpi := range []int{385, 450, 508, 512, 1000} {
		size := image.Pt(dpi/2, 20)
		got := ToStandard(ridges(size, dpi, 0.5/25.4), dpi)
		want := ridges(got.Rect.Size(), Standard, 0.5/25.4)
		worst := 0
		for y := range got.Rect.Dy() {
			for x := 8; x < got.Rect.Dx()-8; x++ { // the edge knows less
				worst = max(worst, abs(int(got.GrayAt(x, y).Y)-int(want.GrayAt(x, y).Y)))
			}
		}
		if worst > 10 {
			t.Errorf("%d dpi: off by up to %d grey levels", dpi, worst)
		}
	}
}

func TestFlatStaysFlat(t *testing.T) {
	for _, dpi := range []int{385, 508, 1000} {
		img := image.NewGray(image.Rect(0, 0, 100, 80))
		for i := range img.Pix {
			img.Pix[i] = 77
		}
		for i, v := range ToStandard(img, dpi).Pix {
			if v != 77 {
				t.Fatalf("%d dpi: pixel %d is %d, want 77", dpi, i, v)
			}
		}
	}
}

func abs(x int) int { return max(x, -x) }

func BenchmarkToStandard(b *testing.B) {
	for name, dpi := range map[string]int{"linear": 508, "lanczos": 450} {
		b.Run(name, func(b *testing.B) {
			img := ridges(image.Pt(256, 288), dpi, 0.5/25.4)
			b.SetBytes(int64(len(img.Pix)))
			for b.Loop() {
				ToStandard(img, dpi)
			}
		})
	}
}

func FuzzUnpack4(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4}, 4, 2)
	f.Fuzz(func(t *testing.T, packed []byte, width, height int) {
		img, err := Unpack4(packed, width, height)
		if err == nil && len(img.Pix) != 2*len(packed) {
			t.Errorf("%d bytes became %d pixels", len(packed), len(img.Pix))
		}
	})
}
