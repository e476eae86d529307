package segment

import (
	"image"
	"math"

	"sbid/driver"
)

// A Finger is the distal phalanx of one finger on the platen.
type Finger struct {
	Position driver.Position
	// Corners of the box around it, in the finger's own order: tip left, tip
	// right, crease right, crease left. For an upright finger that is clockwise
	// from the top left, and every coordinate is a whole number.
	Corners [4]Point
	// Angle is the lean of the finger in radians, positive where the tip leans
	// to the right of the image.
	Angle float64
	// Cropped tells that the edge of the platen cuts the tip or a side.
	Cropped bool
}

// boxMargin is the white left around the ridges, in pixels.
const boxMargin = 12

// Size returns the width and the height of the box in pixels.
func (f Finger) Size() (w, h int) {
	c := f.Corners
	return int(math.Round(math.Hypot(c[1].X-c[0].X, c[1].Y-c[0].Y))),
		int(math.Round(math.Hypot(c[3].X-c[0].X, c[3].Y-c[0].Y)))
}

// Cut returns the finger as an upright image of Size. The pixels of a finger
// that stands upright are copied, others are interpolated bilinearly. What
// the box covers beyond the edge of img is white.
func (f Finger) Cut(img *image.Gray) *image.Gray {
	w, h := f.Size()
	if w <= 0 || h <= 0 || w > maxSide || h > maxSide {
		return &image.Gray{}
	}
	out := image.NewGray(image.Rect(0, 0, w, h))
	for i := range out.Pix {
		out.Pix[i] = 255
	}
	src, origin := grayOrigin(img)
	sw, sh := src.Rect.Dx(), src.Rect.Dy()
	x0, y0 := f.Corners[0].X-float64(origin.X), f.Corners[0].Y-float64(origin.Y)
	if !(math.Abs(x0) <= 4*maxSide && math.Abs(y0) <= 4*maxSide) {
		return out
	}
	if f.Angle == 0 {
		at := image.Pt(int(math.Round(x0)), int(math.Round(y0)))
		r := out.Rect.Add(at).Intersect(src.Rect)
		for y := r.Min.Y; y < r.Max.Y; y++ {
			copy(out.Pix[(y-at.Y)*w+r.Min.X-at.X:], src.Pix[y*src.Stride+r.Min.X:y*src.Stride+r.Max.X])
		}
		return out
	}
	sin, cos := math.Sincos(f.Angle)
	for j := range h {
		row := out.Pix[j*w : (j+1)*w]
		for i := range row {
			u, v := float64(i)+0.5, float64(j)+0.5
			x, y := x0+u*cos-v*sin-0.5, y0+u*sin+v*cos-0.5
			if !(x >= 0 && y >= 0 && x < float64(sw-1) && y < float64(sh-1)) {
				continue
			}
			// In 256ths of a pixel, which greys of 8 bits cannot tell from exact.
			fx, fy := int(x*256), int(y*256)
			at := fy>>8*src.Stride + fx>>8
			fx, fy = fx&255, fy&255
			a, b := src.Pix[at:at+2], src.Pix[at+src.Stride:at+src.Stride+2]
			top := int(a[0])<<8 + fx*(int(a[1])-int(a[0]))
			bottom := int(b[0])<<8 + fx*(int(b[1])-int(b[0]))
			row[i] = uint8((top<<8 + fy*(bottom-top) + 1<<15) >> 16)
		}
	}
	return out
}

// maxSide bounds the image that Cut makes of a box not made by this package.
const maxSide = 1 << 14

// A phalanx is the distal phalanx of a piece, in cells of its frame.
type phalanx struct{ left, right, tip, crease float64 }

// tipShare is the part of the middle columns, one in so many, that a tip covers
// in its first row; the spill of a neighbour covers fewer.
const tipShare = 5

// distal finds the tip, the crease and the sides of p.
func (f *frame) distal(p piece) phalanx {
	width := p.width()
	mid0, mid1 := p.left+width/5, p.right-width/5
	tip := p.top
	for run, j := 0, p.top; j < p.bottom; j++ {
		if tipShare*f.count(p, j, mid0, mid1) < mid1-mid0 {
			run = 0
			continue
		}
		if run++; run == 2 {
			tip = j - 1
			break
		}
	}
	crease := f.crease(p, tip, mid0, mid1)
	left, right := f.sides(p, tip, crease)
	return phalanx{float64(left), float64(right), float64(tip), float64(crease)}
}

// count returns how many cells of p are in columns x0 to x1 of row j.
func (f *frame) count(p piece, j, x0, x1 int) int {
	n := 0
	for _, l := range f.label[j*f.w+x0 : j*f.w+x1] {
		if l == p.label {
			n++
		}
	}
	return n
}

// Where the crease is, in finger widths below the tip, and how much paler than
// the pad it must be.
const (
	creaseFrom, creaseTo = 1.05, 2.3
	creasePale           = 0.62
	creaseFlat           = 0.1 // and how little of that it may vary inside
	phalanxLength        = 1.6 // of a finger without a visible crease
)

// crease returns the row in which the distal phalanx ends: the palest one at a
// plausible distance from the tip.
func (f *frame) crease(p piece, tip, mid0, mid1 int) int {
	width := float64(p.width())
	rows := p.bottom - tip
	profile := make([]float64, rows) // mean activity of the middle columns
	for j := range profile {
		for i := mid0; i < mid1; i++ {
			if c := (tip+j)*f.w + i; f.label[c] == p.label {
				profile[j] += float64(f.activity[c])
			}
		}
		profile[j] /= float64(max(mid1-mid0, 1))
	}
	smooth := func(j int) float64 {
		a, b := max(j-1, 0), min(j+1, rows-1)
		return (profile[a] + profile[j] + profile[b]) / 3
	}
	var pad float64
	first := min(int(width), rows)
	for _, a := range profile[:first] {
		pad += a / float64(max(first, 1))
	}
	least := math.Inf(1)
	from, to := int(creaseFrom*width), min(int(creaseTo*width), rows-1)
	for j := from; j < to; j++ {
		least = min(least, smooth(j))
	}
	switch {
	case least < creasePale*pad:
		// The middle of what is about as pale.
		for from < to && smooth(from) > least+creaseFlat*pad {
			from++
		}
		end := from
		for end < to && smooth(end) <= least+creaseFlat*pad {
			end++
		}
		return tip + (from+end)/2
	case float64(rows) > 2*width:
		return tip + int(phalanxLength*width)
	}
	return p.bottom
}

// sides returns the columns between which most rows of the distal phalanx
// lie; a spill of a neighbour reaches over only a few of them.
func (f *frame) sides(p piece, tip, crease int) (left, right int) {
	var lefts, rights []int
	for j := tip; j < crease; j++ {
		row := f.label[j*f.w : (j+1)*f.w]
		a, b := p.left, p.right
		for a < b && row[a] != p.label {
			a++
		}
		for b > a && row[b-1] != p.label {
			b--
		}
		if a < b {
			lefts, rights = append(lefts, a), append(rights, b)
		}
	}
	if len(lefts) == 0 {
		return p.left, p.right
	}
	return quantile(lefts, 0.1), quantile(rights, 0.9)
}
