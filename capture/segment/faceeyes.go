package segment

import (
	"image"
	"math"
)

// Where the eyes are in the square of the detector, in its sides from its
// centre, how far they may be from there, and how large an iris is.
const (
	eyeRow, eyeColumn = -0.085, 0.185
	eyeReach          = 0.11
	eyeSpread         = 0.07 // standard deviation of the places
	irisRadius        = 0.044
	eyeSearchSide     = 120 // the square is shrunk to at least this many pixels

	// Differences of grey over two pixels: smaller ones are skin and noise,
	// larger ones count no more, lest a glint outvote the iris.
	leastSlope, mostSlope = 4, 60
)

// findFaceEyes finds the pupils of the face in box, the person's right one
// first: dark discs as large as an iris should be.
func findFaceEyes(img image.Image, box image.Rectangle) (right, left Point) {
	side := float64(box.Dx())
	centre := Point{float64(box.Min.X) + side/2, float64(box.Min.Y) + side/2}
	k := max(1, box.Dx()/eyeSearchSide)
	find := func(column float64) Point {
		at := Point{centre.X + column*side, centre.Y + eyeRow*side}
		reach := (eyeReach + 2*irisRadius) * side
		r := image.Rect(int(at.X-reach), int(at.Y-reach), int(at.X+reach)+1, int(at.Y+reach)+1).Intersect(img.Bounds())
		patch := Luminance(img, r, k)
		scale := float64(k)
		p := Point{(at.X - float64(r.Min.X)) / scale, (at.Y - float64(r.Min.Y)) / scale}
		q := darkDisc(patch, p, side/scale)
		return Point{q.X*scale + float64(r.Min.X), q.Y*scale + float64(r.Min.Y)}
	}
	return find(-eyeColumn), find(eyeColumn)
}

// darkDisc returns the centre of the most convincing iris in a patch around an
// eye that should be at the place expect, in a face with the given side. Each
// pixel votes for the places that lie an iris radius down the slope of its
// grey, so that only a disc gathers many votes; a brow gathers few.
func darkDisc(patch *image.Gray, expect Point, side float64) Point {
	w, h := patch.Rect.Dx(), patch.Rect.Dy()
	grey := smooth(patch)
	votes := make([]float64, w*h)
	nearest, farthest := 0.6*irisRadius*side, 1.4*irisRadius*side
	for y := 1; y < h-1; y++ {
		for x := 1; x < w-1; x++ {
			i := y*w + x
			gx, gy := grey[i+1]-grey[i-1], grey[i+w]-grey[i-w]
			slope := math.Sqrt(gx*gx + gy*gy)
			if slope < leastSlope {
				continue
			}
			gx, gy = gx/slope, gy/slope
			weight := min(slope, mostSlope)
			for d := nearest; d <= farthest; d++ {
				cx, cy := float64(x)+0.5-d*gx, float64(y)+0.5-d*gy
				if cx >= 0 && cy >= 0 && int(cx) < w && int(cy) < h {
					votes[int(cy)*w+int(cx)] += weight / d
				}
			}
		}
	}
	// A centre collects the votes of its neighbourhood, as outlines are not
	// quite round, and counts the more the darker it is.
	r := max(1, int(math.Round(irisRadius*side/4)))
	var best float64
	at := expect
	for y := r; y < h-r; y++ {
		for x := r; x < w-r; x++ {
			dx, dy := float64(x)+0.5-expect.X, float64(y)+0.5-expect.Y
			if max(math.Abs(dx), math.Abs(dy)) > eyeReach*side {
				continue
			}
			var sum, sx, sy, dark float64
			for j := y - r; j <= y+r; j++ {
				for i := x - r; i <= x+r; i++ {
					v := votes[j*w+i]
					sum, sx, sy = sum+v, sx+v*float64(i), sy+v*float64(j)
					dark += 255 - grey[j*w+i]
				}
			}
			if sum*dark <= best {
				continue
			}
			far := (dx*dx + dy*dy) / (eyeSpread * side * eyeSpread * side)
			if score := sum * dark * math.Exp(-far/2); score > best {
				best, at = score, Point{sx/sum + 0.5, sy/sum + 0.5}
			}
		}
	}
	return at
}

// smooth returns img filtered by the 3 x 3 binomial kernel.
func smooth(img *image.Gray) []float64 {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	out := make([]float64, w*h)
	for y := range h {
		for x := range w {
			var sum float64
			for dy := -1; dy <= 1; dy++ {
				row := img.Pix[min(max(y+dy, 0), h-1)*img.Stride:]
				s := float64(row[max(x-1, 0)]) + 2*float64(row[x]) + float64(row[min(x+1, w-1)])
				sum += s * float64(2-dy*dy)
			}
			out[y*w+x] = sum / 16
		}
	}
	return out
}
