package imagecodec

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Symbols of the entropy code of WSQ.
const (
	symRun      = 100 // 1 to 100: that many zeros
	symPlus8    = 101 // a positive coefficient in 8 more bits
	symMinus8   = 102 // a negative one, its magnitude in 8 more bits
	symPlus16   = 103
	symMinus16  = 104
	symRun8     = 105 // zeros, their number in 8 more bits
	symRun16    = 106
	symSmall    = 107 // 107 to 254: the coefficient is symbol - symZero
	symZero     = 180
	symLast     = 254
	minSmall    = symSmall - symZero
	maxSmall    = symLast - symZero
	maxCodeBits = 16
)

// huffman is a canonical prefix code: how many codes there are of each length
// from 1 to 16 bits, and the symbols in order of their codes.
type huffman struct {
	counts  [maxCodeBits]byte
	symbols []byte
}

// parseHuffman reads one table at the start of b.
func parseHuffman(b []byte) (h huffman, rest []byte, err error) {
	if len(b) < maxCodeBits {
		return h, nil, errors.New("a Huffman table is cut short")
	}
	n := copy(h.counts[:], b)
	total, free := 0, 1 // free codes of the current length
	for _, c := range h.counts {
		free = 2*free - int(c)
		total += int(c)
		if free < 0 {
			return h, nil, errors.New("a Huffman table has more codes than bits allow")
		}
	}
	if total > len(b)-n {
		return h, nil, errors.New("a Huffman table is cut short")
	}
	h.symbols = b[n : n+total]
	return h, b[n+total:], nil
}

// newHuffman returns the best code for symbols that occur so often. It leaves
// the code of only ones free, which fills up the last byte.
func newHuffman(freq *[256]int) huffman {
	const filler = 256
	var used []int
	for s, n := range freq {
		if n > 0 {
			used = append(used, s)
		}
	}
	slices.SortFunc(used, func(a, b int) int {
		return cmp.Or(cmp.Compare(freq[b], freq[a]), cmp.Compare(a, b))
	})
	if len(used) == 0 { // some decoders mind an empty table
		used = []int{1}
	}
	used = append(used, filler)

	weights := make([]int, len(used))
	for i, s := range used {
		weights[i] = 1
		if s != filler {
			weights[i] = max(freq[s], 1)
		}
	}
	lengths := codeLengths(weights)
	// Flatter weights make shorter longest codes.
	for lengths[len(lengths)-1] > maxCodeBits {
		for i := range weights {
			weights[i] = weights[i]/2 + 1
		}
		lengths = codeLengths(weights)
	}
	var h huffman
	for i, s := range used[:len(used)-1] {
		h.counts[lengths[i]-1]++
		h.symbols = append(h.symbols, byte(s))
	}
	return h
}

// codeLengths returns the lengths of a Huffman code, in ascending order, for
// weights in descending order.
func codeLengths(weights []int) []int {
	type node struct {
		weight int
		leaves []int
	}
	nodes := make([]node, len(weights))
	for i, w := range weights {
		nodes[i] = node{w, []int{i}}
	}
	lengths := make([]int, len(weights))
	for len(nodes) > 1 { // join the two lightest, which are the last
		a, b := nodes[len(nodes)-1], nodes[len(nodes)-2]
		joined := node{a.weight + b.weight, slices.Concat(a.leaves, b.leaves)}
		for _, leaf := range joined.leaves {
			lengths[leaf]++
		}
		nodes = nodes[:len(nodes)-2]
		at, _ := slices.BinarySearchFunc(nodes, joined, func(n, joined node) int {
			return cmp.Compare(joined.weight, n.weight)
		})
		nodes = slices.Insert(nodes, at, joined)
	}
	slices.Sort(lengths)
	return lengths
}

// code is a Huffman code of n bits.
type code struct {
	bits uint32
	n    int
}

// codes returns the code of each symbol.
func (h huffman) codes() *[256]code {
	var codes [256]code
	next, at := uint32(0), 0
	for i, count := range h.counts {
		for range count {
			codes[h.symbols[at]] = code{next, i + 1}
			next++
			at++
		}
		next <<= 1
	}
	return &codes
}

// errCoefficients is what damaged entropy data ends in.
var errCoefficients = errors.New("the coded coefficients are cut short, too many or damaged")

// bitReader reads bits from the highest of each byte down.
type bitReader struct {
	b    []byte
	held uint64 // the lowest n bits are unread
	n    int
}

