// Package usb has the twins of fingerprint readers on USB: devices that answer
// byte for byte as the readers do, at their worst, too. A Socket says where they
// are plugged in: into this machine's kernel, or into a host controller in the
// process of a test.
package usb

// Stages where a twin can be held.
const (
	StageStart   = "start"   // the first request of starting up
	StageFinger  = "finger"  // it is asked to look for a finger
	StageCapture = "capture" // it is asked for a picture
	StageImage   = "image"   // in the middle of one
)

// Faults of a Twin. Those that a driver must overcome:
const (
	EmptyOnce = "empty once" // the next picture is an empty transfer
	TallOnce  = "tall once"  // the next picture claims too many lines
	ShortOnce = "short once" // the next picture lacks its end
	StallOnce = "stall once" // the next read of a picture is refused
	FailOnce  = "fail once"  // the reader reports a failed scan, once
	HungOnce  = "hung once"  // it is found in the state that hangs keyboards
)

// Those that it must give up on:
const (
	Silent    = "silent"     // answers nothing
	Refuse    = "refuse"     // refuses every request
	Babble    = "babble"     // sends more than it is asked for
	Endless   = "endless"    // pictures of nonsense without end
	CutImage  = "cut image"  // every picture lacks its end
	BadHeader = "bad header" // lengths and counts that cannot be
	NoPower   = "no power"   // never comes up
	NoImage   = "no image"   // never sends a picture
)
