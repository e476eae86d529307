//go:build cgo

package imagecodec

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"image"
	"image/color"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestLosslessJP2IsExact(t *testing.T) {
	pictures := map[string]image.Image{
		"one pixel":          noise(1, 1),
		"one coloured pixel": colourNoise(1, 1),
		"a row":              noise(300, 1),
		"a column":           colourNoise(1, 300),
		"odd sides":          noise(17, 33),
		"odd coloured sides": colourNoise(33, 17),
		"finger":             finger(280, 448),
		"face":               face(240, 311),
		"part of a grey one": finger(100, 90).SubImage(image.Rect(13, 7, 60, 71)),
		"part of a coloured": colourNoise(50, 40).SubImage(image.Rect(11, 3, 42, 40)),
		"offset bounds":      &image.Gray{Pix: noise(20, 10).Pix, Stride: 20, Rect: image.Rect(-7, 100, 13, 110)},
		"first row elsewhere": &image.Gray{
			Pix: noise(40, 20).Pix, Stride: 40, Rect: image.Rect(5, 6, 22, 19),
		},
	}
	for name, img := range pictures {
		t.Run(name, func(t *testing.T) {
			for _, threads := range []int{0, 1, 3} {
				file, err := EncodeJP2(img, JP2Options{Lossless: true, DPI: 500, Threads: threads})
				if err != nil {
					t.Fatal(err)
				}
				got, info, err := DecodeJP2(file)
				if err != nil {
					t.Fatal(err)
				}
				if most, _ := difference(t, got, img); most != 0 {
					t.Errorf("with %d threads, samples differ by up to %d", threads, most)
				}
				want := Info{
					Codec: "JP2", Width: img.Bounds().Dx(), Height: img.Bounds().Dy(), Components: 1,
					Reversible: true, DPI: 500, BytesIn: len(file),
				}
				if _, ok := img.(*image.RGBA); ok {
					want.Components = 3
				}
				if info != want {
					t.Errorf("got %+v, want %+v", info, want)
				}
			}
		})
	}
}

// Alpha has no place in a file: what comes back is opaque.
func TestJP2IgnoresAlpha(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 8, 8))
	img.SetRGBA(3, 4, color.RGBA{9, 8, 7, 0})
	file, err := EncodeJP2(img, JP2Options{Lossless: true})
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := DecodeJP2(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := (color.RGBA{9, 8, 7, 255}); got.At(3, 4) != want {
		t.Errorf("got %v, want %v", got.At(3, 4), want)
	}
}

func TestLossyJP2KeepsItsRatio(t *testing.T) {
	pictures := map[string]struct {
		img  image.Image
		psnr float64 // at 10:1
	}{
		"finger":       {finger(300, 400), 32},
		"small finger": {finger(120, 140), 32},
		"iris":         {iris(320, 240), 36},
		"face":         {face(240, 312), 36},
		"noise":        {noise(300, 200), 8},
		"blank":        {image.NewGray(image.Rect(0, 0, 500, 500)), 90},
		"large blank":  {image.NewRGBA(image.Rect(0, 0, 900, 400)), 90},
	}
	for name, p := range pictures {
		t.Run(name, func(t *testing.T) {
			raw := float64(p.img.Bounds().Dx() * p.img.Bounds().Dy())
			if _, ok := p.img.(*image.RGBA); ok {
				raw *= 3
			}
			for _, ratio := range []float64{0, 4, 8, 10, 14.9, 15} {
				file, err := EncodeJP2(p.img, JP2Options{Ratio: ratio})
				if err != nil {
					t.Fatal(err)
				}
				want := ratio
				if ratio == 0 {
					want = 10
				}
				// MOSIP counts whole numbers: 15.9 is still 15.
				if got := raw / float64(len(file)); got < want || got >= 16 {
					t.Errorf("asked for %g, got %.3f", want, got)
				}
				got, info, err := DecodeJP2(file)
				if err != nil {
					t.Fatal(err)
				}
				if info.Reversible {
					t.Error("the file says that it is lossless")
				}
				if _, psnr := difference(t, got, p.img); want == 10 && psnr < p.psnr {
					t.Errorf("%.1f dB at 10:1, want %.1f", psnr, p.psnr)
				}
			}
		})
	}
}

