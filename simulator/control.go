package simulator

import (
	"fmt"
	"sync"

	"sbid/driver"
)

// A Condition is what is not perfect about the person or the scanner. Zero is
// an ordinary capture.
type Condition struct {
	Moisture float64 // of fingers: -1 dry … 1 wet
	Wear     float64 // of fingers: 0 … 1 no ridges left
	Blur     float64 // standard deviation of added blur, in px
	Closed   float64 // of eyes: 0 open … 1 closed
	Yaw      float64 // of the face: radians
}

// A unit is one virtual scanner with what is before it.
type unit struct {
	info   driver.Info
	number int // among the scanners

	mu       sync.Mutex
	state    state
	changed  chan struct{} // closed, and replaced, when state changes
	captures uint64        // how many views it had
}

type state struct {
	plugged, present bool
	generation       int // how often it was plugged in: what was opened before is dead
	contact          int // how often somebody came before it
	fault            error
	condition        Condition
}

// now returns the state and a channel that is closed when it changes.
func (u *unit) now() (state, <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.state, u.changed
}

func (u *unit) change(f func(*state)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f(&u.state)
	close(u.changed)
	u.changed = make(chan struct{})
}

// control changes the state of the scanner at addr. An unknown address is a
// bug of the program.
func (s *Simulator) control(addr string, f func(*state)) {
	u := s.unit(addr)
	if u == nil {
		panic(fmt.Sprintf("simulator: no scanner at %q", addr))
	}
	u.change(f)
}

// Plug plugs the scanner in or out. Unplugging ends its frames with
// driver.ErrRemoved; watchers are told of both. It panics if there never was a
// scanner at addr.
func (s *Simulator) Plug(addr string, in bool) {
	moved := false
	s.control(addr, func(st *state) {
		if moved = st.plugged != in; moved && in {
			st.generation++
		}
		st.plugged = in
	})
	if moved {
		s.mu.Lock()
		defer s.mu.Unlock()
		close(s.plugged)
		s.plugged = make(chan struct{})
	}
}

// Present puts the person before the scanner, or takes them away: then frames
// show an empty platen, no eyes or no face. It panics if there never was a
// scanner at addr.
func (s *Simulator) Present(addr string, present bool) {
	s.control(addr, func(st *state) {
		if present && !st.present {
			st.contact++
		}
		st.present = present
	})
}

// Fault makes the scanner fail: frames, also those under way, end with err
// until Fault is called with nil. It panics if there never was a scanner at
// addr.
func (s *Simulator) Fault(addr string, err error) {
	s.control(addr, func(st *state) { st.fault = err })
}

// Condition makes what the scanner sees from its next capture on better or
// worse. It panics if there never was a scanner at addr.
func (s *Simulator) Condition(addr string, c Condition) {
	s.control(addr, func(st *state) { st.condition = c })
}
