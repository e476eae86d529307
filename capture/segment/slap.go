package segment

import (
	"cmp"
	"fmt"
	"image"
	"math"
	"slices"

	"sbid/driver"
)

// A Hint is what the operator should be told about the hand on the platen.
type Hint uint8

const (
	NoHint    Hint = iota
	TooFew         // put down all fingers
	TooMany        // lift the other fingers
	Touching       // spread the fingers
	WrongHand      // take the other hand
	CutOff         // a finger is partly beyond the edge of the platen
	Rotated        // turn the hand upright
)

// A Layout is how the fingers lie on the platen.
type Layout struct {
	// Fingers from left to right in the image. Position is UnknownFinger while
	// the count does not fit.
	Fingers []Finger
	// Wanted is how many fingers were asked for.
	Wanted int
	// Angle is the lean of the hand in radians, positive to the right; for
	// thumbs and single fingers, each of which leans by itself, the mean.
	Angle float64
	// Hint is the most important advice, NoHint if nothing is wrong.
	Hint Hint
}

// Seen returns how many fingers are on the platen.
func (l Layout) Seen() int { return len(l.Fingers) }

// steepest is the lean above which fingers are found less surely.
const steepest = 22 * math.Pi / 180

// Slap finds the fingers in the image of a platen at 500 dpi, where fingers
// are dark, platen is light and tips point up. want are the positions asked
// for without those that the person lacks: up to four fingers of one hand, or
// thumbs, or any single finger. Their order does not matter.
//
// The layout describes what was seen even if the error is not nil: one of
// ErrNotFound, ErrTooFew, ErrTooMany and ErrWrongHand, or that want cannot be
// laid on one platen. The box of a finger holds its distal phalanx, tip to
// crease, as NIST's slap segmentation studies define it.
func Slap(img *image.Gray, want []driver.Position) (Layout, error) {
	order, err := imageOrder(want)
	if err != nil {
		return Layout{}, fmt.Errorf("segment slap: %w", err)
	}
	layout := Layout{Wanted: len(order)}
	src, origin := grayOrigin(img)
	m := newBlockMap(src)
	if n := m.share(); n == 0 || n > mostlyCovered {
		layout.Hint = TooFew
		return layout, fmt.Errorf("segment slap: %w", ErrNotFound)
	}
	find := findHand
	if len(order) == 1 || isThumb(order[0]) {
		find = findThumbs
	}
	fingers, touching := find(m, len(order))
	layout.Fingers = fingers
	for i := range layout.Fingers {
		f := &layout.Fingers[i]
		layout.Angle += f.Angle / float64(len(layout.Fingers))
		for k := range f.Corners {
			f.Corners[k].X += float64(origin.X)
			f.Corners[k].Y += float64(origin.Y)
		}
	}
	return layout, layout.name(order, touching)
}

// mostlyCovered is the share of the platen that no hand covers: then it is a
// dark frame.
const mostlyCovered = 0.9

// name gives the fingers their positions, from left to right, and the layout
// its hint.
func (l *Layout) name(order []driver.Position, touching bool) error {
	seen := len(l.Fingers)
	l.Hint = NoHint
	switch {
	case seen == 0:
		l.Hint = TooFew
		return fmt.Errorf("segment slap: %w", ErrNotFound)
	case seen < len(order):
		l.Hint = TooFew
		if touching {
			l.Hint = Touching
		}
		return fmt.Errorf("segment slap: %d of %d fingers: %w", seen, len(order), ErrTooFew)
	case seen > len(order):
		l.Hint = TooMany
		return fmt.Errorf("segment slap: %d fingers instead of %d: %w", seen, len(order), ErrTooMany)
	}
	for i := range l.Fingers {
		l.Fingers[i].Position = order[i]
	}
	if l.otherHand(order) {
		l.Hint = WrongHand
		return fmt.Errorf("segment slap: %w", ErrWrongHand)
	}
	switch {
	case slices.ContainsFunc(l.Fingers, func(f Finger) bool { return f.Cropped }):
		l.Hint = CutOff
	case touching:
		l.Hint = Touching
	case math.Abs(l.Angle) > steepest:
		l.Hint = Rotated
	}
	return nil
}

// clearDrop is the difference in height of two tips, in pixels, that decides
// which of them is the little finger's; the median is 340.
const clearDrop = 100

// otherHand tells whether the tip that should be the little finger's is
// clearly higher than the one at the other end.
func (l *Layout) otherHand(order []driver.Position) bool {
	n := len(order)
	if n < 2 || isThumb(order[0]) {
		return false
	}
	sin, cos := math.Sincos(l.Angle)
	height := func(f Finger) float64 { // of the tip, along the hand
		x, y := (f.Corners[0].X+f.Corners[1].X)/2, (f.Corners[0].Y+f.Corners[1].Y)/2
		return x*sin - y*cos
	}
	first, last := height(l.Fingers[0]), height(l.Fingers[n-1])
	switch {
	case order[n-1] == driver.RightLittle:
		return last-first > clearDrop
	case order[0] == driver.LeftLittle:
		return first-last > clearDrop
	}
	return false
}

func isThumb(p driver.Position) bool {
	return p == driver.LeftThumb || p == driver.RightThumb
}