// Headers are most of a tiny file, so that no ratio can be kept.
func TestLossyJP2OfTinyPictures(t *testing.T) {
	for _, side := range []int{1, 2, 3, 5, 8, 17, 33, 64} {
		for _, img := range []image.Image{noise(side, side), colourNoise(side, 1)} {
			file, err := EncodeJP2(img, JP2Options{})
			if err != nil {
				t.Fatalf("side %d: %v", side, err)
			}
			got, _, err := DecodeJP2(file)
			if err != nil {
				t.Fatalf("side %d: %v", side, err)
			}
			difference(t, got, img)
		}
	}
}

func TestJP2Layout(t *testing.T) {
	const (
		start = "0000000c6a5020200d0a870a" + "00000014667479706a703220000000006a703220"
		ihdr  = "0000001669686472" + "00000011" + "00000021"
		grey  = "0001070700" + "00" + "0000000f636f6c72" + "010000" + "00000011"
		sRGB  = "0003070700" + "00" + "0000000f636f6c72" + "010000" + "00000010"
		dpi   = "0000001a72657320" + "0000001272657363"
	)
	tests := map[string]struct {
		img  image.Image
		o    JP2Options
		want string
	}{
		"grey, 500 dpi":    {noise(33, 17), JP2Options{DPI: 500}, start + "000000476a703268" + ihdr + grey + dpi + "4ce500014ce500010000"},
		"grey, 1000 dpi":   {noise(33, 17), JP2Options{DPI: 1000, Lossless: true}, start + "000000476a703268" + ihdr + grey + dpi + "99ca000199ca00010000"},
		"grey, no dpi":     {noise(33, 17), JP2Options{}, start + "0000002d6a703268" + ihdr + grey},
		"colour, 300 dpi":  {colourNoise(33, 17), JP2Options{DPI: 300}, start + "000000476a703268" + ihdr + sRGB + dpi + "2e2300012e2300010000"},
		"colour, lossless": {colourNoise(33, 17), JP2Options{Lossless: true}, start + "0000002d6a703268" + ihdr + sRGB},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			file, err := EncodeJP2(tt.img, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			want, err := hex.DecodeString(tt.want)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(file, want) {
				t.Fatalf("the file begins\n%x, want\n%x", file[:min(len(want), len(file))], want)
			}
			box := file[len(want):]
			if n := int(binary.BigEndian.Uint32(box)); n != len(box) || string(box[4:8]) != "jp2c" {
				t.Fatalf("box %q of %d bytes where %d are left, want the codestream", box[4:8], n, len(box))
			}
			cs := box[8:]
			if !bytes.HasPrefix(cs, []byte{0xFF, 0x4F, 0xFF, 0x51}) || !bytes.HasSuffix(cs, []byte{0xFF, 0xD9}) {
				t.Errorf("the codestream runs from %x to %x", cs[:4], cs[len(cs)-2:])
			}
			cod := cs[bytes.Index(cs, []byte{0xFF, 0x52}):]
			wavelet, mct := cod[13], cod[8]
			if want := map[bool]byte{true: 1, false: 0}[tt.o.Lossless]; wavelet != want {
				t.Errorf("wavelet %d, want %d", wavelet, want)
			}
			if want := map[bool]byte{true: 1, false: 0}[strings.Contains(name, "colour")]; mct != want {
				t.Errorf("component transform %d, want %d", mct, want)
			}
		})
	}
}

// Every resolution that can be written is read again as MOSIP reads it.
func TestJP2Resolution(t *testing.T) {
	for dpi := 1; dpi <= 1664; dpi++ {
		header, err := jp2Header(pixels{width: 1, height: 1, components: 1}, dpi)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parseJP2(appendBox(header, "jp2c", nil))
		if err != nil {
			t.Fatal(err)
		}
		if f.dpi != dpi {
			t.Errorf("wrote %d dpi, read %d", dpi, f.dpi)
		}
	}
}

