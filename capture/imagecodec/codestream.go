package imagecodec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Markers of a JPEG 2000 codestream: ISO/IEC 15444-1 annex A.
const (
	markSOC = 0xFF4F // start of codestream
	markSIZ = 0xFF51 // size of the picture and its tiles
	markCOD = 0xFF52 // coding style
	markCOC = 0xFF53 // coding style of one component
	markTLM = 0xFF55 // lengths of tile-parts
	markPLM = 0xFF57 // lengths of packets, main header
	markPLT = 0xFF58 // lengths of packets, tile-part header
	markQCD = 0xFF5C // quantisation
	markQCC = 0xFF5D // quantisation of one component
	markRGN = 0xFF5E // region of interest
	markPOC = 0xFF5F // change of progression order
	markPPM = 0xFF60 // packet headers, main header
	markPPT = 0xFF61 // packet headers, tile-part header
	markCRG = 0xFF63 // where components lie
	markCOM = 0xFF64 // comment
	markSOT = 0xFF90 // start of tile-part
	markSOD = 0xFF93 // start of data
	markEOC = 0xFFD9 // end of codestream
)

// What a codestream can make OpenJPEG allocate besides samples. Each of these
// costs it some hundred bytes; the largest picture with usual settings (one
// tile, blocks of 64x64, maximal precincts) needs a tenth.
const (
	maxTiles   = 1 << 12
	maxBlocks  = 1 << 18 // code blocks and precincts
	maxPackets = 1 << 22
)

// A codestream is what the headers of a JPEG 2000 codestream tell.
type codestream struct {
	width, height, components int
	reversible                bool // the 5/3 wavelet everywhere

	tiles                 int
	tileWidth, tileHeight int
	layers                int // the most of any tile
	blocks                int // code blocks and precincts of the component with the most
	packets               int // per layer, of the component with the most
}

// parseCodestream walks the headers of b up to its end. It admits what part 1
// of the standard has, in pictures of 8 bits without subsampling whose origin
// is (0, 0), and refuses what would take too much memory to decode.
func parseCodestream(b []byte) (codestream, error) {
	cs := codestream{reversible: true}
	r := segments{rest: b}
	if r.marker() != markSOC || r.marker() != markSIZ {
		return codestream{}, errors.New("the codestream does not begin with SOC and SIZ")
	}
	if err := cs.parseSIZ(r.segment()); err != nil {
		return codestream{}, err
	}
	mark, err := cs.parseHeader(&r, markTLM, markPLM, markPPM, markCRG)
	if err != nil {
		return codestream{}, err
	}
	if cs.layers == 0 {
		return codestream{}, errors.New("the main header has no coding style (COD)")
	}
	if mark != markSOT {
		return codestream{}, fmt.Errorf("marker %04X where a tile-part should start", mark)
	}
	seen := make([]bool, cs.tiles)
	for mark == markSOT {
		tile, part, err := r.tilePart()
		if err != nil {
			return codestream{}, err
		}
		if tile >= cs.tiles {
			return codestream{}, fmt.Errorf("tile %d: the picture has %d", tile, cs.tiles)
		}
		seen[tile] = true
		end, err := cs.parseHeader(&part, markPLT, markPPT)
		if err != nil {
			return codestream{}, err
		}
		if end != markSOD {
			return codestream{}, fmt.Errorf("marker %04X where the data of a tile-part should start", end)
		}
		mark = r.marker()
	}
	if mark != markEOC {
		return codestream{}, errors.New("the codestream has no end: it is cut short or damaged")
	}
	if i := slices.Index(seen, false); i >= 0 {
		return codestream{}, fmt.Errorf("tile %d of %d is missing", i, cs.tiles)
	}
	if cs.blocks*cs.components > maxBlocks || cs.packets*cs.components*cs.layers > maxPackets {
		return codestream{}, fmt.Errorf("%d code blocks and precincts, %d packets of %d layers a component: too many to decode",
			cs.blocks, cs.packets, cs.layers)
	}
	return cs, nil
}

