package imagecodec

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"image"
	"math"
	"strings"
	"testing"
)

func TestWSQRoundTrip(t *testing.T) {
	pictures := map[string]struct {
		img  *image.Gray
		psnr float64
	}{
		"finger":         {finger(500, 500), 30},
		"odd sides":      {finger(259, 441), 30},
		"smallest":       {finger(65, 65), 18},
		"part":           {finger(300, 400).SubImage(image.Rect(31, 7, 290, 361)).(*image.Gray), 30},
		"wide":           {finger(900, 70), 20},
		"noise":          {noise(200, 300), 8},
		"black":          {image.NewGray(image.Rect(0, 0, 100, 100)), 90},
		"large and grey": {uniform(1100, 1000, 77), 90},
	}
	for name, p := range pictures {
		t.Run(name, func(t *testing.T) {
			before := 0.0
			for _, rate := range []float64{0.75, 2.25, 8} {
				file, err := EncodeWSQ(p.img, rate, 500)
				if err != nil {
					t.Fatal(err)
				}
				got, info, err := DecodeWSQ(file)
				if err != nil {
					t.Fatal(err)
				}
				size := p.img.Bounds().Size()
				if want := (Info{Codec: "WSQ", Width: size.X, Height: size.Y, Components: 1, DPI: 500, BytesIn: len(file)}); info != want {
					t.Errorf("got %+v, want %+v", info, want)
				}
				_, psnr := difference(t, got, p.img)
				if psnr < p.psnr || psnr < before-0.1 {
					t.Errorf("%.1f dB at %g bits a pixel, want %.1f and %.1f", psnr, rate, p.psnr, before)
				}
				before = psnr
				if len(file) < 8263 || size.X*size.Y/len(file) > 15 {
					t.Errorf("%d bytes for %v pixels are too few", len(file), size)
				}
			}
		})
	}
}

// The layout is read here by other means than the decoder's.
func TestWSQLayout(t *testing.T) {
	for name, tt := range map[string]struct {
		img         *image.Gray
		rate        float64
		dpi         int
		wantComment string // between size and rate
		wantPadding bool
	}{
		"large": {finger(500, 500), 2.25, 500, "PPI 500", false},
		"short": {finger(150, 150), 0, 0, "PPI -1", true},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := EncodeWSQ(tt.img, tt.rate, tt.dpi)
			if err != nil {
				t.Fatal(err)
			}
			rate := tt.rate
			if rate == 0 {
				rate = 0.75
			}
			w, h := tt.img.Rect.Dx(), tt.img.Rect.Dy()
			comment := fmt.Sprintf("NIST_COM 9\nPIX_WIDTH %d\nPIX_HEIGHT %d\nPIX_DEPTH 8\n%s\nLOSSY 1\n"+
				"COLORSPACE GRAY\nCOMPRESSION WSQ\nWSQ_BITRATE %.6f", w, h, tt.wantComment, rate)
			if got := string(file[6:][:len(comment)]); got != comment {
				t.Errorf("the first comment is %q, want %q", got, comment)
			}

			var marks []string
			at := 2
			for !bytes.Equal(file[at:], []byte{0xFF, 0xA1}) {
				if file[at] != 0xFF {
					t.Fatalf("no marker at %d", at)
				}
				mark, n := file[at+1], int(binary.BigEndian.Uint16(file[at+2:]))
				body := file[at+4 : at+2+n]
				at += 2 + n
				switch mark {
				case 0xA8:
					if len(marks) == 1 && strings.Trim(string(body), "\x00") != "" {
						t.Errorf("the padding is not all zeros")
					}
					marks = append(marks, "COM")
				case 0xA4:
					marks = append(marks, fmt.Sprintf("DTT %d", n))
				case 0xA5:
					marks = append(marks, fmt.Sprintf("DQT %d", n))
					if !bytes.Equal(body[:3], []byte{2, 0, 44}) || !bytes.Equal(body[3+6*60:], make([]byte, 24)) {
						t.Errorf("centre % x, last bands % x: want 0.44 and zeros", body[:3], body[3+6*60:])
					}
				case 0xA2:
					marks = append(marks, fmt.Sprintf("SOF %d", n))
					if !bytes.Equal(body[:6], []byte{0, 255, byte(h >> 8), byte(h), byte(w >> 8), byte(w)}) || !bytes.Equal(body[12:], []byte{2, 0, 0}) {
						t.Errorf("frame header % x", body)
					}
				case 0xA6:
					marks = append(marks, fmt.Sprintf("DHT %d", body[0]))
				case 0xA3:
					marks = append(marks, fmt.Sprintf("SOB %d", body[0]))
					for file[at] != 0xFF || file[at+1] == 0 {
						at++
					}
				default:
					t.Fatalf("marker %02X", mark)
				}
			}
			want := "COM DTT 58 DQT 389 SOF 17 DHT 0 SOB 0 DHT 1 SOB 1 SOB 1"
			if tt.wantPadding {
				want = "COM " + want
				if len(file) != 8263 {
					t.Errorf("padded to %d bytes, want 8263", len(file))
				}
			}
			if got := strings.Join(marks, " "); got != want {
				t.Errorf("segments %s, want %s", got, want)
			}
		})
	}
}

