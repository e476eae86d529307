package v4l2

import (
	"fmt"
	"image"
	"slices"
	"strings"

	"sbid/driver"
)

// maxSide bounds a picture in pixels along either side.
const maxSide = 8192

// A format is a way in which cameras send pixels.
type format struct {
	fourcc uint32
	name   string
	colour bool
	bytes  int // for each pixel; 0: compressed
	shift  int // of a grey sample of 16 bits to 8; only where bytes is 2
	depth  int // bits of a sample
}

// formats are those that this driver reads, least compressed first.
var formats = []format{
	{fourcc("GREY"), "GREY", false, 1, 0, 8},
	{fourcc("Y16 "), "Y16", false, 2, 8, 16},
	{fourcc("Y12 "), "Y12", false, 2, 4, 12},
	{fourcc("Y10 "), "Y10", false, 2, 2, 10},
	{fourcc("Y8I "), "Y8I", false, 2, 0, 8}, // two sensors, pixel by pixel: the left one is taken
	{fourcc("YUYV"), "YUYV", true, 2, 0, 8},
	{fourcc("MJPG"), "MJPG", true, 0, 0, 8},
}

// fourcc is a four-character code as V4L2 has it.
func fourcc(s string) uint32 {
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

// formatNamed returns nil for a format that is not known.
func formatNamed(name string) *format {
	i := slices.IndexFunc(formats, func(f format) bool { return strings.EqualFold(f.name, name) })
	if i < 0 {
		return nil
	}
	return &formats[i]
}

func formatOf(fourcc uint32) *format {
	i := slices.IndexFunc(formats, func(f format) bool { return f.fourcc == fourcc })
	if i < 0 {
		return nil
	}
	return &formats[i]
}

// A mode is something that a camera can send.
type mode struct {
	format *format
	size   image.Point
	rate   float64 // pictures a second; 0 is unknown
}

func (m mode) String() string {
	return fmt.Sprintf("%s %dx%d at %.0f a second", m.format.name, m.size.X, m.size.Y, m.rate)
}

// compressedLast weighs formats for eyes: detail counts.
func compressedLast(f *format) int {
	return slices.IndexFunc(formats, func(g format) bool { return f.fourcc == g.fourcc })
}

// largestFace bounds what is chosen by itself for faces: more pixels cost time and
// show no more of a face.
var largestFace = image.Pt(1920, 1080)

// choose returns what to have the camera send. The error lists what there is.
func (c *Camera) choose(modes []mode) (mode, error) {
	face := c.Type != "iris"
	rank := compressedLast
	if face {
		rank = func(f *format) int { return -compressedLast(f) }
	}
	fits := func(m mode) bool {
		switch {
		case face && !m.format.colour, c.Format != "" && !strings.EqualFold(m.format.name, c.Format):
			return false
		case c.Width > 0:
			return m.size == image.Pt(c.Width, c.Height)
		}
		return !face || m.size.X <= largestFace.X && m.size.Y <= largestFace.Y
	}
	slow := func(m mode) bool { return m.rate > 0 && m.rate < float64(c.Rate)-0.5 }
	better := func(a, b mode) bool {
		areaA, areaB := a.size.X*a.size.Y, b.size.X*b.size.Y
		switch {
		case slow(a) != slow(b):
			return slow(b)
		case areaA != areaB:
			return areaA > areaB
		case rank(a.format) != rank(b.format):
			return rank(a.format) < rank(b.format)
		}
		return a.rate > b.rate
	}
	var best mode
	for _, m := range modes {
		if fits(m) && (best.format == nil || better(m, best)) {
			best = m
		}
	}
	if best.format == nil {
		return mode{}, fmt.Errorf("the camera has no such pictures of a %s; it has %v", c.Type, modes)
	}
	return best, nil
}

// native lists the sizes that the camera can send in the format of m, that of m
// first.
func native(m mode, modes []mode) []driver.Geometry {
	geometry := func(p image.Point) driver.Geometry {
		return driver.Geometry{Width: p.X, Height: p.Y, Depth: m.format.depth}
	}
	all := []driver.Geometry{geometry(m.size)}
	for _, other := range modes {
		if g := geometry(other.size); other.format == m.format && !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	return all
}
