// Package subtype translates between positions and the names that SBI has for
// them, bioSubType.
package subtype

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sbid/driver"
)

// Unknown is what a capture for authentication may ask for and answer with when
// it does not matter which finger or eye it is.
const Unknown = "UNKNOWN"

// names has no entry for the face, which has no bioSubType.
var names = map[driver.Position]string{
	driver.UnknownFinger: Unknown,
	driver.RightThumb:    "Right Thumb",
	driver.RightIndex:    "Right IndexFinger",
	driver.RightMiddle:   "Right MiddleFinger",
	driver.RightRing:     "Right RingFinger",
	driver.RightLittle:   "Right LittleFinger",
	driver.LeftThumb:     "Left Thumb",
	driver.LeftIndex:     "Left IndexFinger",
	driver.LeftMiddle:    "Left MiddleFinger",
	driver.LeftRing:      "Left RingFinger",
	driver.LeftLittle:    "Left LittleFinger",
	driver.UnknownIris:   Unknown,
	driver.RightIris:     "Right",
	driver.LeftIris:      "Left",
}

// Name returns the bioSubType of a position, "" for the face.
func Name(p driver.Position) string { return names[p] }

// Position returns the position that a bioSubType means in modality m.
func Position(name string, m driver.Modality) (driver.Position, bool) {
	if m == driver.Face {
		return driver.FullFace, name == ""
	}
	for p, n := range names {
		if n == name && p.Modality() == m {
			return p, true
		}
	}
	return 0, false
}

// Parse reads what a person types: a bioSubType such as "Left RingFinger", or
// our own name such as left-ring. Letter case does not matter.
func Parse(s string) (driver.Position, error) {
	for _, p := range slices.Sorted(maps.Keys(names)) { // UNKNOWN is the finger first
		if strings.EqualFold(s, names[p]) || strings.EqualFold(s, p.String()) {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%q is no finger or eye: write left-ring, right-thumb, left-iris or SBI's \"Left RingFinger\"", s)
}
