// Package inventory knows which scanners are plugged in: it follows the
// drivers, recognises scanners that come back, and looks after those that are
// not ready.
package inventory

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"sbid/capture"
	"sbid/driver"
)

// An Entry is a scanner that is or was plugged in.
type Entry struct {
	// ID tells the scanner from all others, and stays the same when it is plugged
	// in again or the machine starts anew: the driver's ID and the maker's serial
	// number, if that is one; else the driver's ID and the socket. Only a scanner
	// with neither has an ID that lasts no longer than the program.
	ID      string
	Driver  string // the driver's ID
	Info    driver.Info
	Scanner *capture.Scanner // the same for the same ID
	State   capture.State
	Trouble error     // why it is neither idle nor in use
	Since   time.Time // when it came, went, got into trouble or was mended, whichever was last
}

// A Driver is how a driver as a whole does.
type Driver struct {
	ID      string
	Trouble error // why it finds no scanners, perhaps driver.ErrUnavailable; nil if it is well
	Since   time.Time
}

// A Snapshot is what there is at one moment, in the order of IDs.
type Snapshot struct {
	Scanners []Entry
	Drivers  []Driver
}

// A Kind is what happened to a scanner or a driver.
type Kind uint8

const (
	Arrived  Kind = iota // a scanner was plugged in; it is tried before it is ready
	Left                 // it was unplugged
	Troubled             // it is not ready, and Trouble says why
	Mended               // it is ready, for the first time or again
)

// String returns the kind as in logs.
func (k Kind) String() string { return [...]string{"arrived", "left", "troubled", "mended"}[k&3] }

// A Change is what happened to a scanner or, if Scanner is nil, to the driver.
type Change struct {
	Kind Kind
	Entry
}

// An Inventory follows drivers. It is safe for concurrent use.
type Inventory struct {
	followers []*follower
	settled   chan struct{}

	telling sync.Mutex // one change at a time
	changed func(Change)
}

// New returns the inventory of the drivers' scanners. It is empty until Run.
// changed, which may be nil, is called after each change, one at a time; it may
// ask for a Snapshot and must return soon.
func New(drivers driver.Registry, changed func(Change)) *Inventory {
	inv := &Inventory{settled: make(chan struct{}), changed: changed}
	for _, drv := range drivers {
		inv.followers = append(inv.followers, newFollower(drv, inv.tell))
	}
	slices.SortFunc(inv.followers, func(a, b *follower) int { return cmp.Compare(a.drv.ID(), b.drv.ID()) })
	return inv
}

func (inv *Inventory) tell(changes []Change) {
	if inv.changed == nil {
		return
	}
	inv.telling.Lock()
	defer inv.telling.Unlock()
	for _, c := range changes {
		inv.changed(c)
	}
}

// Run follows the drivers until ctx ends, and returns when all that it started
// is over. A driver that hangs even then is left behind. It is called once.
func (inv *Inventory) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, f := range inv.followers {
		wg.Go(func() { f.run(ctx) })
	}
	for _, f := range inv.followers {
		<-f.settled
	}
	close(inv.settled)
	wg.Wait()
}

// Settled is closed once every driver was asked for its scanners and these were
// tried, or Run is over.
func (inv *Inventory) Settled() <-chan struct{} { return inv.settled }

// Retry tries scanners in trouble at once, and asks drivers in trouble: somebody
// has mended something.
func (inv *Inventory) Retry() {
	for _, f := range inv.followers {
		poke(f.retry)
	}
}

// Snapshot never waits for a driver.
func (inv *Inventory) Snapshot() Snapshot {
	var s Snapshot
	for _, f := range inv.followers {
		f.mu.Lock()
		s.Drivers = append(s.Drivers, Driver{f.drv.ID(), f.trouble, f.since})
		for _, u := range f.units {
			s.Scanners = append(s.Scanners, f.entry(u))
		}
		f.mu.Unlock()
	}
	slices.SortFunc(s.Scanners, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

// poke leaves word; one that still waits to be heard is enough.
func poke(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
