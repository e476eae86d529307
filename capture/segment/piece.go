package segment

import (
	"cmp"
	"slices"
)

// A piece is one connected part of the fingers in a frame: the cells of one
// label, and the box around them in cells, right and bottom excluded.
type piece struct {
	label                    int32
	cells                    int
	left, right, top, bottom int
}

func (p *piece) width() int { return p.right - p.left }

func (p *piece) add(x, y int) {
	if p.cells == 0 {
		p.left, p.right, p.top, p.bottom = x, x+1, y, y+1
	}
	p.cells++
	p.left, p.right = min(p.left, x), max(p.right, x+1)
	p.top, p.bottom = min(p.top, y), max(p.bottom, y+1)
}

// Limits of what can be a finger, in blocks.
const (
	minCells      = 100 // 16 mm²
	phalanxGap    = 8   // longest crease between two phalanges of a finger
	widestFinger  = 54
	widestThumb   = 60
	suspectFinger = 44 // a piece wider than this may be two
	narrowestHalf = 18 // of a piece that is cut in two
	seamRows      = 60 // the length below the shorter tip in which two fingers touch
	mostCuts      = 6  // of suspects; a part can join another finger and be cut off again
)

// fingers labels the parts of f and makes one piece of each finger, parting
// those that touch: a piece wider than widest must be two fingers, one wider
// than suspect is if a finger is missing. It also says whether any touched.
func (f *frame) fingers(want, suspect, widest int) (fingers []piece, touching bool) {
	parts := connected(f.label, f.w)
	parts = slices.DeleteFunc(parts, func(p piece) bool { return p.cells < minCells/2 })
	for i := 0; i < len(parts); {
		if parts[i].width() <= widest || !f.part(&parts, i) {
			i++
			continue
		}
		touching = true
	}
	for range mostCuts {
		fingers = f.joinPhalanges(parts)
		i := suspicious(fingers, want, suspect)
		parts = fingers
		if i < 0 || !f.part(&parts, i) {
			return fingers, touching
		}
		touching = true
	}
	return f.joinPhalanges(parts), touching
}

// suspicious returns the index of the widest finger if that may be two: it is
// much wider than the others, or wider than width and a finger is missing.
// Otherwise it returns -1.
func suspicious(fingers []piece, want, width int) int {
	if len(fingers) == 0 {
		return -1
	}
	widths := make([]int, len(fingers))
	for i, p := range fingers {
		widths[i] = p.width()
	}
	i := slices.Index(widths, slices.Max(widths))
	if 5*widths[i] > 7*quantile(widths, 0.5) || widths[i] > width && len(fingers) < want {
		return i
	}
	return -1
}

// unlabelled marks the cells that connected is to label.
const unlabelled = -1

// connected labels the 4-connected parts of the unlabelled cells of a map that
// is w cells wide, 1, 2, 3 and so on, and returns them in this order.
func connected(label []int32, w int) []piece {
	var found []piece
	var stack []int
	for start, l := range label {
		if l != unlabelled {
			continue
		}
		p := piece{label: int32(len(found) + 1)}
		visit := func(i int) {
			if label[i] == unlabelled {
				label[i] = p.label
				stack = append(stack, i)
			}
		}
		visit(start)
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			x := i % w
			p.add(x, i/w)
			if x > 0 {
				visit(i - 1)
			}
			if x < w-1 {
				visit(i + 1)
			}
			if i >= w {
				visit(i - w)
			}
			if i+w < len(label) {
				visit(i + w)
			}
		}
		found = append(found, p)
	}
	return found
}

// joinPhalanges makes one piece of each finger: what lies just below a tip
// belongs to it, unless it is much wider and so holds a finger of its own; what
// lies farther below is the palm.
func (f *frame) joinPhalanges(found []piece) []piece {
	found = slices.Clone(found)
	slices.SortStableFunc(found, func(a, b piece) int { return cmp.Compare(a.top, b.top) })
	var fingers []piece
next:
	for _, p := range found {
		centre := (p.left + p.right) / 2
		for k := range fingers {
			up := &fingers[k]
			if centre < up.left || centre >= up.right {
				continue
			}
			if p.top-up.bottom > phalanxGap {
				continue next
			}
			if 5*p.width() > 7*up.width() {
				continue
			}
			f.relabel(p, p.left, up.label)
			up.cells += p.cells
			up.left, up.right = min(up.left, p.left), max(up.right, p.right)
			up.bottom = max(up.bottom, p.bottom)
			continue next
		}
		fingers = append(fingers, p)
	}
	return slices.DeleteFunc(fingers, func(p piece) bool { return p.cells < minCells })
}

// relabel gives the cells of p from column x on to the piece of that label.
func (f *frame) relabel(p piece, x int, label int32) {
	for j := p.top; j < p.bottom; j++ {
		row := f.label[j*f.w : (j+1)*f.w]
		for i := x; i < p.right; i++ {
			if row[i] == p.label {
				row[i] = label
			}
		}
	}
}

// outline returns the piece of the cells that now carry p's label.
func (f *frame) outline(p piece) piece {
	q := piece{label: p.label}
	for j := p.top; j < p.bottom; j++ {
		for i := p.left; i < p.right; i++ {
			if f.label[j*f.w+i] == p.label {
				q.add(i, j)
			}
		}
	}
	return q
}

// part cuts the i-th piece in two, if it is wide enough for that, and says
// whether it did. What cannot be a phalanx is dropped.
func (f *frame) part(pieces *[]piece, i int) bool {
	p := (*pieces)[i]
	if p.width() < 2*narrowestHalf {
		return false
	}
	x := f.seam(p)
	right := p
	for _, l := range f.label {
		right.label = max(right.label, l)
	}
	right.label++
	f.relabel(p, x, right.label)
	kept := slices.Delete(*pieces, i, i+1)
	for _, q := range []piece{f.outline(p), f.outline(right)} {
		if q.cells >= minCells/2 {
			kept = append(kept, q)
		}
	}
	*pieces = kept
	return true
}

// seam returns the column at which to cut p in two: the one with the most
// platen in the rows below the lower of the two tips beside it, where both
// fingers are present.
func (f *frame) seam(p piece) int {
	w := p.width()
	tops := make([]int, w)
	for i := range tops {
		tops[i] = p.bottom
		for j := p.top; j < p.bottom; j++ {
			if f.label[j*f.w+p.left+i] == p.label {
				tops[i] = j
				break
			}
		}
	}
	most, x := -1, 0
	for i := narrowestHalf; i <= w-narrowestHalf; i++ {
		lower := max(slices.Min(tops[:i]), slices.Min(tops[i:]))
		platen := 0
		for j := lower; j < min(lower+seamRows, p.bottom); j++ {
			if f.label[j*f.w+p.left+i] != p.label {
				platen++
			}
		}
		if platen > most {
			most, x = platen, p.left+i
		}
	}
	return x
}
