package driver

import (
	"fmt"
	"slices"
)

// A Modality is a kind of biometric.
type Modality uint8

const (
	Finger Modality = iota + 1
	Iris
	Face
)

// String returns the SBI name of the modality: Finger, Iris or Face.
func (m Modality) String() string {
	switch m {
	case Finger:
		return "Finger"
	case Iris:
		return "Iris"
	case Face:
		return "Face"
	}
	return fmt.Sprintf("Modality(%d)", uint8(m))
}

// A Sensor is the part of a scanner that one capture uses; its value is the
// deviceSubId of SBI.
type Sensor uint8

const (
	Single Sensor = iota // the whole of a scanner that takes one finger, eye or face at a time
	Left                 // the left four fingers, or the left eye
	Right                // the right four fingers, or the right eye
	Both                 // two thumbs, or both eyes
)

// A Position is a finger, an eye or the face. The values of fingers are the
// finger position codes of ISO/IEC 19794-4:2011, table 5.
type Position uint8

const (
	UnknownFinger Position = iota
	RightThumb
	RightIndex
	RightMiddle
	RightRing
	RightLittle
	LeftThumb
	LeftIndex
	LeftMiddle
	LeftRing
	LeftLittle
	UnknownIris
	RightIris
	LeftIris
	FullFace
)

var positionNames = [...]string{
	"unknown-finger",
	"right-thumb", "right-index", "right-middle", "right-ring", "right-little",
	"left-thumb", "left-index", "left-middle", "left-ring", "left-little",
	"unknown-iris", "right-iris", "left-iris",
	"face",
}

// String returns the position as in file names and logs: left-index,
// right-iris, face.
func (p Position) String() string {
	if int(p) < len(positionNames) {
		return positionNames[p]
	}
	return fmt.Sprintf("Position(%d)", uint8(p))
}

// ParsePosition is the inverse of String.
func ParsePosition(s string) (Position, error) {
	if i := slices.Index(positionNames[:], s); i >= 0 {
		return Position(i), nil
	}
	return 0, fmt.Errorf("no finger, eye or face is called %q", s)
}

// Modality returns what kind of biometric is at p.
func (p Position) Modality() Modality {
	switch {
	case p <= LeftLittle:
		return Finger
	case p <= LeftIris:
		return Iris
	}
	return Face
}

// Positions returns what the sensor of a scanner of modality m covers, in the
// order in which SBI lists captures: index to little, left before right. For a
// single finger or eye that is every one it could be.
func (m Modality) Positions(s Sensor) []Position {
	switch {
	case m == Face:
		return []Position{FullFace}
	case m == Finger && s == Left:
		return []Position{LeftIndex, LeftMiddle, LeftRing, LeftLittle}
	case m == Finger && s == Right:
		return []Position{RightIndex, RightMiddle, RightRing, RightLittle}
	case m == Finger && s == Both:
		return []Position{LeftThumb, RightThumb}
	case m == Finger:
		return []Position{
			LeftIndex, LeftMiddle, LeftRing, LeftLittle, LeftThumb,
			RightIndex, RightMiddle, RightRing, RightLittle, RightThumb,
		}
	case s == Left:
		return []Position{LeftIris}
	case s == Right:
		return []Position{RightIris}
	}
	return []Position{LeftIris, RightIris}
}