// parseHeader reads the segments of a main or tile-part header, of which some
// only have their place in one of the two, and returns the marker behind them.
func (cs *codestream) parseHeader(r *segments, also ...int) (int, error) {
	for {
		mark := r.marker()
		switch mark {
		case markSOT, markSOD, markEOC:
			return mark, nil
		case markCOD:
			if err := cs.parseCOD(r.segment()); err != nil {
				return 0, err
			}
		case markCOC:
			if err := cs.parseCOC(r.segment()); err != nil {
				return 0, err
			}
		case markQCD, markQCC, markRGN, markPOC, markCOM:
			r.segment()
		default:
			if !slices.Contains(also, mark) {
				return 0, fmt.Errorf("marker %04X is unknown or out of place", mark)
			}
			r.segment()
		}
		if r.short {
			return 0, fmt.Errorf("segment %04X is cut short", mark)
		}
	}
}

func (cs *codestream) parseSIZ(s []byte) error {
	if len(s) < 36 {
		return errors.New("the size segment (SIZ) is cut short")
	}
	u32 := func(at int) int64 { return int64(binary.BigEndian.Uint32(s[at:])) }
	width, height := u32(2), u32(6)
	tileWidth, tileHeight := u32(18), u32(22)
	if u32(10)|u32(14)|u32(26)|u32(30) != 0 {
		return errors.New("a picture whose origin is not (0, 0) is not supported")
	}
	cs.components = int(binary.BigEndian.Uint16(s[34:]))
	if cs.components != 1 && cs.components != 3 {
		return fmt.Errorf("%d components: want 1 or 3", cs.components)
	}
	if width > MaxSamples || height > MaxSamples || tileWidth == 0 || tileHeight == 0 {
		return fmt.Errorf("%dx%d pixels in tiles of %dx%d are not supported", width, height, tileWidth, tileHeight)
	}
	cs.width, cs.height = int(width), int(height)
	if err := checkSize(cs.width, cs.height, cs.components); err != nil {
		return err
	}
	if want := bytes.Repeat([]byte{7, 1, 1}, cs.components); !bytes.Equal(s[36:], want) {
		return fmt.Errorf("components of depth and subsampling % x: want % x (8 bits unsigned, none)", s[36:], want)
	}
	cs.tileWidth, cs.tileHeight = int(min(tileWidth, width)), int(min(tileHeight, height))
	cs.tiles = ceilDiv(cs.width, cs.tileWidth) * ceilDiv(cs.height, cs.tileHeight)
	if cs.tiles > maxTiles {
		return fmt.Errorf("%d tiles: want at most %d", cs.tiles, maxTiles)
	}
	return nil
}

func (cs *codestream) parseCOD(s []byte) error {
	if len(s) < 10 {
		return errors.New("a coding style (COD) is cut short")
	}
	layers := int(binary.BigEndian.Uint16(s[2:]))
	if layers == 0 {
		return errors.New("a coding style (COD) without layers")
	}
	cs.layers = max(cs.layers, layers)
	return cs.parseStyle(s[0], s[5:])
}

func (cs *codestream) parseCOC(s []byte) error {
	if len(s) < 7 {
		return errors.New("a coding style (COC) is cut short")
	}
	return cs.parseStyle(s[1], s[2:])
}

