package driver

// Abilities say what a scanner does by itself, so that nothing above asks
// which scanner it is. The zero value is a scanner that is asked for frames and
// gives them when something is on it.
type Abilities struct {
	// Streams: frames come at least three times a second, also with nothing there.
	// Above a scanner that does not, a preview shows its last frame and a prompt.
	Streams bool
	// Selects: the scanner waits for a good moment by itself, so that each frame is
	// worth keeping, and asks for the finger to be lifted before the next.
	Selects bool
	// Native lists what the sensor can take, the default first; empty if that is
	// known only from a frame.
	Native []Geometry
}

// A Hint is what the person at the scanner can do better.
type Hint uint8

// Hints have the meanings of the reject details of the common scanner
// interfaces.
const (
	HintNone       Hint = iota
	HintCentre          // not in the middle of the sensor
	HintHigher          // the finger or face is too low
	HintLower           // too high
	HintLeft            // should move to its left
	HintRight           // should move to its right
	HintCloser          // too far away, or pressed too lightly
	HintFarther         // too near, or pressed too hard
	HintLonger          // lifted too soon
	HintStill           // moved
	HintStraighten      // turned or skewed
	HintWrongHand       // the other hand, or the other eye
	HintFewer           // too many fingers or faces
	HintMore            // too few
	HintClean           // the sensor is dirty
	HintDry             // the finger is too wet
	HintMoisten         // the finger is too dry
	HintLift            // lift the finger, and put it down again
)

// A Signal is what an Indicator shows.
type Signal uint8

const (
	SignalIdle     Signal = iota // nothing is asked of anybody
	SignalWaiting                // the scanner waits for the person
	SignalAccepted               // that was good
	SignalRejected               // that was not, or it failed
)
