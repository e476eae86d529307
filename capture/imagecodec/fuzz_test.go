package imagecodec

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"runtime"
	"testing"
)

// minimalJP2 returns a grey picture of 1 by 1 pixel, with headers only.
func minimalJP2() []byte {
	header, err := jp2Header(pixels{width: 1, height: 1, components: 1}, 500)
	if err != nil {
		panic(err)
	}
	return appendBox(header, "jp2c", []byte{
		0xFF, 0x4F,
		0xFF, 0x51, 0, 41, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 7, 1, 1,
		0xFF, 0x52, 0, 12, 0, 0, 0, 1, 0, 0, 4, 4, 0, 1,
		0xFF, 0x5C, 0, 4, 0x40, 0x40,
		0xFF, 0x90, 0, 10, 0, 0, 0, 0, 0, 15, 0, 1, 0xFF, 0x93, 0,
		0xFF, 0xD9,
	})
}

// seeds returns a small file of every kind.
func seeds(f *testing.F) [][]byte {
	f.Helper()
	wsq, err := EncodeWSQ(finger(65, 66), 0.75, 500)
	if err != nil {
		f.Fatal(err)
	}
	all := [][]byte{
		minimalJP2(), wsq, pnm(noise(3, 4)), pnm(colourNoise(4, 3)),
		encodePNG(f, noise(5, 4)), encodePNG(f, colourNoise(4, 5)),
		encodeJPEG(f, noise(9, 8)), encodeJPEG(f, colourNoise(8, 9)),
	}
	for _, img := range []image.Image{finger(40, 30), face(30, 40)} {
		for _, lossless := range []bool{true, false} {
			if file, err := EncodeJP2(img, JP2Options{Lossless: lossless, DPI: 500}); err == nil {
				all = append(all, file)
			}
		}
	}
	return all
}

// promised returns how many samples the header of a file speaks of.
func promised(b []byte) int {
	if f, err := parseJP2(b); err == nil {
		return f.width * f.height * f.components
	}
	var wsq wsqFile
	at := bytes.Index(b, []byte{0xFF, 0xA2, 0, 17})
	if at >= 0 && len(b) >= at+19 && wsq.parseFrame(b[at+4:at+19]) == nil {
		return wsq.width * wsq.height
	}
	if c, err := png.DecodeConfig(bytes.NewReader(b)); err == nil {
		return c.Width * c.Height * 4
	}
	if c, err := jpeg.DecodeConfig(bytes.NewReader(b)); err == nil {
		return c.Width * c.Height * 3
	}
	return 0
}

// Whatever the bytes, decoding them ends in a picture of the shape that was
// promised or in an error, and takes memory in proportion to that shape.
func FuzzDecode(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		samples := promised(b)
		if samples > 1<<20 {
			return // allowed, but slow
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		img, info, err := Decode(b)
		runtime.ReadMemStats(&after)
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(8<<20+32*samples+64*len(b)); got > limit {
			t.Errorf("%d bytes allocated for %d samples in %d bytes, want at most %d", got, samples, len(b), limit)
		}
		if err != nil {
			if img != nil || info != (Info{}) {
				t.Errorf("both a picture and an error: %v", err)
			}
			return
		}
		p, err := pixelsOf(img)
		if err != nil {
			t.Fatal(err)
		}
		if p.width != info.Width || p.height != info.Height || p.components != info.Components || info.BytesIn != len(b) {
			t.Errorf("%+v does not fit a picture of %dx%d with %d components", info, p.width, p.height, p.components)
		}
	})
}

// What is read from the boxes of a file, and written again, reads the same.
func FuzzJP2Boxes(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseJP2(b)
		if err != nil {
			return
		}
		if err := checkSize(got.width, got.height, got.components); err != nil {
			t.Fatal(err)
		}
		if got.dpi < 0 {
			t.Fatalf("%d dpi", got.dpi)
		}
		parseCodestream(got.codestream)
		header, err := jp2Header(pixels{width: got.width, height: got.height, components: got.components}, min(got.dpi, maxDPI))
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseJP2(appendBox(header, "jp2c", got.codestream))
		if err != nil {
			t.Fatal(err)
		}
		got.dpi = min(got.dpi, maxDPI)
		if again.width != got.width || again.height != got.height || again.components != got.components ||
			again.dpi != got.dpi || !bytes.Equal(again.codestream, got.codestream) {
			t.Errorf("read %dx%d, %d dpi; after writing %dx%d, %d dpi", got.width, got.height, got.dpi, again.width, again.height, again.dpi)
		}
	})
}

// A picture that was read can be written, and is then nearly the same.
func FuzzDecodeWSQ(f *testing.F) {
	for _, img := range []*image.Gray{finger(65, 66), noise(70, 65), uniform(65, 65, 9)} {
		file, err := EncodeWSQ(img, 0.75, 500)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if promised(b) > 1<<18 {
			return // allowed, but slow
		}
		img, info, err := DecodeWSQ(b)
		if err != nil || min(info.Width, info.Height) < minWSQSide {
			return
		}
		file, err := EncodeWSQ(img, 5, info.DPI)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := DecodeWSQ(file)
		if err != nil {
			t.Fatal(err)
		}
		if again.Rect != img.Rect {
			t.Errorf("%v came back as %v", img.Rect, again.Rect)
		}
	})
}
