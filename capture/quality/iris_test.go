package quality_test

import (
	"image"
	"math"
	"testing"

	"sbid/capture/quality"
	"sbid/capture/segment"
)

func TestIrisReacts(t *testing.T) {
	tests := map[string]struct {
		values  []float64
		change  func(e *eyeball, v float64)
		measure func(m quality.IrisMeasures) float64
	}{
		"blur": {[]float64{0.9, 3, 4, 6, 8}, func(e *eyeball, v float64) { e.blur = v },
			func(m quality.IrisMeasures) float64 { return m.Sharpness }},
		"lid": {[]float64{0.95, 0.6, 0.4, 0.1}, func(e *eyeball, v float64) { e.open = v },
			func(m quality.IrisMeasures) float64 { return m.UsableArea }},
		"iris as bright as sclera": {[]float64{118, 150, 165, 173}, func(e *eyeball, v float64) { e.irisGrey = v },
			func(m quality.IrisMeasures) float64 { return m.ScleraContrast }},
		"iris as dark as pupil": {[]float64{118, 60, 40, 20}, func(e *eyeball, v float64) { e.irisGrey, e.texture = v, 3 },
			func(m quality.IrisMeasures) float64 { return m.PupilContrast }},
		"flat iris": {[]float64{20, 10, 2, 0.1}, func(e *eyeball, v float64) { e.texture, e.noise = v, 1 },
			func(m quality.IrisMeasures) float64 { return m.GreyUtilisation }},
		"small": {[]float64{112, 90, 70, 50}, func(e *eyeball, v float64) { e.iris.R, e.pupil.R = v, 0.4*v },
			func(m quality.IrisMeasures) float64 { return m.Diameter }},
		"off centre": {[]float64{323, 335, 350}, func(e *eyeball, v float64) { e.pupil.X = v },
			func(m quality.IrisMeasures) float64 { return m.Concentricity }},
		"at the edge": {[]float64{320, 150, 120}, func(e *eyeball, v float64) { e.pupil.X, e.iris.X = v+3, v },
			func(m quality.IrisMeasures) float64 { return m.Margin }},
		"noise": {[]float64{3, 12, 18, 25}, func(e *eyeball, v float64) { e.noise = v },
			func(m quality.IrisMeasures) float64 { return -m.Noise }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var scores, measures []float64
			for _, v := range tt.values {
				e := ordinaryEye()
				tt.change(&e, v)
				m := quality.MeasureIris(e.paint())
				scores, measures = append(scores, m.Score()), append(measures, tt.measure(m))
			}
			t.Logf("%v: measure %.1f, score %.0f", tt.values, measures, scores)
			for i := 1; i < len(scores); i++ {
				if measures[i] >= measures[i-1] {
					t.Errorf("at %v the measure is %.2f after %.2f", tt.values[i], measures[i], measures[i-1])
				}
				if scores[i] > scores[i-1]+1 {
					t.Errorf("at %v the score is %.1f after %.1f", tt.values[i], scores[i], scores[i-1])
				}
			}
			if last := scores[len(scores)-1]; last > 0.85*scores[0] {
				t.Errorf("the score falls from %.0f to %.0f only", scores[0], last)
			}
		})
	}
}

func TestIrisMeasures(t *testing.T) {
	e := ordinaryEye()
	m := quality.MeasureIris(e.paint())
	near := func(name string, got, want, within float64) {
		t.Helper()
		if !(math.Abs(got-want) <= within) {
			t.Errorf("%s is %.1f, want %.1f", name, got, want)
		}
	}
	near("usable area", m.UsableArea, 98, 3)
	near("sclera contrast", m.ScleraContrast, 100*60.0/(178+118-28), 3)
	w := (118.0 - 14) / (20 + 14)
	near("pupil contrast", m.PupilContrast, 100*w/(0.75+w), 3)
	near("circularity", m.PupilCircularity, 95, 5) // dark fibres end at the pupil
	near("pupil ratio", m.PupilRatio, 100*45.0/112, 0.1)
	near("concentricity", m.Concentricity, 100*(1-math.Hypot(3, 2)/112), 0.1)
	near("margin", m.Margin, 100, 0.1)
	near("diameter", m.Diameter, 224, 0.1)
	near("noise", m.Noise, 3, 1.5)
	near("entropy", m.GreyUtilisation, 6.3, 0.6)
	if s := quality.Iris(e.paint()); s < 90 {
		t.Errorf("an ordinary eye scores %.0f: %+v", s, m)
	}
}

// A wide or narrow pupil halves the score.
func TestIrisPupilRatio(t *testing.T) {
	good := quality.Iris(ordinaryEye().paint())
	for _, r := range []float64{18, 78} {
		e := ordinaryEye()
		e.pupil.R = r
		if got := quality.Iris(e.paint()); got > 0.55*good {
			t.Errorf("pupil of %v: %.0f, else %.0f", r, got, good)
		}
	}
}

func TestIrisNothingThere(t *testing.T) {
	img, eye := ordinaryEye().paint()
	circle := func(x, y, r float64) segment.Circle { return segment.Circle{Point: segment.Point{X: x, Y: y}, R: r} }
	nan, inf := math.NaN(), math.Inf(1)
	for name, tt := range map[string]struct {
		img *image.Gray
		eye segment.Eye
	}{
		"no image":        {nil, eye},
		"empty image":     {&image.Gray{}, eye},
		"no eye":          {img, segment.Eye{}},
		"beside it":       {image.NewGray(image.Rect(0, 0, 9, 9)), eye},
		"not a number":    {img, segment.Eye{Pupil: circle(nan, 1, 40), Iris: circle(nan, 1, nan)}},
		"without bound":   {img, segment.Eye{Pupil: circle(0, 0, inf), Iris: circle(1e300, 0, inf)}},
		"inside out":      {img, segment.Eye{Pupil: circle(320, 240, 100), Iris: circle(320, 240, 50)}},
		"short of pixels": {&image.Gray{Pix: make([]uint8, 5), Stride: 640, Rect: img.Rect}, eye},
	} {
		if got := quality.Iris(tt.img, tt.eye); got != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := quality.Iris(image.NewGray(img.Rect), eye); got != 0 {
		t.Errorf("a black picture scores %v", got)
	}
}
