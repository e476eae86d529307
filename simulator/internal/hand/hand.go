// Package hand is the hand of a test on the twin of a scanner: it stops the twin
// in the middle of its conversation, gives it faults, and lays pictures before
// its sensor.
package hand

import (
	"image"
	"image/color"
	"image/draw"
	"sync"
)

// A Hand is on one twin. The test calls Hold, Release, Misbehave and Requests;
// the twin asks what the test wants of it by the other methods. They may be called
// from any goroutine, and never wait. The zero value lets the twin be.
type Hand struct {
	mu       sync.Mutex
	fault    string
	changed  chan struct{} // closed when fault changes; nil until somebody asks
	held     string        // the stage to stop at
	reached  chan struct{} // closed there
	released chan struct{} // closed by Release
	requests int
}

// Hold makes the twin stop at a stage of its conversation, until Release. The
// channel is closed when it gets there.
func (h *Hand) Hold(stage string) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.release()
	h.held, h.reached, h.released = stage, make(chan struct{}), make(chan struct{})
	return h.reached
}

// Release lets the twin go on where it stopped.
func (h *Hand) Release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.release()
}

func (h *Hand) release() {
	if h.held != "" {
		close(h.released)
		h.held = ""
	}
}

// At tells the test that the twin got to a stage. Where it shall stop there, the
// channel is closed when it may go on, else there is none.
func (h *Hand) At(stage string) (released <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if stage == "" || h.held != stage {
		return nil
	}
	select {
	case <-h.reached:
	default:
		close(h.reached)
	}
	return h.released
}

// Misbehave gives the twin a fault; "" mends it.
func (h *Hand) Misbehave(fault string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = fault
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// Fault is what the twin suffers from, or "".
func (h *Hand) Fault() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fault
}

// Has reports whether the twin has a fault.
func (h *Hand) Has(fault string) bool { return h.Fault() == fault }

// Once reports whether the twin has a fault that happens once, and mends it.
func (h *Hand) Once(fault string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fault != fault {
		return false
	}
	h.fault = ""
	return true
}

// Changed is closed by the next Misbehave. Who waits for a fault asks for it
// before looking at the fault.
func (h *Hand) Changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	return h.changed
}

// Asked counts a request to the twin.
func (h *Hand) Asked() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests++
}

// Requests is how many the twin was asked.
func (h *Hand) Requests() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.requests
}

// Lay makes what a sensor sees of a picture that lies before it: centred and cut
// to its size, on a ground; nil is the ground alone.
func Lay(seen draw.Image, img image.Image, ground color.Color) {
	size := seen.Bounds()
	draw.Draw(seen, size, image.NewUniform(ground), image.Point{}, draw.Src)
	if img != nil {
		b := img.Bounds()
		corner := image.Pt((size.Dx()-b.Dx())/2, (size.Dy()-b.Dy())/2)
		draw.Draw(seen, b.Sub(b.Min).Add(corner), img, b.Min, draw.Src)
	}
}