// parseStyle reads what COD and COC share (A.6.1), and adds up what it costs to
// decode one component in that style.
func (cs *codestream) parseStyle(style byte, s []byte) error {
	levels, blockWidth, blockHeight := int(s[0]), int(s[1])+2, int(s[2])+2
	if levels > 32 || blockWidth > 10 || blockHeight > 10 || blockWidth+blockHeight > 12 {
		return fmt.Errorf("%d wavelet levels, code blocks of 2^%d by 2^%d: not in the standard", levels, blockWidth, blockHeight)
	}
	if s[3] > 0x3F || s[4] > 1 {
		return fmt.Errorf("code block style %02x, wavelet %d: not in part 1 of the standard", s[3], s[4])
	}
	cs.reversible = cs.reversible && s[4] == 1

	precincts := s[5:]
	if style&1 == 0 {
		precincts = bytes.Repeat([]byte{0xFF}, levels+1) // maximal: 2^15 either way
	}
	if len(precincts) != levels+1 {
		return fmt.Errorf("%d precinct sizes for %d resolutions", len(precincts), levels+1)
	}
	blocks, most := 0, 0
	for i, size := range precincts {
		width, height := ceilShift(cs.tileWidth, levels-i), ceilShift(cs.tileHeight, levels-i)
		precinctWidth, precinctHeight := int(size&15), int(size>>4)
		// Above the lowest resolution a precinct covers three subbands of half
		// its size. One more row and column, as tiles need not begin on the grid.
		halved := min(i, 1)
		if min(precinctWidth, precinctHeight) < halved {
			return fmt.Errorf("precincts of 2^%d by 2^%d: not in the standard", precinctWidth, precinctHeight)
		}
		n := (ceilShift(width, precinctWidth) + 1) * (ceilShift(height, precinctHeight) + 1)
		blocks += n + (ceilShift(width, min(blockWidth, precinctWidth-halved))+1)*
			(ceilShift(height, min(blockHeight, precinctHeight-halved))+1)
		most = max(most, n)
	}
	cs.blocks = max(cs.blocks, cs.tiles*blocks)
	cs.packets = max(cs.packets, (levels+1)*most)
	return nil
}

// segments reads a codestream marker by marker.
type segments struct {
	rest  []byte
	short bool // a read went beyond the end
}

// marker returns the next marker, or 0 at the end.
func (r *segments) marker() int {
	if len(r.rest) < 2 {
		r.short = true
		return 0
	}
	m := int(binary.BigEndian.Uint16(r.rest))
	r.rest = r.rest[2:]
	return m
}

// segment returns the parameters behind a marker, without their length.
func (r *segments) segment() []byte {
	if len(r.rest) < 2 {
		r.short = true
		return nil
	}
	n := int(binary.BigEndian.Uint16(r.rest))
	if n < 2 || n > len(r.rest) {
		r.short = true
		return nil
	}
	s := r.rest[2:n]
	r.rest = r.rest[n:]
	return s
}

// tilePart returns the tile-part whose SOT marker was just read, from behind
// its first segment, and the number of its tile.
func (r *segments) tilePart() (tile int, part segments, err error) {
	const sot = 12 // marker and segment
	s := segments{rest: r.rest}
	head := s.segment()
	if len(head) != sot-4 {
		return 0, segments{}, errors.New("the start of a tile-part (SOT) is damaged")
	}
	// The length counts from the marker on; in the last tile-part it may be 0,
	// for all but the end of the codestream.
	n := int64(binary.BigEndian.Uint32(head[2:])) - 2
	if n == -2 {
		n = int64(len(r.rest)) - 2
	}
	if n < sot-2 || n > int64(len(r.rest)) {
		return 0, segments{}, fmt.Errorf("a tile-part is %d bytes long where %d are left: the codestream is cut short or damaged", n+2, len(r.rest)+2)
	}
	part = segments{rest: r.rest[sot-2 : n]}
	r.rest = r.rest[n:]
	return int(binary.BigEndian.Uint16(head)), part, nil
}

// padCodestream returns b with n bytes more of comment (COM) in its main
// header, which decoders skip. Of n, less than a segment takes is rounded up.
func padCodestream(b []byte, n int) []byte {
	const (
		head    = 6                  // marker, length, kind of comment
		longest = 2 + math.MaxUint16 // a segment with its marker
	)
	siz := 4 + int(binary.BigEndian.Uint16(b[4:])) // the main header has SIZ first
	out := bytes.Clone(b[:siz])
	for n > 0 {
		size := max(head, min(n, longest))
		if left := n - size; left > 0 && left < head {
			size -= head
		}
		out = binary.BigEndian.AppendUint16(out, markCOM)
		out = binary.BigEndian.AppendUint16(out, uint16(size-2))
		out = append(out, make([]byte, size-4)...) // kind 0: binary
		n -= size
	}
	return append(out, b[siz:]...)
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// ceilShift returns a / 2^n, rounded up.
func ceilShift(a, n int) int { return (a + 1<<n - 1) >> n }
