package quality_test

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"sbid/capture/quality"
	"sbid/capture/segment"
	"sbid/simulator"
)

var sitter = sync.OnceValues(func() (*image.RGBA, simulator.FaceTruth) {
	return simulator.NewPerson(4).Face(simulator.Shot{})
})

// photograph returns a good portrait of a virtual person, to be changed at
// will, and where the face is.
func photograph(tb testing.TB) (*image.RGBA, segment.FaceBox) {
	tb.Helper()
	img, truth := sitter()
	own := image.NewRGBA(img.Rect)
	copy(own.Pix, img.Pix)
	return own, segment.FaceBox{
		RightEye: segment.Point{X: float64(truth.RightEye.X), Y: float64(truth.RightEye.Y)},
		LeftEye:  segment.Point{X: float64(truth.LeftEye.X), Y: float64(truth.LeftEye.Y)},
		Count:    1,
	}
}

// each replaces the red, green and blue of every pixel.
func each(img *image.RGBA, f func(x, y int, c [3]float64) [3]float64) {
	for i := 0; i < len(img.Pix); i += 4 {
		p := img.Pix[i : i+4]
		c := f(i/4%img.Rect.Dx(), i/4/img.Rect.Dx(), [3]float64{float64(p[0]), float64(p[1]), float64(p[2])})
		p[0], p[1], p[2] = grey(c[0]), grey(c[1]), grey(c[2])
	}
}

func TestFaceReacts(t *testing.T) {
	tests := map[string]struct {
		change  func(img *image.RGBA, f *segment.FaceBox)
		measure func(m quality.FaceMeasures) float64
		below   float64
	}{
		"out of focus": {func(img *image.RGBA, f *segment.FaceBox) { blurEyes(img, f, 5) },
			func(m quality.FaceMeasures) float64 { return m.Sharpness }, 40},
		"too dark": {func(img *image.RGBA, f *segment.FaceBox) {
			each(img, func(x, y int, c [3]float64) [3]float64 { return [3]float64{c[0] / 12, c[1] / 12, c[2] / 12} })
		}, func(m quality.FaceMeasures) float64 { return min(m.NotDark, m.Brightness) }, 10},
		"too bright": {func(img *image.RGBA, f *segment.FaceBox) {
			each(img, func(x, y int, c [3]float64) [3]float64 { return [3]float64{c[0] * 4, c[1] * 4, c[2] * 4} })
		}, func(m quality.FaceMeasures) float64 { return min(m.NotBright, m.Brightness) }, 30},
		"little contrast": {func(img *image.RGBA, f *segment.FaceBox) {
			each(img, func(x, y int, c [3]float64) [3]float64 {
				return [3]float64{120 + c[0]/16, 110 + c[1]/16, 100 + c[2]/16}
			})
		}, func(m quality.FaceMeasures) float64 { return m.Range }, 55},
		"blue light": {func(img *image.RGBA, f *segment.FaceBox) {
			each(img, func(x, y int, c [3]float64) [3]float64 { return [3]float64{c[0] * 0.6, c[1] * 0.8, c[2] * 1.3} })
		}, func(m quality.FaceMeasures) float64 { return m.Colour }, 40},
		"light from the side": {func(img *image.RGBA, f *segment.FaceBox) {
			mid := f.Eyes().X
			each(img, func(x, y int, c [3]float64) [3]float64 {
				k := 1 / (1 + math.Exp((float64(x)-mid)/60))
				return [3]float64{c[0] * k, c[1] * k, c[2] * k}
			})
		}, func(m quality.FaceMeasures) float64 { return min(m.EvenLight, m.Symmetry) }, 30},
		"cluttered background": {func(img *image.RGBA, f *segment.FaceBox) {
			mid := f.Eyes().X
			each(img, func(x, y int, c [3]float64) [3]float64 {
				if math.Abs(float64(x)-mid) > 1.4*f.IED() && (x/8+y/8)%2 == 0 {
					return [3]float64{}
				}
				return c
			})
		}, func(m quality.FaceMeasures) float64 { return m.Background }, 60},
		"leaning": {func(img *image.RGBA, f *segment.FaceBox) { f.LeftEye.Y += f.IED() * 0.5 },
			func(m quality.FaceMeasures) float64 { return m.Roll }, 85},
		"two faces": {func(img *image.RGBA, f *segment.FaceBox) { f.Count = 2 },
			func(m quality.FaceMeasures) float64 { return m.OneFace }, 1},
		"eyes closed": {func(img *image.RGBA, f *segment.FaceBox) {
			// A lid of skin over either eye, with its lashes below.
			for _, e := range [2]segment.Point{f.RightEye, f.LeftEye} {
				r := image.Rect(int(e.X-0.28*f.IED()), int(e.Y-0.11*f.IED()), int(e.X+0.28*f.IED()), int(e.Y+0.12*f.IED()))
				draw.Draw(img, r, image.NewUniform(img.RGBAAt(int(f.Eyes().X), r.Min.Y)), image.Point{}, draw.Src)
				r.Min.Y = r.Max.Y - int(0.03*f.IED())
				draw.Draw(img, r, image.NewUniform(color.RGBA{20, 15, 10, 255}), image.Point{}, draw.Src)
			}
		}, func(m quality.FaceMeasures) float64 { return m.EyesOpen }, 20},
	}
	img, face := photograph(t)
	good := quality.MeasureFace(img, face)
	t.Logf("good: %+v = %.0f", good, good.Score(true))
	if s := good.Score(true); s < 80 {
		t.Errorf("a good portrait scores %.0f: %+v", s, good)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			img, face := photograph(t)
			tt.change(img, &face)
			m := quality.MeasureFace(img, face)
			if was, is := tt.measure(good), tt.measure(m); is > tt.below || is >= was {
				t.Errorf("measure fell from %.0f to %.0f, want %.0f: %+v", was, is, tt.below, m)
			}
			if was, is := good.Score(true), m.Score(true); is >= was {
				t.Errorf("score went from %.1f to %.1f", was, is)
			}
		})
	}
}