// Padding must reach the length even where a segment's own header is too long
// for what is missing, and across the longest segment.
func TestWSQPadding(t *testing.T) {
	for _, n := range []int{-1, 0, 1, 3, 4, 5, 200, 65537, 65538, 65540, 200000} {
		b := appendZeros(nil, wsqCOM, n)
		if len(b) < n || len(b) > max(n, 0)+4 {
			t.Errorf("%d bytes of padding, want %d", len(b), n)
		}
		r := segments{rest: b}
		for len(r.rest) > 0 {
			if mark, body := r.marker(), r.segment(); mark != wsqCOM || bytes.Trim(body, "\x00") != nil && len(bytes.Trim(body, "\x00")) > 0 {
				t.Errorf("padding of %d: segment %04X", n, mark)
			}
		}
		if r.short {
			t.Errorf("padding of %d ends within a segment", n)
		}
	}
}

func TestWSQSamples(t *testing.T) {
	// SHA-256 of the grey values that NIST's decoder makes.
	for name, tt := range map[string]struct {
		offset int // of the image in its record
		info   Info
		sum    string
	}{
		"left-index-auth.wsq": {
			0, Info{"WSQ", 280, 448, 1, false, 500, 9840},
			"ec898627c12a618477081080800eb25bf8432df31bfd34136fe7ea83a9f243c3",
		},
		"finger-left-index-auth-wsq.iso": {
			62, Info{"WSQ", 280, 448, 1, false, 500, 9840},
			"ec898627c12a618477081080800eb25bf8432df31bfd34136fe7ea83a9f243c3",
		},
		"finger-right-middle-auth-wsq-short.iso": {
			62, Info{"WSQ", 238, 357, 1, false, 500, 7233},
			"aba4a6940e1659b20a7b673564e23f55ca5e7d2a1b6d827ac532b941ef82d3c6",
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := sample(t, name)
			if file == nil {
				return
			}
			img, info, err := DecodeWSQ(file[tt.offset:])
			if err != nil {
				t.Fatal(err)
			}
			if info != tt.info {
				t.Errorf("got %+v, want %+v", info, tt.info)
			}
			if sum := sha256.Sum256(img.Pix); hex.EncodeToString(sum[:]) != tt.sum {
				t.Errorf("the grey values are not NIST's")
			}
			again, err := EncodeWSQ(img, 0.75, 500)
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := DecodeWSQ(again)
			if err != nil {
				t.Fatal(err)
			}
			// NIST's own encoder comes to 35 to 43 dB on such pictures.
			if _, psnr := difference(t, got, img); psnr < 40 {
				t.Errorf("%.1f dB after encoding once more, want 40", psnr)
			}
		})
	}
	if raster := sample(t, "left-index-auth-wsq.pgm"); raster != nil {
		want, _, err := Decode(raster)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := Decode(sample(t, "left-index-auth.wsq"))
		if err != nil {
			t.Fatal(err)
		}
		if most, _ := difference(t, got, want); most != 0 {
			t.Errorf("grey values differ by up to %d", most)
		}
	}
}

