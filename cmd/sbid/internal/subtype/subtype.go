// Package subtype translates between positions and the names that SBI has for
// them, bioSubType.
package subtype

import (
	"fmt"
	"strings"

	"sbid/driver"
	"sbid/sbi"
)

// Unknown is what a capture for authentication may ask for and answer with when
// it does not matter which finger or eye it is.
const Unknown = "UNKNOWN"

// Name returns the bioSubType of a position, "" for the face.
func Name(p driver.Position) string { return sbi.SubType(p) }

// Position returns the position that a bioSubType means in modality m.
func Position(name string, m driver.Modality) (driver.Position, bool) { return sbi.PositionOf(name, m) }

// Parse reads what a person types: a bioSubType such as "Left RingFinger", or
// our own name such as left-ring. Letter case does not matter.
func Parse(s string) (driver.Position, error) {
	for p := range driver.FullFace { // in order: UNKNOWN is the finger first
		if strings.EqualFold(s, Name(p)) || strings.EqualFold(s, p.String()) {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%q is no finger or eye: write left-ring, right-thumb, left-iris or SBI's \"Left RingFinger\"", s)
}
