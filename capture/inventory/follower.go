package inventory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sbid/capture"
	"sbid/capture/internal/contain"
	"sbid/driver"
)

const (
	pollTime  = 2 * time.Second  // between looks at a driver that does not notice plugging
	probeTime = 20 * time.Second // for one look: some drivers ask serial ports at all rates
	leaveTime = 4 * time.Second  // for drivers to come back at the end
	// rareTime is between looks at a driver that cannot work on this machine.
	rareTime = time.Minute
)

// backOff is how long a scanner or driver in trouble is left alone before the
// next try; the last is repeated.
var backOff = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second}

func delay(tries int) time.Duration { return backOff[min(tries, len(backOff)-1)] }

var errHangs = errors.New("the driver has not come back from looking for scanners; if it stays so, restart the service")

// A follower knows the scanners of one driver. All that happens goes through
// its run, which alone asks the driver.
type follower struct {
	drv     driver.Driver
	tell    func([]Change)
	settled chan struct{} // closed when the first scanners were found and tried

	plugged chan struct{} // the driver noticed something
	stirred chan struct{} // a scanner's state has changed
	retry   chan struct{} // somebody wants all to be tried
	unaware chan struct{} // closed when the driver notices nothing any more
	looks   chan look
	checks  chan *unit

	looking time.Time // when the look under way began; zero: none is
	next    time.Time // when the next is due; zero: when something happens
	polled  bool
	tries   int
	looked  bool // at least once

	mu      sync.Mutex
	units   []*unit
	trouble error
	since   time.Time
}

// A look is what a Probe said.
type look struct {
	infos []driver.Info
	err   error
}

// A unit is one scanner, plugged in or not.
type unit struct {
	id       string
	nameless bool // its id is no more than an address
	info     driver.Info
	scanner  *capture.Scanner
	present  bool   // as it was last told
	trouble  string // as it was last told
	since    time.Time

	checking bool
	tried    bool
	tries    int
	next     time.Time // when it is due to be tried or, if it says it is gone, looked for; zero: never
}

func newFollower(drv driver.Driver, tell func([]Change)) *follower {
	_, aware := drv.(driver.Watcher)
	return &follower{
		drv: drv, tell: tell, polled: !aware, settled: make(chan struct{}),
		plugged: make(chan struct{}, 1), stirred: make(chan struct{}, 1), retry: make(chan struct{}, 1),
		unaware: make(chan struct{}), looks: make(chan look, 1), checks: make(chan *unit),
	}
}

// entry describes a unit. The caller holds f.mu.
func (f *follower) entry(u *unit) Entry {
	return Entry{ID: u.id, Driver: f.drv.ID(), Info: u.scanner.Info(), Scanner: u.scanner, State: u.scanner.State(), Trouble: u.scanner.Trouble(), Since: u.since}
}

// run follows the driver until ctx ends.
func (f *follower) run(ctx context.Context) {
	var calls sync.WaitGroup
	defer f.end(&calls)
	if w, ok := f.drv.(driver.Watcher); ok {
		calls.Go(func() {
			defer close(f.unaware)
			_ = contain.Call(func() error { w.Watch(ctx, func() { poke(f.plugged) }); return nil })
		})
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	unaware := f.unaware
	f.next = time.Now()
	for ctx.Err() == nil {
		timer.Reset(f.work(ctx, &calls))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case l := <-f.looks:
			f.looking = time.Time{}
			if ctx.Err() == nil {
				f.take(l)
			}
		case u := <-f.checks:
			u.checking, u.tried = false, true
			f.review()
		case <-f.stirred:
			f.review()
		case <-f.plugged:
			f.next = time.Now()
		case <-f.retry:
			f.hurry()
		case <-unaware: // it noticed plugging, and cannot any more
			unaware, f.polled, f.next = nil, true, time.Now()
		}
		f.settle()
	}
}

// end waits for the calls under way, a while.
func (f *follower) end(calls *sync.WaitGroup) {
	f.settle()
	select {
	case <-f.settled:
	default:
		close(f.settled)
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		calls.Wait()
	}()
	select {
	case <-over:
	case <-ctx.Done():
	}
	for _, u := range f.units {
		_ = u.scanner.Wait(ctx)
	}
}

// settle tells once that the first scanners were tried.
func (f *follower) settle() {
	if !f.looked {
		return
	}
	for _, u := range f.units {
		if u.present && !u.tried {
			return
		}
	}
	select {
	case <-f.settled:
	default:
		close(f.settled)
	}
}

// work begins what is due, and returns how long nothing else will be.
func (f *follower) work(ctx context.Context, calls *sync.WaitGroup) time.Duration {
	now := time.Now()
	wait := time.Hour
	due := func(at time.Time) bool {
		if at.IsZero() {
			return false
		}
		if at.After(now) {
			wait = min(wait, at.Sub(now))
			return false
		}
		return true
	}
	for _, u := range f.units {
		if u.checking || !due(u.next) {
			continue
		}
		u.next = time.Time{}
		if !u.present {
			f.next = now
			continue
		}
		u.checking = true
		calls.Go(func() {
			_ = u.scanner.Check(ctx) // the scanner knows how it went
			select {
			case f.checks <- u:
			case <-ctx.Done():
			}
		})
	}
	switch {
	case !f.looking.IsZero():
		if due(f.looking.Add(probeTime + time.Second)) {
			f.fail(fmt.Errorf("%w: %w", driver.ErrNotReady, errHangs))
		}
	case due(f.next):
		f.looking, f.next = now, time.Time{}
		calls.Go(func() { f.looks <- f.look(ctx) })
	}
	return wait
}