func TestJP2Samples(t *testing.T) {
	for name, tt := range map[string]struct {
		file, pixels string
		tolerance    int
		reversible   bool
	}{
		"lossless": {"left-index-registration-lossless.jp2", "left-index-registration-lossless.pgm", 0, true},
		"lossy":    {"left-index-auth-lossy.jp2", "left-index-auth-lossy.pgm", 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			file, raster := sample(t, tt.file), sample(t, tt.pixels)
			if file == nil || raster == nil {
				return
			}
			want, _, err := Decode(raster)
			if err != nil {
				t.Fatal(err)
			}
			got, info, err := Decode(file)
			if err != nil {
				t.Fatal(err)
			}
			if most, _ := difference(t, got, want); most > tt.tolerance {
				t.Errorf("grey values differ by up to %d", most)
			}
			if want := (Info{"JP2", 280, 448, 1, tt.reversible, 1000, len(file)}); info != want {
				t.Errorf("got %+v, want %+v", info, want)
			}
		})
	}
}

// The OpenJPEG program reads what we write.
func TestOpjDecompress(t *testing.T) {
	program, err := exec.LookPath("opj_decompress")
	if err != nil {
		t.Log("opj_decompress is not installed; our own reader has to do")
	}
	for name, img := range map[string]image.Image{"out.pgm": finger(211, 307), "out.ppm": face(199, 101)} {
		for _, o := range []JP2Options{{Lossless: true, DPI: 500}, {Ratio: 12, DPI: 500}, {Ratio: 15}} {
			file, err := EncodeJP2(img, o)
			if err != nil {
				t.Fatal(err)
			}
			ours, _, err := DecodeJP2(file)
			if err != nil {
				t.Fatal(err)
			}
			if most, _ := difference(t, ours, img); o.Lossless && most != 0 {
				t.Errorf("%s: lossless, but samples differ by %d", name, most)
			}
			if program == "" {
				continue
			}
			dir := t.TempDir()
			in, out := filepath.Join(dir, "in.jp2"), filepath.Join(dir, name)
			if err := os.WriteFile(in, file, 0o600); err != nil {
				t.Fatal(err)
			}
			if said, err := exec.Command(program, "-i", in, "-o", out).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			b, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			theirs, _, err := Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			if most, _ := difference(t, theirs, ours); most != 0 {
				t.Errorf("%s %+v: opj_decompress differs by %d", name, o, most)
			}
		}
	}
}

func TestEncodeJP2Refuses(t *testing.T) {
	gray := image.NewGray(image.Rect(0, 0, 8, 8))
	for name, tt := range map[string]struct {
		img  image.Image
		o    JP2Options
		want string
	}{
		"other type":         {image.NewNRGBA(gray.Rect), JP2Options{}, "*image.NRGBA"},
		"empty":              {image.NewGray(image.Rectangle{}), JP2Options{}, "empty"},
		"too large":          {&image.Gray{Rect: image.Rect(0, 0, 1<<14, 1<<14)}, JP2Options{}, "larger"},
		"too few bytes":      {&image.Gray{Pix: make([]byte, 63), Stride: 8, Rect: gray.Rect}, JP2Options{}, "too few"},
		"too short rows":     {&image.Gray{Pix: make([]byte, 64), Stride: 7, Rect: gray.Rect}, JP2Options{}, "too few"},
		"ratio beyond 15":    {gray, JP2Options{Ratio: 15.1}, "ratio"},
		"ratio below 1":      {gray, JP2Options{Ratio: 0.5}, "ratio"},
		"dpi beyond 16 bits": {gray, JP2Options{DPI: 1665}, "dpi"},
		"negative dpi":       {gray, JP2Options{DPI: -1}, "dpi"},
		"negative threads":   {gray, JP2Options{Threads: -1}, "threads"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := EncodeJP2(tt.img, tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error about %q", err, tt.want)
			}
		})
	}
}

