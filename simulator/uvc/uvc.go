// Package uvc has the twin of a camera of USB Video Class 1.0, which is plugged
// into a machine by USB/IP: for the kernel's own driver, and so for programs that
// take pictures from /dev/video0, it is a camera. It streams on a bulk endpoint,
// as some cameras do, since USB/IP carries isochronous ones badly.
package uvc

// A Camera says what to emulate. Members left zero have the default given.
type Camera struct {
	Vendor, Product     uint16 // 0: 1209:0003
	Make, Model, Serial string // "": sbid, Virtual UVC Camera, 0000000000C1
	Modes               []Mode // nil: MJPG and YUYV of 640x480
	Rate                int    // pictures a second; 0: 30
	// Emitter: the camera sees by near-infrared light of its own, which control 06
	// of Microsoft's extension unit switches. Without it no pictures come.
	Emitter bool
}

// A Mode is a kind of picture that the camera can send.
type Mode struct {
	Format        string // MJPG, YUYV, GREY, Y8I, Y10, Y12 or Y16
	Width, Height int    // pixels; an even width
}

// Stages of the camera's conversation, for Hold.
const (
	StageProbe   = "probe"   // it is asked for a format
	StageCommit  = "commit"  // it is told to begin
	StagePicture = "picture" // in the middle of a picture
)

// Faults of a Twin. Those that a driver must overcome:
const (
	CutSome    = "cut some"    // every other picture ends in the middle
	MarkSome   = "mark some"   // every other picture carries the error bit
	Garbage    = "garbage"     // bytes of nothing before each picture
	StallOnce  = "stall once"  // the stream's endpoint halts, once
	PadPicture = "pad picture" // zeros after each picture
)

// Those that it must give up on:
const (
	Silent     = "silent"      // no more pictures
	Refuse     = "refuse"      // streaming is refused
	Stall      = "stall"       // the stream's endpoint halts, again and again
	CutAll     = "cut all"     // every picture ends in the middle
	Nonsense   = "nonsense"    // pictures are noise
	OtherSize  = "other size"  // pictures are larger than agreed
	Endless    = "endless"     // a picture has no end
	ShortHeads = "short heads" // payloads with headers that are too short
)