// imageOrder returns want from left to right in the image of a platen, which
// shows the right hand as its owner sees it.
func imageOrder(want []driver.Position) ([]driver.Position, error) {
	if len(want) == 0 {
		return nil, fmt.Errorf("no finger is wanted")
	}
	order := slices.Clone(want)
	slices.Sort(order)
	if len(slices.Compact(slices.Clone(order))) != len(order) {
		return nil, fmt.Errorf("a finger is wanted twice: %v", want)
	}
	first, last := order[0], order[len(order)-1]
	if last.Modality() != driver.Finger {
		return nil, fmt.Errorf("%v is no finger", last)
	}
	switch {
	case len(order) == 1:
	case first == driver.RightThumb && last == driver.LeftThumb && len(order) == 2:
		slices.Reverse(order)
	case first >= driver.RightIndex && last <= driver.RightLittle:
	case first >= driver.LeftIndex && last <= driver.LeftLittle:
		slices.Reverse(order)
	default:
		return nil, fmt.Errorf("%v do not lie on one platen", want)
	}
	return order, nil
}

// findHand finds fingers that lean alike.
func findHand(m *blockMap, want int) (fingers []Finger, touching bool) {
	theta := upright(handAngle(m))
	f := newFrame(m, theta)
	pieces, touching := f.fingers(want, suspectFinger, widestFinger)
	pieces = f.dropPalm(pieces, want)
	slices.SortFunc(pieces, func(a, b piece) int { return cmp.Compare(a.left+a.right, b.left+b.right) })
	for _, p := range pieces {
		fingers = append(fingers, f.finger(p, m, theta))
	}
	return fingers, touching
}

// findThumbs finds fingers that lean each by itself.
func findThumbs(m *blockMap, want int) (fingers []Finger, touching bool) {
	f := newFrame(m, 0)
	pieces, touching := f.fingers(want, widestThumb, widestThumb)
	pieces = f.dropPalm(pieces, want)
	slices.SortFunc(pieces, func(a, b piece) int { return cmp.Compare(a.left+a.right, b.left+b.right) })
	for _, p := range pieces {
		alone := &blockMap{w: m.w, h: m.h, activity: m.activity, fg: make([]bool, len(m.fg))}
		for i, l := range f.label {
			alone.fg[i] = l == p.label
		}
		theta := upright(axis(alone))
		g := newFrame(alone, theta)
		whole := piece{label: unlabelled}
		for i, l := range g.label {
			if l == unlabelled {
				whole.add(i%g.w, i/g.w)
			}
		}
		fingers = append(fingers, g.finger(whole, m, theta))
	}
	return fingers, touching
}

// upright makes a lean too small to matter zero, so that the pixels of the
// finger need not be resampled.
func upright(theta float64) float64 {
	if math.Abs(theta) < 0.6*math.Pi/180 {
		return 0
	}
	return theta
}

// axis returns the lean of the long axis of the fingers of m, by second
// moments.
func axis(m *blockMap) float64 {
	var n, sx, sy, sxx, syy, sxy float64
	for i, fg := range m.fg {
		if fg {
			x, y := float64(i%m.w), float64(i/m.w)
			n, sx, sy = n+1, sx+x, sy+y
			sxx, syy, sxy = sxx+x*x, syy+y*y, sxy+x*y
		}
	}
	n = max(n, 1)
	xx, yy, xy := sxx-sx*sx/n, syy-sy*sy/n, sxy-sx*sy/n
	theta := -math.Atan2(2*xy, yy-xx) / 2
	return max(-math.Pi/6, min(theta, math.Pi/6))
}

// dropPalm removes, if there are more pieces than wanted, short ones at the
// lower edge: they are the palm or a sleeve.
func (f *frame) dropPalm(pieces []piece, want int) []piece {
	if len(pieces) <= want {
		return pieces
	}
	lengths := make([]int, len(pieces))
	bottom := 0
	for i, p := range pieces {
		lengths[i] = p.bottom - p.top
		bottom = max(bottom, p.bottom)
	}
	usual := quantile(lengths, 0.5)
	return slices.DeleteFunc(pieces, func(p piece) bool {
		return p.bottom >= bottom-2 && 5*(p.bottom-p.top) < 3*usual && p.top > f.h/2
	})
}

// finger makes the box of p in pixels of the image of m.
func (f *frame) finger(p piece, m *blockMap, theta float64) Finger {
	d := f.distal(p)
	const margin = float64(boxMargin) / blockSize
	left, right := d.left-margin, d.right+margin
	tip, crease := d.tip-margin, d.crease+margin
	out := Finger{Angle: theta}
	for i, c := range [4]Point{{left, tip}, {right, tip}, {right, crease}, {left, crease}} {
		q := f.image(c.X, c.Y)
		out.Corners[i] = Point{q.X * blockSize, q.Y * blockSize}
	}
	width, middle := d.right-d.left, (d.left+d.right)/2
	for _, c := range [3]Point{{middle, d.tip + 1}, {d.left + 1, d.tip + width}, {d.right - 1, d.tip + width}} {
		at := f.image(c.X, c.Y)
		if min(at.X, at.Y, float64(m.w)-at.X, float64(m.h)-at.Y) < 2 {
			out.Cropped = true
		}
	}
	return out
}

// quantile returns the value of v below which the share q of v lies.
func quantile(v []int, q float64) int {
	s := slices.Clone(v)
	slices.Sort(s)
	return s[min(int(q*float64(len(s))), len(s)-1)]
}
