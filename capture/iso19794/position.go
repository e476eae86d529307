package iso19794

import (
	"fmt"

	"sbid/driver"
)

// FingerPosition is a finger, a group of fingers or a part of the palm. 0 to 10
// have the values of [driver.Position].
type FingerPosition byte

const (
	UnknownFinger = FingerPosition(driver.UnknownFinger)
	RightThumb    = FingerPosition(driver.RightThumb)
	RightIndex    = FingerPosition(driver.RightIndex)
	RightMiddle   = FingerPosition(driver.RightMiddle)
	RightRing     = FingerPosition(driver.RightRing)
	RightLittle   = FingerPosition(driver.RightLittle)
	LeftThumb     = FingerPosition(driver.LeftThumb)
	LeftIndex     = FingerPosition(driver.LeftIndex)
	LeftMiddle    = FingerPosition(driver.LeftMiddle)
	LeftRing      = FingerPosition(driver.LeftRing)
	LeftLittle    = FingerPosition(driver.LeftLittle)

	RightFourFingers FingerPosition = 13
	LeftFourFingers  FingerPosition = 14
	TwoThumbs        FingerPosition = 15

	UnknownPalm       FingerPosition = 20
	RightFullPalm     FingerPosition = 21
	RightWritersPalm  FingerPosition = 22
	LeftFullPalm      FingerPosition = 23
	LeftWritersPalm   FingerPosition = 24
	RightLowerPalm    FingerPosition = 25
	RightUpperPalm    FingerPosition = 26
	LeftLowerPalm     FingerPosition = 27
	LeftUpperPalm     FingerPosition = 28
	RightOtherPalm    FingerPosition = 29
	LeftOtherPalm     FingerPosition = 30
	RightInterdigital FingerPosition = 31
	RightThenar       FingerPosition = 32
	RightHypothenar   FingerPosition = 33
	LeftInterdigital  FingerPosition = 34
	LeftThenar        FingerPosition = 35
	LeftHypothenar    FingerPosition = 36

	RightIndexMiddle      FingerPosition = 40
	RightMiddleRing       FingerPosition = 41
	RightRingLittle       FingerPosition = 42
	LeftIndexMiddle       FingerPosition = 43
	LeftMiddleRing        FingerPosition = 44
	LeftRingLittle        FingerPosition = 45
	RightIndexLeftIndex   FingerPosition = 46
	RightIndexMiddleRing  FingerPosition = 47
	RightMiddleRingLittle FingerPosition = 48
	LeftIndexMiddleRing   FingerPosition = 49
	LeftMiddleRingLittle  FingerPosition = 50
)

// String returns the name that package driver has for one finger, and the code
// of anything else.
func (p FingerPosition) String() string {
	if p <= LeftLittle {
		return driver.Position(p).String()
	}
	return fmt.Sprintf("finger-position-%d", byte(p))
}

func (p FingerPosition) defined() bool {
	switch {
	case p <= LeftLittle, p >= RightFourFingers && p <= TwoThumbs:
		return true
	}
	return p >= UnknownPalm && p <= LeftHypothenar || p >= RightIndexMiddle && p <= LeftMiddleRingLittle
}

// EyeLabelOf returns the label of an iris position, and false for others.
func EyeLabelOf(p driver.Position) (EyeLabel, bool) {
	switch p {
	case driver.UnknownIris:
		return EyeUndefined, true
	case driver.RightIris:
		return RightEye, true
	case driver.LeftIris:
		return LeftEye, true
	}
	return 0, false
}

// position is the inverse of EyeLabelOf.
func (e EyeLabel) position() (driver.Position, bool) {
	switch e {
	case EyeUndefined:
		return driver.UnknownIris, true
	case RightEye:
		return driver.RightIris, true
	case LeftEye:
		return driver.LeftIris, true
	}
	return 0, false
}
