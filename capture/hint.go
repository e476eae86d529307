package capture

import "sbid/driver"

// A Hint is what the person at the scanner should do next.
type Hint uint8

// The hints from PlaceRightThumb on are those of the ten fingers, in the order
// of driver.Position.
const (
	NoHint Hint = iota
	PlaceFingers
	SpreadFingers
	LiftOthers
	MoveToMiddle
	Straighten
	OtherHand
	LookHere
	OneFace
	MoveUp
	MoveDown
	MoveLeft
	MoveRight
	ComeCloser
	StepBack
	PressFirmly
	PressLightly
	LeaveLonger
	KeepStill
	CleanGlass
	DryFinger
	MoistenFinger
	LiftFinger
	PlaceRightThumb
	PlaceRightIndex
	PlaceRightMiddle
	PlaceRightRing
	PlaceRightLittle
	PlaceLeftThumb
	PlaceLeftIndex
	PlaceLeftMiddle
	PlaceLeftRing
	PlaceLeftLittle
)

// prompt is what is asked of the person while nothing is on the scanner.
func prompt(target driver.Target) Hint {
	first := target.Positions[0]
	switch {
	case first.Modality() != driver.Finger:
		return LookHere
	case len(target.Positions) == 1 && first != driver.UnknownFinger:
		return PlaceRightThumb + Hint(first-driver.RightThumb)
	}
	return PlaceFingers
}

// advice is what a scanner's own hint asks of the person.
func advice(h driver.Hint, target driver.Target) Hint {
	finger := target.Positions[0].Modality() == driver.Finger
	either := func(ofFinger, other Hint) Hint {
		if finger {
			return ofFinger
		}
		return other
	}
	switch h {
	case driver.HintCentre:
		return either(MoveToMiddle, LookHere)
	case driver.HintHigher:
		return MoveUp
	case driver.HintLower:
		return MoveDown
	case driver.HintLeft:
		return MoveLeft
	case driver.HintRight:
		return MoveRight
	case driver.HintCloser:
		return either(PressFirmly, ComeCloser)
	case driver.HintFarther:
		return either(PressLightly, StepBack)
	case driver.HintLonger:
		return either(LeaveLonger, KeepStill)
	case driver.HintStill:
		return KeepStill
	case driver.HintStraighten:
		return either(Straighten, LookHere)
	case driver.HintWrongHand:
		return either(OtherHand, LookHere)
	case driver.HintFewer:
		return either(LiftOthers, OneFace)
	case driver.HintMore:
		return either(prompt(target), LookHere)
	case driver.HintClean:
		return CleanGlass
	case driver.HintDry:
		return DryFinger
	case driver.HintMoisten:
		return MoistenFinger
	case driver.HintLift:
		return LiftFinger
	}
	return NoHint
}