func TestEncodeWSQRefuses(t *testing.T) {
	good := image.Rect(0, 0, 100, 100)
	for name, tt := range map[string]struct {
		r    image.Rectangle
		rate float64
		dpi  int
		want string
	}{
		"empty":         {image.Rectangle{}, 0.75, 500, "empty"},
		"narrow":        {image.Rect(0, 0, 64, 100), 0.75, 500, "at least"},
		"low":           {image.Rect(0, 0, 100, 64), 0.75, 500, "at least"},
		"large":         {image.Rect(0, 0, 4100, 4100), 0.75, 500, "at most"},
		"very wide":     {image.Rect(0, 0, 70000, 65), 0.75, 500, "at most"},
		"negative rate": {good, -1, 500, "bits a pixel"},
		"high rate":     {good, 8.1, 500, "bits a pixel"},
		"no rate":       {good, math.NaN(), 500, "bits a pixel"},
		"negative dpi":  {good, 0.75, -1, "dpi"},
		"high dpi":      {good, 0.75, 1 << 16, "dpi"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := EncodeWSQ(image.NewGray(tt.r), tt.rate, tt.dpi); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error about %q", err, tt.want)
			}
		})
	}
}

func TestDecodeWSQRefuses(t *testing.T) {
	good, err := EncodeWSQ(finger(200, 200), 0.75, 500)
	if err != nil {
		t.Fatal(err)
	}
	at := func(mark byte) int { return bytes.Index(good, []byte{0xFF, mark}) }
	cut := func(from, to int) func([]byte) []byte {
		return func(b []byte) []byte { return append(b[:from:from], b[to:]...) }
	}
	dtt, dqt, sof, dht, sob := at(0xA4), at(0xA5), at(0xA2), at(0xA6), at(0xA3)
	lastSOB := bytes.LastIndex(good, []byte{0xFF, 0xA3})
	tests := map[string]struct {
		damage func([]byte) []byte
		want   string
	}{
		"nothing":          {cut(0, len(good)), "start marker"},
		"start only":       {cut(2, len(good)), "cut short"},
		"no end":           {cut(len(good)-2, len(good)), "cut short"},
		"nothing between":  {cut(2, len(good)-2), "before all"},
		"last block lost":  {cut(lastSOB, len(good)-2), "before all"},
		"fourth block":     {func(b []byte) []byte { return append(append(b[:len(b)-2], b[lastSOB:len(b)-2]...), 0xFF, 0xA1) }, "more than three"},
		"data cut":         {cut(lastSOB-40, lastSOB), "coefficients are cut"},
		"no filters":       {cut(dtt, dqt), "come before"},
		"no quantisation":  {cut(dqt, sof), "come before"},
		"no frame header":  {cut(sof, dht), "come before"},
		"no Huffman table": {cut(dht, sob), "without a Huffman table"},
		"odd filters":      {set(dtt+4, 8), "9 and 7 taps"},
		"short table": {func(b []byte) []byte {
			return append(append(b[:dqt+2:dqt+2], 0, 9), append(make([]byte, 7), b[sof:]...)...)
		}, "quantisation table"},
		"no width":        {set(sof+8, 0, 0), "200 pixels"},
		"too large":       {set(sof+6, 0xFF, 0xFF, 0xFF, 0xFF), "65535x65535"},
		"frame twice":     {func(b []byte) []byte { return append(b[:lastSOB:lastSOB], b[sof:]...) }, "out of place"},
		"ninth table":     {set(dht+4, 8), "table 8"},
		"too many codes":  {set(dht+5, 3), "more codes"},
		"symbols missing": {set(dht+5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255), "table is cut short"},
		"other marker":    {set(dtt, 0xFF, 0xC4), "marker FFC4"},
		"no marker":       {set(dtt, 0), "out of place"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			img, info, err := DecodeWSQ(tt.damage(bytes.Clone(good)))
			if err == nil || !strings.Contains(err.Error(), tt.want) || img != nil || info != (Info{}) {
				t.Errorf("got %v, %+v, %v, want an error about %q", img == nil, info, err, tt.want)
			}
		})
	}
}

// Bytes behind the end are not the file's, as with the zeros that some append.
func TestDecodeWSQIgnoresTail(t *testing.T) {
	img := finger(100, 100)
	file, err := EncodeWSQ(img, 0.75, 500)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := DecodeWSQ(file)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := DecodeWSQ(append(file, make([]byte, 100)...))
	if err != nil {
		t.Fatal(err)
	}
	if most, _ := difference(t, got, want); most != 0 {
		t.Errorf("grey values differ by %d", most)
	}
}
