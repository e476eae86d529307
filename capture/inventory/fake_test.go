package inventory

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sbid/driver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fake is a driver whose scanners are plugged by the test.
type fake struct {
	id string

	mu      sync.Mutex
	infos   []driver.Info
	probe   func(context.Context) error        // what happens in Probe; nil: nothing
	open    func(addr string) error            // and in Open
	frames  func(context.Context) error        // why there are no frames
	calls   map[string]int                     // by method
	changed chan struct{}                      // closed and replaced when something is plugged
	inside  map[string]int                     // calls of Probe, and of Open by address, under way
	twice   bool                               // one of them was not alone
	watch   func(context.Context, func()) bool // false: Watch gives up
}

func newFake(id string, infos ...driver.Info) *fake {
	return &fake{id: id, infos: infos, calls: map[string]int{}, inside: map[string]int{}, changed: make(chan struct{})}
}

func (f *fake) ID() string { return f.id }

// enter notes a call and returns its end.
func (f *fake) enter(method, what string) func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[method]++
	f.inside[what]++
	f.twice = f.twice || f.inside[what] > 1
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.inside[what]--
	}
}

func (f *fake) Probe(ctx context.Context) ([]driver.Info, error) {
	defer f.enter("probe", "probe")()
	f.mu.Lock()
	probe := f.probe
	f.mu.Unlock()
	if probe != nil {
		if err := probe(ctx); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.infos), nil
}

func (f *fake) Open(_ context.Context, addr string) (driver.Scanner, error) {
	defer f.enter("open", addr)()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.ContainsFunc(f.infos, func(i driver.Info) bool { return i.Addr == addr }) {
		return nil, fmt.Errorf("open %s: %w", addr, driver.ErrRemoved)
	}
	if f.open != nil {
		if err := f.open(addr); err != nil {
			return nil, fmt.Errorf("open %s: %w", addr, err)
		}
	}
	return scanner{f}, nil
}

// set changes the script.
func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// plug makes these the scanners that are plugged in.
func (f *fake) plug(infos ...driver.Info) {
	f.set(func() {
		f.infos = infos
		close(f.changed)
		f.changed = make(chan struct{})
	})
}

func (f *fake) count(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

type scanner struct{ *fake }

func (s scanner) Close() error { return nil }
func (s scanner) Frames(ctx context.Context, _ driver.Target) iter.Seq2[driver.Frame, error] {
	return func(yield func(driver.Frame, error) bool) {
		s.mu.Lock()
		frames := s.frames
		s.mu.Unlock()
		if frames == nil {
			<-ctx.Done()
			return
		}
		yield(driver.Frame{}, frames(ctx))
	}
}

// An aware fake notices plugging.
type aware struct{ *fake }

func (a aware) Watch(ctx context.Context, changed func()) {
	for {
		a.mu.Lock()
		plugged, giveUp := a.changed, a.watch
		a.mu.Unlock()
		if giveUp != nil && !giveUp(ctx, changed) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-plugged:
			changed()
		}
	}
}

// reader is a scanner at an address.
func reader(addr, serial, path string) driver.Info {
	return driver.Info{Addr: addr, Serial: serial, Path: path, Make: "Test", Model: "Fake", Modality: driver.Finger, Sensors: []driver.Sensor{driver.Single}}
}

// A log of what an inventory told.
type log struct {
	t     *testing.T
	mu    sync.Mutex
	lines []string
}

func (l *log) changed(c Change) {
	what := c.ID
	if c.Scanner == nil {
		what = "driver " + c.Driver
	}
	l.mu.Lock()
	l.lines = append(l.lines, c.Kind.String()+" "+what)
	l.mu.Unlock()
}

// since returns what was told since the last call.
func (l *log) since() []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

func (l *log) want(when string, lines ...string) {
	l.t.Helper()
	if got := l.since(); !slices.Equal(got, lines) {
		l.t.Errorf("%s: %q, want %q", when, got, lines)
	}
}

// start runs an inventory until the end of the test, and waits until it has
// settled.
func start(t *testing.T, drivers ...driver.Driver) (*Inventory, *log) {
	t.Helper()
	l := &log{t: t}
	inv := New(driver.NewRegistry(drivers...), l.changed)
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		inv.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		begin := time.Now()
		<-over
		if took := time.Since(begin); took > leaveTime {
			t.Errorf("the inventory ended after %v", took)
		}
	})
	<-inv.Settled()
	return inv, l
}

func entry(t *testing.T, inv *Inventory, id string) Entry {
	t.Helper()
	for _, e := range inv.Snapshot().Scanners {
		if e.ID == id {
			return e
		}
	}
	t.Fatalf("no scanner is called %s: %+v", id, inv.Snapshot().Scanners)
	return Entry{}
}