// peek returns the next n bits, up to 32, as if ones followed the end.
func (r *bitReader) peek(n int) uint32 {
	for r.n < n && len(r.b) > 0 {
		r.held, r.b, r.n = r.held<<8|uint64(r.b[0]), r.b[1:], r.n+8
	}
	if missing := n - r.n; missing > 0 {
		return uint32(r.held<<missing|(1<<missing-1)) & (1<<n - 1)
	}
	return uint32(r.held>>(r.n-n)) & (1<<n - 1)
}

func (r *bitReader) skip(n int) error {
	if n > r.n {
		return errCoefficients
	}
	r.n -= n
	return nil
}

func (r *bitReader) read(n int) (int, error) {
	v := r.peek(n)
	return int(v), r.skip(n)
}

// symbol decodes the next symbol.
func (h *huffman) symbol(r *bitReader) (byte, error) {
	window := int(r.peek(maxCodeBits))
	first, at := 0, 0 // the first code of the current length, and its symbol
	for i, count := range h.counts {
		nth := window>>(maxCodeBits-1-i) - first
		if nth < int(count) {
			return h.symbols[at+nth], r.skip(i + 1)
		}
		first = (first + int(count)) << 1
		at += int(count)
	}
	return 0, errCoefficients
}

// decodeCoefficients fills to, which holds zeros, with the quantised
// coefficients in the entropy data b, of which no whole byte may be left over.
func (h *huffman) decodeCoefficients(b []byte, to []int32) error {
	r := bitReader{b: b}
	for len(to) > 0 {
		s, err := h.symbol(&r)
		if err != nil {
			return err
		}
		value, run := 0, 1
		switch {
		case s >= 1 && s <= symRun:
			run = int(s)
		case s >= symSmall && s <= symLast:
			value = int(s) - symZero
		case s == symPlus8 || s == symMinus8:
			value, err = r.read(8)
		case s == symPlus16 || s == symMinus16:
			value, err = r.read(16)
		case s == symRun8:
			run, err = r.read(8)
		case s == symRun16:
			run, err = r.read(16)
		default:
			err = fmt.Errorf("the coded coefficients have an unknown symbol %d", s)
		}
		if err != nil {
			return err
		}
		if s == symMinus8 || s == symMinus16 {
			value = -value
		}
		if run < 1 || run > len(to) {
			return errCoefficients
		}
		to[0] = int32(value)
		to = to[run:]
	}
	if r.n+8*len(r.b) >= 8 {
		return errCoefficients
	}
	return nil
}

// symbols calls emit with each symbol that codes the coefficients, and with the
// bits that follow it.
func symbols(coefficients []int32, emit func(symbol byte, extra uint32, n int)) {
	run := 0
	flush := func() {
		for run > 0 {
			n := min(run, 1<<16-1)
			switch {
			case n <= symRun:
				emit(byte(n), 0, 0)
			case n < 1<<8:
				emit(symRun8, uint32(n), 8)
			default:
				emit(symRun16, uint32(n), 16)
			}
			run -= n
		}
	}
	for _, c := range coefficients {
		if c == 0 {
			run++
			continue
		}
		flush()
		switch {
		case c >= minSmall && c <= maxSmall:
			emit(byte(c+symZero), 0, 0)
		case c > 0 && c < 1<<8:
			emit(symPlus8, uint32(c), 8)
		case c < 0 && c > -1<<8:
			emit(symMinus8, uint32(-c), 8)
		case c > 0:
			emit(symPlus16, uint32(c), 16)
		default:
			emit(symMinus16, uint32(-c), 16)
		}
	}
	flush()
}

// encodeCoefficients appends the entropy data of the coefficients, with a zero
// behind each byte of ones.
func (h huffman) encodeCoefficients(b []byte, coefficients []int32) []byte {
	codes := h.codes()
	var held uint64
	n := 0
	put := func(v uint32, bits int) {
		held, n = held<<bits|uint64(v), n+bits
		for n >= 8 {
			n -= 8
			out := byte(held >> n)
			b = append(b, out)
			if out == 0xFF {
				b = append(b, 0)
			}
		}
	}
	symbols(coefficients, func(symbol byte, extra uint32, extraBits int) {
		put(codes[symbol].bits, codes[symbol].n)
		put(extra, extraBits)
	})
	if n > 0 {
		put(1<<(8-n)-1, 8-n)
	}
	return b
}
