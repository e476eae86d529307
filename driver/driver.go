// Package driver is the contract between sbid and the scanners it drives. A
// vendor reads this package, writes one folder beside it and runs the suite of
// package drivertest. It imports the standard library only.
package driver

import (
	"context"
	"image"
	"iter"
)

// A Driver finds and opens one family of scanners. It is safe for concurrent
// use.
type Driver interface {
	// ID names the family in configuration and logs: lower case, no blanks.
	ID() string
	// Probe lists what is plugged in now. Finding nothing is not an error.
	Probe(ctx context.Context) ([]Info, error)
	// Open takes hold of the scanner at addr, an Info.Addr of Probe. It fails
	// with ErrRemoved when nothing is there any more.
	Open(ctx context.Context, addr string) (Scanner, error)
}

// A Watcher is a Driver that notices plugging by itself. Drivers without it
// are polled.
type Watcher interface {
	// Watch calls changed after every arrival and removal until ctx ends, and
	// returns when it will call no more. A call without
	// cause does no harm: one when it begins to listen tells what came just before.
	Watch(ctx context.Context, changed func())
}

// A Scanner is one open scanner, used by one goroutine at a time: package
// capture sees to that, so a driver needs no locks.
type Scanner interface {
	// Frames yields what the scanner sees, for as long as the consumer wants
	// frames and ctx lasts. If it ends by itself, the last value carries the
	// error that says why; when ctx ends it may just stop. It returns within a
	// second of the end of ctx, and a later call starts afresh. A frame belongs
	// to the consumer: the driver never writes to its pixels again.
	Frames(ctx context.Context, want Target) iter.Seq2[Frame, error]
	// Close gives the scanner back. It is called once and returns within a second.
	Close() error
}

// An Indicator is a Scanner with lights or sounds for the person at it.
type Indicator interface {
	// Indicate shows a signal until the next one. It is called by whoever
	// consumes the frames, also between two of them, and does not wait for the
	// person. A signal that the scanner does not have is ignored.
	Indicate(ctx context.Context, signal Signal) error
}

// Info describes a scanner that is plugged in.
type Info struct {
	Addr     string // where it is: unique within its driver, stable while plugged in
	Path     string // the socket it is plugged into, the same after a restart, like usb:1-2.3; "" if there is none
	Serial   string // the maker's serial number, "" if the scanner does not tell
	Make     string // the maker's name
	Model    string // the maker's name for this type
	Firmware string // version of the scanner's own software, "" if unknown

	Modality Modality
	Sensors  []Sensor // what one capture can cover, in ascending order

	// Technology is the capture device technology code of the record that
	// this modality is kept in: ISO/IEC 19794-4, -5 or -6 (2011). 0 is unknown.
	Technology byte

	Abilities Abilities
}

// A Target says what a capture is after.
type Target struct {
	Sensor    Sensor
	Positions []Position // at least one; what the person does not have is left out
	// Exceptions are the positions the person does not have. With Face among
	// Positions they make the capture an exception photo: one face in the frame
	// and both hands beside it (MOSIP biometric image specification).
	Exceptions []Position
}

// A Frame is one image from a scanner. Either Image or Parts is set.
type Frame struct {
	// Image is all that the platen or the lens saw: *image.Gray with 0 for black
	// (ridges, pupils) for fingers and irises, *image.RGBA without transparency
	// for faces. Rows run from the top of the scene; a camera is not mirrored.
	Image image.Image
	// Parts replaces Image for scanners that cut the scene themselves.
	Parts []Part
	// DPI is the sampling rate of fingerprint pixels in pixels per inch.
	DPI int
	// Native is what the sensor took where the driver resampled it to make
	// Image; zero where Image is just that.
	Native Geometry
	// Hints are what the scanner would tell the person. A frame may have hints
	// alone: the scanner saw something that is not worth an image, and tries again.
	Hints []Hint
}

// A Part is what a scanner that cuts by itself found at one position.
type Part struct {
	Position Position
	Image    image.Image // as Frame.Image
}

// A Registry holds the drivers of a program by their ID.
type Registry map[string]Driver

// NewRegistry panics if two drivers share an ID, which is a bug in the program.
func NewRegistry(drivers ...Driver) Registry {
	r := Registry{}
	for _, d := range drivers {
		if r[d.ID()] != nil {
			panic("driver: two drivers called " + d.ID())
		}
		r[d.ID()] = d
	}
	return r
}
