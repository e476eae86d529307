package simulator

import (
	"image"
	"math"
	"testing"

	"sbid/driver"
)

// ringMean is the mean grey on a circle, near the horizontal, where no lid is.
func ringMean(img *image.Gray, x, y, radius float64) float64 {
	var sum, n float64
	for a := -0.4; a <= 0.4; a += 0.05 {
		sin, cos := math.Sincos(a)
		for _, side := range []float64{-1, 1} {
			sum += float64(img.GrayAt(int(x+side*radius*cos), int(y+radius*sin)).Y)
			n++
		}
	}
	return sum / n
}

func TestEyesHavePupilIrisAndSclera(t *testing.T) {
	for seed, p := range known[:3] {
		for _, pos := range []driver.Position{driver.RightIris, driver.LeftIris} {
			img, truth := p.Eye(pos, Shot{Capture: uint64(seed)})
			pupil := ringMean(img, truth.Pupil.X, truth.Pupil.Y, 0.8*truth.Pupil.R)
			iris := ringMean(img, truth.Iris.X, truth.Iris.Y, 0.8*truth.Iris.R)
			sclera := ringMean(img, truth.Iris.X, truth.Iris.Y, 1.15*truth.Iris.R)
			if pupil > 40 || iris < pupil+50 || sclera < iris+20 {
				t.Errorf("seed %d, %v: grey of pupil %.0f, iris %.0f, sclera %.0f", seed, pos, pupil, iris, sclera)
			}
			if d := 2 * truth.Iris.R; d < 212 || d > 236 {
				t.Errorf("seed %d, %v: iris is %.0f px wide", seed, pos, d)
			}
			// The pupil sits towards the nose, which is on the right of a right eye.
			if nasal := truth.Pupil.X > truth.Iris.X; p.eye(pos).nasal > 0 && nasal != (pos == driver.RightIris) {
				t.Errorf("seed %d: the pupil of the %v sits towards the ear", seed, pos)
			}
		}
	}
}

func TestEveryIrisHasItsOwnTexture(t *testing.T) {
	a := NewPerson(1).eye(driver.RightIris).texture
	for name, b := range map[string][]float32{
		"the fellow eye": NewPerson(1).eye(driver.LeftIris).texture,
		"another's eye":  NewPerson(2).eye(driver.RightIris).texture,
	} {
		if r := correlation(a, b); math.Abs(r) > 0.35 {
			t.Errorf("%s correlates by %.2f", name, r)
		}
	}
	if r := correlation(a, NewPerson(1).eye(driver.RightIris).texture); r < 0.999 {
		t.Errorf("the same eye correlates by %.2f", r)
	}
}

func correlation(a, b []float32) float64 {
	var n, sa, sb, saa, sbb, sab float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		n, sa, sb, saa, sbb, sab = n+1, sa+x, sb+y, saa+x*x, sbb+y*y, sab+x*y
	}
	return (n*sab - sa*sb) / math.Sqrt((n*saa-sa*sa)*(n*sbb-sb*sb))
}