// Sharpness sees blur, but takes noise, contrast and colour for what they are.
func TestFaceSharpnessSteady(t *testing.T) {
	img, face := photograph(t)
	good := quality.MeasureFace(img, face).Sharpness
	r := rand.New(rand.NewPCG(5, 6))
	for name, change := range map[string]func(x, y int, c [3]float64) [3]float64{
		"noise": func(x, y int, c [3]float64) [3]float64 {
			n := 8 * r.NormFloat64()
			return [3]float64{c[0] + n, c[1] + n, c[2] + n}
		},
		"dim": func(x, y int, c [3]float64) [3]float64 { return [3]float64{c[0] / 2, c[1] / 2, c[2] / 2} },
	} {
		img, face := photograph(t)
		each(img, change)
		if got := quality.MeasureFace(img, face).Sharpness; math.Abs(got-good) > 12 {
			t.Errorf("%s: sharpness %.0f, was %.0f", name, got, good)
		}
	}
	last := good
	for _, sd := range []float64{2, 4} {
		img, face := photograph(t)
		blurEyes(img, &face, sd)
		got := quality.MeasureFace(img, face).Sharpness
		if got >= last && last > 0 {
			t.Errorf("blur %v: sharpness %.0f after %.0f", sd, got, last)
		}
		last = got
	}
}

// What is asked of a portrait is not asked for recognition.
func TestFaceScores(t *testing.T) {
	img, face := photograph(t)
	each(img, func(x, y int, c [3]float64) [3]float64 { // a blue room with a pattern
		if (x/8+y/8)%2 == 0 && math.Abs(float64(x)-face.Eyes().X) > 1.4*face.IED() {
			return [3]float64{}
		}
		return [3]float64{c[0] * 0.6, c[1] * 0.8, c[2] * 1.3}
	})
	if portrait, auth := quality.Face(img, face, true), quality.Face(img, face, false); auth < 80 || portrait >= auth {
		t.Errorf("portrait %.0f, recognition %.0f", portrait, auth)
	}
	// Too small for either.
	far := face
	mid := face.Eyes()
	far.RightEye, far.LeftEye = segment.Point{X: mid.X - 15, Y: mid.Y}, segment.Point{X: mid.X + 15, Y: mid.Y}
	if got := quality.Face(img, far, false); got > 20 {
		t.Errorf("eyes 30 pixels apart score %.0f", got)
	}
	// At the edge of the frame there is no room for a portrait.
	edge := img.SubImage(image.Rect(int(mid.X-face.IED()), 0, img.Rect.Max.X, img.Rect.Max.Y))
	if got := quality.Face(edge, face, true); got > 1 {
		t.Errorf("half a head scores %.0f", got)
	}
}

func TestFaceNothingThere(t *testing.T) {
	img, face := photograph(t)
	nan := math.NaN()
	for name, tt := range map[string]struct {
		img  image.Image
		face segment.FaceBox
	}{
		"no image":      {nil, face},
		"empty image":   {&image.RGBA{}, face},
		"no face":       {img, segment.FaceBox{}},
		"beside it":     {image.NewRGBA(image.Rect(0, 0, 3, 3)), face},
		"not a number":  {img, segment.FaceBox{RightEye: segment.Point{X: nan, Y: nan}, LeftEye: segment.Point{X: 100, Y: 100}}},
		"without bound": {img, segment.FaceBox{RightEye: segment.Point{X: -1e300}, LeftEye: segment.Point{X: 1e300}}},
	} {
		for _, icao := range []bool{true, false} {
			if got := quality.Face(tt.img, tt.face, icao); got != 0 {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
	if got := quality.Face(image.NewRGBA(image.Rect(0, 0, 960, 720)), face, true); !(got >= 0 && got < 20) {
		t.Errorf("a black picture scores %v", got)
	}
}

// blurEyes blurs the part of the face that sharpness is measured on.
func blurEyes(img *image.RGBA, f *segment.FaceBox, sd float64) {
	mid, reach := f.Eyes(), 1.1*f.IED()
	r := image.Rect(int(mid.X-reach), int(mid.Y-0.4*reach), int(mid.X+reach), int(mid.Y+0.4*reach)).Intersect(img.Rect)
	w, h := r.Dx(), r.Dy()
	plane := make([]float64, w*h)
	for c := range 3 {
		for i := range plane {
			plane[i] = float64(img.Pix[img.PixOffset(r.Min.X+i%w, r.Min.Y+i/w)+c])
		}
		blur(plane, w, h, sd)
		for i, v := range plane {
			img.Pix[img.PixOffset(r.Min.X+i%w, r.Min.Y+i/w)+c] = grey(v)
		}
	}
}
