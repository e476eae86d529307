package segment

import "math"

// A frame is a blockMap seen along the fingers: u runs across them, v from the
// tips towards the palm, both in blocks. theta is the lean of the fingers in
// radians, positive where the tips lean to the right.
type frame struct {
	cos, sin float64
	u0, v0   float64 // of the first cell's corner
	w, h     int
	activity []float32
	label    []int32 // 0 is platen
}

// newFrame resamples m by nearest neighbour.
func newFrame(m *blockMap, theta float64) *frame {
	f := &frame{cos: math.Cos(theta), sin: math.Sin(theta)}
	u1, v1 := math.Inf(-1), math.Inf(-1)
	f.u0, f.v0 = math.Inf(1), math.Inf(1)
	for _, c := range [4]Point{{0, 0}, {float64(m.w), 0}, {0, float64(m.h)}, {float64(m.w), float64(m.h)}} {
		u, v := c.X*f.cos+c.Y*f.sin, c.Y*f.cos-c.X*f.sin
		f.u0, u1 = min(f.u0, u), max(u1, u)
		f.v0, v1 = min(f.v0, v), max(v1, v)
	}
	f.w, f.h = int(math.Ceil(u1-f.u0)), int(math.Ceil(v1-f.v0))
	f.activity = make([]float32, f.w*f.h)
	f.label = make([]int32, f.w*f.h)
	for j := range f.h {
		for i := range f.w {
			p := f.image(float64(i)+0.5, float64(j)+0.5)
			x, y := int(math.Floor(p.X)), int(math.Floor(p.Y))
			if x < 0 || y < 0 || x >= m.w || y >= m.h {
				continue
			}
			f.activity[j*f.w+i] = m.activity[y*m.w+x]
			if m.fg[y*m.w+x] {
				f.label[j*f.w+i] = unlabelled
			}
		}
	}
	return f
}

// image returns the place in the block map of the place (u, v) in the frame.
func (f *frame) image(u, v float64) Point {
	u, v = u+f.u0, v+f.v0
	return Point{u*f.cos - v*f.sin, u*f.sin + v*f.cos}
}

// handAngle returns the lean of the fingers of m in radians: the direction in
// which the shadow of the fingers has the sharpest edges. (The direction of
// the most uneven shadow, which is the usual measure, is drawn to the slope
// of the line of fingertips instead.)
func handAngle(m *blockMap) float64 {
	var pts []Point
	for y := range m.h {
		for x := range m.w {
			if m.fg[y*m.w+x] {
				pts = append(pts, Point{float64(x) + 0.5, float64(y) + 0.5})
			}
		}
	}
	hist := make([]float64, 2*(m.w+m.h)+8)
	score := func(deg float64) float64 {
		clear(hist)
		s, c := math.Sincos(deg * math.Pi / 180)
		for _, p := range pts {
			u := p.X*c + p.Y*s + float64(m.h) + 4
			i := int(u)
			t := u - float64(i)
			hist[i] += 1 - t
			hist[i+1] += t
		}
		var sum float64
		for i := 2; i < len(hist)-2; i++ {
			d := hist[i+1] + hist[i+2] - hist[i-1] - hist[i-2]
			sum += d * d
		}
		return sum
	}
	best, at := -1.0, 0.0
	for deg := -28.0; deg <= 28; deg += 4 {
		if s := score(deg); s > best {
			best, at = s, deg
		}
	}
	for _, step := range []float64{2, 1, 0.5} {
		for _, deg := range []float64{at - step, at + step} {
			if s := score(deg); s > best {
				best, at = s, deg
			}
		}
	}
	return at * math.Pi / 180
}
