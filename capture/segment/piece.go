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
	suspectWidth  = 44 // a piece this wide is two fingers if a finger is missing
	narrowestHalf = 18 // of a piece that is cut in two
	seamRows      = 60 // the length below the shorter tip in which two fingers touch
)

// pieces labels the parts of f, joins the phalanges of each finger and returns
// what is left, from the highest tip to the lowest.
func (f *frame) pieces() []piece {
	found := connected(f.label, f.w)
	found = slices.DeleteFunc(found, func(p piece) bool { return p.cells < minCells/2 })
	slices.SortStableFunc(found, func(a, b piece) int { return cmp.Compare(a.top, b.top) })
	return f.joinPhalanges(found)
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
// belongs to it, what lies farther below is the palm.
func (f *frame) joinPhalanges(found []piece) []piece {
	var fingers []piece
next:
	for _, p := range found {
		centre := (p.left + p.right) / 2
		for k := range fingers {
			up := &fingers[k]
			if centre < up.left || centre >= up.right {
				continue
			}
			if p.top-up.bottom <= phalanxGap && 5*p.width() <= 7*up.width() {
				f.relabel(p, p.left, up.label)
				up.cells += p.cells
				up.left, up.right = min(up.left, p.left), max(up.right, p.right)
				up.bottom = max(up.bottom, p.bottom)
			}
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

// partTouching cuts pieces that are too wide to be one finger until want
// fingers are found or none is too wide. It also says whether any was.
func (f *frame) partTouching(pieces []piece, want, widest int) (parted []piece, touching bool) {
	for {
		k := 0
		for i := range pieces {
			if pieces[i].width() > pieces[k].width() {
				k = i
			}
		}
		if len(pieces) == 0 || !(pieces[k].width() > widest ||
			pieces[k].width() > suspectWidth && len(pieces) < want) {
			return pieces, touching
		}
		p := pieces[k]
		x, ok := f.seam(p)
		if !ok {
			return pieces, touching
		}
		touching = true
		right := p
		for _, q := range pieces {
			right.label = max(right.label, q.label)
		}
		right.label++
		f.relabel(p, x, right.label)
		a, b := f.outline(p), f.outline(right)
		pieces = slices.Delete(pieces, k, k+1)
		for _, q := range []piece{a, b} {
			if q.cells >= minCells {
				pieces = append(pieces, q)
			}
		}
	}
}

// seam returns the column at which to cut p in two: the one with the most
// platen in the rows below the lower of the two tips beside it. Below that tip
// both fingers are present, so that platen can only be the notch between them.
func (f *frame) seam(p piece) (x int, ok bool) {
	w := p.width()
	if w < 2*narrowestHalf {
		return 0, false
	}
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
	most := -1
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
	return x, true
}
