// Package serial has the twins of fingerprint modules on serial lines: programs
// that answer on a pseudo-terminal byte for byte as the modules do, at their
// worst, too. Drivers open them like any port. Linux only: other systems have
// no pseudo-terminals that pass for serial ports.
package serial

// Faults of a Twin. Those that a driver must overcome:
const (
	Split      = "split"       // writes end anywhere in a packet
	Noise      = "noise"       // a stray 55 before every answer
	BadOnce    = "bad once"    // the next packet from the module is damaged
	LostByte   = "lost byte"   // the next image lacks a byte
	BadRequest = "bad request" // the next command arrives damaged
)

// Those that it must give up on:
const (
	Silent      = "silent"       // hears, and answers nothing
	Babble      = "babble"       // noise without end
	BadChecksum = "bad checksum" // on every packet
	CutImage    = "cut image"    // every image ends in the middle
	LongImage   = "long image"   // images have no end
	BadLength   = "bad length"   // answers of impossible lengths
	BadSensor   = "bad sensor"   // the module reports a fault
)