// look asks the driver.
func (f *follower) look(ctx context.Context) (l look) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	l.err = contain.Call(func() (err error) {
		l.infos, err = f.drv.Probe(ctx)
		return err
	})
	return l
}

// fail notes why the driver finds nothing. The scanners stay as they are: each
// of them says for itself when it is gone.
func (f *follower) fail(err error) {
	f.looked = true
	f.mu.Lock()
	news := f.trouble == nil || f.trouble.Error() != err.Error()
	if news {
		f.trouble, f.since = err, time.Now()
	}
	f.mu.Unlock()
	if news {
		f.tell([]Change{{Kind: Troubled, Entry: Entry{Driver: f.drv.ID(), Trouble: err, Since: f.since}}})
	}
}

// take learns from a look who came and who left.
func (f *follower) take(l look) {
	now := time.Now()
	if l.err != nil {
		f.fail(fmt.Errorf("look for scanners: %w", l.err))
		wait := delay(f.tries)
		if errors.Is(l.err, driver.ErrUnavailable) {
			wait = rareTime
		}
		f.tries++
		f.next = sooner(f.next, now.Add(wait))
		return
	}
	f.looked, f.tries = true, 0
	if f.polled {
		f.next = sooner(f.next, now.Add(pollTime))
	}
	var changes []Change
	f.mu.Lock()
	if f.trouble != nil || f.since.IsZero() {
		if f.trouble != nil {
			changes = append(changes, Change{Kind: Mended, Entry: Entry{Driver: f.drv.ID(), Since: now}})
		}
		f.trouble, f.since = nil, now
	}
	here := map[*unit]bool{}
	for i, u := range f.identify(l.infos) {
		if u == nil {
			continue
		}
		here[u] = true
		if !u.present || u.info.Addr != l.infos[i].Addr {
			changes = append(changes, f.arrive(u, l.infos[i], now)...)
		}
	}
	for _, u := range f.units {
		if u.present && !here[u] {
			u.scanner.SetPresent(false)
			u.present, u.tries, u.next, u.since = false, 0, time.Time{}, now
			changes = append(changes, Change{Left, f.entry(u)})
		}
	}
	f.mu.Unlock()
	f.tell(changes)
}

// arrive makes a unit present at the place that info says. The caller holds
// f.mu.
func (f *follower) arrive(u *unit, info driver.Info, now time.Time) []Change {
	if u.next.After(now) && u.info.Addr == info.Addr {
		return nil // it says that it is gone; the driver may be late to see it
	}
	if u.scanner == nil {
		u.scanner = capture.NewScanner(f.drv, info)
		u.scanner.Follow(func() { poke(f.stirred) })
		f.units = append(f.units, u)
	}
	var changes []Change
	if u.present { // at another address: it was unplugged meanwhile
		u.scanner.SetPresent(false)
		changes = append(changes, Change{Left, f.entry(u)})
	}
	u.scanner.Arrive(info)
	u.info, u.present, u.tried, u.since = info, true, false, now
	u.trouble = u.scanner.Trouble().Error()
	u.next = now
	return append(changes, Change{Arrived, f.entry(u)})
}

// review looks what has become of the scanners by themselves, and plans the
// next tries.
func (f *follower) review() {
	now := time.Now()
	var changes []Change
	f.mu.Lock()
	for _, u := range f.units {
		if !u.present {
			continue
		}
		state, trouble := u.scanner.State(), u.scanner.Trouble()
		switch {
		case state == capture.Absent:
			u.present, u.since = false, now
			u.next = now.Add(delay(u.tries)) // it may have been pulled and plugged faster than anybody looked
			u.tries++
			changes = append(changes, Change{Left, f.entry(u)})
		case trouble != nil:
			if u.next.IsZero() && !u.checking {
				u.next = now.Add(delay(u.tries))
				u.tries++
			}
			if text := trouble.Error(); text != u.trouble && !errors.Is(trouble, capture.ErrUntried) {
				u.trouble, u.since = text, now
				changes = append(changes, Change{Troubled, f.entry(u)})
			}
		case u.trouble != "":
			u.trouble, u.since, u.tries, u.next = "", now, 0, time.Time{}
			changes = append(changes, Change{Mended, f.entry(u)})
		}
	}
	f.mu.Unlock()
	f.tell(changes)
}

// hurry makes everything in trouble due.
func (f *follower) hurry() {
	now := time.Now()
	for _, u := range f.units {
		if !u.next.IsZero() {
			u.next = now
		}
	}
	if f.trouble != nil {
		f.next = now
	}
}

// sooner returns the earlier of two times, of which the first may be none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