func TestDecodeJP2Refuses(t *testing.T) {
	good, err := EncodeJP2(noise(40, 30), JP2Options{Lossless: true, DPI: 500})
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) int { return bytes.Index(good, []byte(s)) }
	siz, cod, sot := at("\xFF\x51"), at("\xFF\x52"), at("\xFF\x90")
	tests := map[string]struct {
		damage func(b []byte) []byte
		want   string
	}{
		"nothing":             {func(b []byte) []byte { return nil }, "signature"},
		"codestream only":     {func(b []byte) []byte { return b[siz-2:] }, "signature"},
		"cut in a box":        {func(b []byte) []byte { return b[:50] }, "are left"},
		"no codestream":       {func(b []byte) []byte { return b[:siz-10] }, "too few for a box"},
		"cut in the data":     {func(b []byte) []byte { return b[:len(b)-100] }, "are left"},
		"grey with 3":         {set(at("ihdr")+4+9, 3), "colour space 17 with 3"},
		"other colour":        {set(at("colr")+4+6, 18), "colour space 18"},
		"colour by profile":   {set(at("colr")+4, 2), "method 2"},
		"16 bits":             {set(at("ihdr")+4+10, 15), "depth byte 15"},
		"sizes differ":        {set(at("ihdr")+4+7, 41), "disagree"},
		"wide header":         {set(at("ihdr")+4+4, 0x7F), "too many"},
		"wide codestream":     {set(siz+6, 0x7F), "not supported"},
		"large codestream":    {set(siz+7, 0xFF, 0xFF, 0xFF, 0, 0xFF), "larger"},
		"origin":              {set(siz+17, 1), "origin"},
		"two components":      {set(siz+39, 2), "2 components"},
		"12 bits":             {set(siz+40, 11), "depth"},
		"subsampling":         {set(siz+41, 2), "subsampling"},
		"tiny tiles":          {set(siz+25, 1, 0, 0, 0, 1), "tile 1 of 1200 is missing"},
		"other tile":          {set(sot+5, 1), "tile 1: the picture has 1"},
		"no tiles":            {set(siz+25, 0), "tiles of 0x30"},
		"no layers":           {set(cod+6, 0, 0), "without layers"},
		"too many layers":     {set(cod+6, 0xFF, 0xFF), ""},
		"34 levels":           {set(cod+9, 33), "33 wavelet levels"},
		"huge blocks":         {set(cod+10, 9, 9), "code blocks"},
		"part 15":             {set(cod+12, 0x40), "not in part 1"},
		"unknown wavelet":     {set(cod+13, 2), "not in part 1"},
		"precincts missing":   {set(cod+4, 1), "0 precinct sizes"},
		"unknown marker":      {set(cod, 0xFF, 0x50), "marker FF50"},
		"tile-part too long":  {set(sot+6, 1), "cut short or damaged"},
		"tile-part too short": {set(sot+6, 0, 0, 0, 3), "cut short or damaged"},
		"no end":              {set(len(good)-1, 0xD8), "no end"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			img, info, err := DecodeJP2(tt.damage(bytes.Clone(good)))
			if tt.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || img != nil || info != (Info{}) {
				t.Errorf("got %v, %+v, %v, want an error about %q", img, info, err, tt.want)
			}
		})
	}
}

// What OpenJPEG itself does not like comes with its own words.
func TestDecodeJP2OfDamagedData(t *testing.T) {
	file, err := EncodeJP2(noise(64, 64), JP2Options{Lossless: true})
	if err != nil {
		t.Fatal(err)
	}
	qcd := bytes.Index(file, []byte{0xFF, 0x5C})
	file[qcd+1] = 0x64 // a comment in the place of the quantisation
	if _, _, err := DecodeJP2(file); err == nil || !strings.Contains(err.Error(), "openjpeg: ") {
		t.Errorf("got %v, want an error of openjpeg", err)
	}
}

func TestJP2Concurrently(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			var img image.Image = noise(90+i, 70)
			if i%2 == 1 {
				img = colourNoise(70, 90+i)
			}
			for range 5 {
				file, err := EncodeJP2(img, JP2Options{Lossless: true, Threads: 1 + i%3})
				if err != nil {
					t.Error(err)
					return
				}
				got, _, err := DecodeJP2(file)
				if err != nil {
					t.Error(err)
					return
				}
				a, errA := pixelsOf(got)
				b, errB := pixelsOf(img)
				if errors.Join(errA, errB) != nil || !bytes.Equal(pnm(got), pnm(img)) || a.components != b.components {
					t.Error("a picture came back as another")
				}
			}
		})
	}
	wg.Wait()
}
