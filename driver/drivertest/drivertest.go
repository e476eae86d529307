// Package drivertest is the suite that every driver passes: what the daemon
// above relies on, tried on a twin of the scanner. A driver's own test is a
// Harness and a call of Run.
package drivertest

import (
	"image"
	"testing"
	"time"

	"sbid/driver"
)

// A Twin stands for one scanner and follows the suite's hand.
type Twin interface {
	// Plug and Unplug: a twin starts plugged in, and Unplug may come at any time.
	Plug() error
	Unplug()
	// Show lays a picture before the sensor; nil takes it away.
	Show(img image.Image)
	// Hold makes the scanner stop at a stage of its conversation until Release, or
	// until it is unplugged. The channel is closed when it gets there.
	Hold(stage string) <-chan struct{}
	Release()
	// Misbehave gives the scanner a fault; "" mends it.
	Misbehave(fault string)
	// Requests counts what the scanner was asked. It shows who spins.
	Requests() int
}

// A Harness says how to try a driver.
type Harness struct {
	// New returns a driver, and the twin of the one scanner that it can find. It
	// cleans up with t.Cleanup.
	New func(t testing.TB) (driver.Driver, Twin)
	// Picture is what is shown to the twin.
	Picture image.Image
	// Size is that of Frame.Image in pixels, Native and DPI are the frame's.
	Size   image.Point
	Native driver.Geometry
	DPI    int
	// Check compares the frame with the picture; nil: nothing is compared.
	Check func(t *testing.T, frame driver.Frame)

	// OpenStages are stages that Open passes, FrameStages those that Frames passes
	// with the picture shown.
	OpenStages, FrameStages []string
	// Mended are faults that the driver overcomes, Fatal those that it reports.
	Mended, Fatal []string
	// Streams: frames come with nothing on the scanner, too.
	Streams bool
	// Patience bounds what a test waits for; 0: 20 s.
	Patience time.Duration
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	if h.Patience == 0 {
		h.Patience = 20 * time.Second
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"probe", testProbe},
		{"open", testOpen},
		{"frame", testFrame},
		{"frames belong to the consumer", testOwnership},
		{"frames afresh", testAfresh},
		{"nothing there", testIdle},
		{"lifted and back", testLifted},
		{"leaks", testLeaks},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, h) })
	}
	stages := append(append([]string{}, h.OpenStages...), h.FrameStages...)
	for name, set := range map[string]struct {
		cases []string
		run   func(*testing.T, Harness, string)
	}{
		"cancel":   {stages, testCancel},
		"unplug":   {stages, testUnplug},
		"resume":   {h.FrameStages, testResume},
		"overcome": {h.Mended, testMended},
		"give up":  {h.Fatal, testFatal},
	} {
		for _, c := range set.cases {
			t.Run(name+"/"+c, func(t *testing.T) {
				t.Parallel() // they wait, mostly; what counts descriptors is over by now
				set.run(t, h, c)
			})
		}
	}
}
