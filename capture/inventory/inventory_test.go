package inventory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sbid/capture"
	"sbid/capture/iso19794"
	"sbid/driver"
)

// Scanners come and go, at once or within a poll, and stay who they are.
func TestPlugging(t *testing.T) {
	const id = "fake:SN-1001"
	for name, tt := range map[string]struct {
		wrap func(*fake) driver.Driver
		wait time.Duration
	}{
		"noticed": {func(f *fake) driver.Driver { return aware{f} }, 0},
		"polled":  {func(f *fake) driver.Driver { return f }, pollTime},
		"given up": {func(f *fake) driver.Driver {
			f.watch = func(context.Context, func()) bool { return false }
			return aware{f}
		}, pollTime},
		"panicked": {func(f *fake) driver.Driver {
			f.watch = func(context.Context, func()) bool { panic("watch") }
			return aware{f}
		}, pollTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake("fake")
				inv, log := start(t, tt.wrap(f))
				log.want("at first")

				f.plug(reader("1", "SN-1001", "usb:1-1"))
				time.Sleep(tt.wait)
				log.want("plugged in", "arrived "+id, "mended "+id)
				came := entry(t, inv, id)
				if came.State != capture.Idle || came.Trouble != nil || came.Driver != "fake" || came.Since.IsZero() {
					t.Errorf("%+v", came)
				}

				f.plug()
				time.Sleep(tt.wait)
				log.want("unplugged", "left "+id)
				if e := entry(t, inv, id); e.State != capture.Absent || !errors.Is(e.Trouble, driver.ErrRemoved) {
					t.Errorf("%+v", e)
				}

				f.plug(reader("7", "SN-1001", "usb:1-4"))
				time.Sleep(tt.wait)
				log.want("plugged in elsewhere", "arrived "+id, "mended "+id)
				if e := entry(t, inv, id); e.Scanner != came.Scanner || e.Info.Addr != "7" || e.Scanner.Info().Addr != "7" {
					t.Errorf("another scanner: %+v", e)
				}

				f.plug(reader("8", "SN-1001", "usb:1-4"))
				time.Sleep(tt.wait)
				log.want("faster than anybody looks", "left "+id, "arrived "+id, "mended "+id)
				if e := entry(t, inv, id); e.Scanner != came.Scanner || e.Info.Addr != "8" {
					t.Errorf("another scanner: %+v", e)
				}
			})
		})
	}
}

// A scanner that is not ready is tried after 1, 2, 5 and then every 10 seconds,
// and told of once.
func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("fake", reader("1", "SN-1001", ""))
		var tries []time.Duration
		begin := time.Now()
		held := fmt.Errorf("%w: fprintd (pid 7)", driver.ErrHeld)
		f.open = func(string) error { tries = append(tries, time.Since(begin)); return held }
		inv, log := start(t, aware{f})
		time.Sleep(29 * time.Second)
		log.want("held", "arrived fake:SN-1001", "troubled fake:SN-1001")
		var want []time.Duration
		for _, seconds := range []int{0, 1, 3, 8, 18, 28} {
			want = append(want, time.Duration(seconds)*time.Second)
		}
		f.set(func() {
			if !slices.Equal(tries, want) {
				t.Errorf("tried at %v, want %v", tries, want)
			}
		})
		if e := entry(t, inv, "fake:SN-1001"); e.State != capture.Faulted || !errors.Is(e.Trouble, driver.ErrHeld) || !strings.Contains(e.Trouble.Error(), "fprintd (pid 7)") {
			t.Errorf("%+v", e)
		}

		f.set(func() { f.open = func(string) error { return driver.ErrPermission } })
		time.Sleep(10 * time.Second)
		log.want("another trouble", "troubled fake:SN-1001")
		f.set(func() { f.open = nil })
		inv.Retry() // somebody says that it is mended
		log.want("mended", "mended fake:SN-1001")
		opens := f.count("open")
		time.Sleep(time.Hour)
		if f.count("open") != opens {
			t.Error("a scanner that is well is opened again and again")
		}
	})
}

// A capture that fails is noticed, and what it says is looked after.
func TestFailedCapture(t *testing.T) {
	const id = "fake:SN-1001"
	for name, tt := range map[string]struct {
		err  error
		want []string // at once
		then []string // within a second
	}{
		"stalled":   {driver.ErrNotReady, []string{"troubled " + id}, []string{"mended " + id}},
		"unplugged": {driver.ErrRemoved, []string{"left " + id}, []string{"arrived " + id, "mended " + id}}, // and plugged in again
		"nobody":    {nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake("fake", reader("1", "SN-1001", ""))
				if tt.err != nil {
					f.frames = func(context.Context) error { return tt.err }
				}
				inv, log := start(t, aware{f})
				log.since()
				_, err := entry(t, inv, id).Scanner.Capture(t.Context(), capture.Request{
					Positions: []driver.Position{driver.RightIndex}, Timeout: time.Second, Profile: iso19794.Registration,
				})
				if err == nil || tt.err != nil && !errors.Is(err, tt.err) {
					t.Errorf("capture: %v", err)
				}
				log.want("at once", tt.want...)
				time.Sleep(time.Second)
				log.want("then", tt.then...)
			})
		})
	}
}

// A driver that lists a scanner which is not there is not asked in a loop.
func TestGhost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("fake", reader("1", "SN-1001", ""))
		f.open = func(string) error { return driver.ErrRemoved }
		start(t, aware{f})
		time.Sleep(time.Minute)
		if n := f.count("open"); n > 10 {
			t.Errorf("opened %d times in a minute", n)
		}
		if n := f.count("probe"); n > 10 {
			t.Errorf("asked %d times in a minute", n)
		}
	})
}

// A driver that cannot look says why; its panics and hanging cost nobody else
// anything.
func TestDriverInTrouble(t *testing.T) {
	for name, tt := range map[string]struct {
		probe func(context.Context) error
		err   error
		after time.Duration // until it is known
		asked int           // in the two minutes after that, if it does not poll
	}{
		"no libusb": {func(context.Context) error { return fmt.Errorf("%w: install libusb-1.0-0", driver.ErrUnavailable) }, driver.ErrUnavailable, 0, 2},
		"a panic":   {func(context.Context) error { panic("probe") }, nil, 0, 14},
		"slow":      {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, context.DeadlineExceeded, probeTime, 6},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, other := newFake("fake"), newFake("other", reader("1", "SN-1001", ""))
				f.probe = tt.probe
				begin := time.Now()
				inv, log := start(t, aware{f}, aware{other})
				if took := time.Since(begin); took != tt.after {
					t.Errorf("known after %v, want %v", took, tt.after)
				}
				if got := log.since(); !slices.Contains(got, "troubled driver fake") || !slices.Contains(got, "mended other:SN-1001") {
					t.Errorf("%q", got)
				}
				d := inv.Snapshot().Drivers
				if len(d) != 2 || d[0].ID != "fake" || d[0].Trouble == nil || tt.err != nil && !errors.Is(d[0].Trouble, tt.err) || d[1].Trouble != nil {
					t.Errorf("%+v", d)
				}
				before := f.count("probe")
				time.Sleep(2 * time.Minute)
				log.want("the same trouble")
				if n := f.count("probe") - before; n > tt.asked {
					t.Errorf("asked %d times in two minutes", n)
				}
				f.set(func() { f.probe, f.infos = nil, []driver.Info{reader("2", "SN-2002", "")} })
				inv.Retry()
				time.Sleep(probeTime)
				log.want("mended", "mended driver fake", "arrived fake:SN-2002", "mended fake:SN-2002")
			})
		})
	}
}

// A Probe that does not come back is not called a second time, and does not
// keep the program from ending.
func TestProbeHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := newFake("fake", reader("1", "SN-1001", ""))
		f.probe = func(context.Context) error { <-release; return nil }
		inv, log := start(t, f)
		log.want("after a while", "troubled driver fake")
		if d := inv.Snapshot().Drivers[0]; !errors.Is(d.Trouble, errHangs) {
			t.Errorf("%+v", d)
		}
		time.Sleep(time.Hour)
		if n := f.count("probe"); n != 1 {
			t.Errorf("asked %d times", n)
		}
		f.set(func() { f.probe = nil })
		close(release)
		log.want("it is back", "mended driver fake", "arrived fake:SN-1001", "mended fake:SN-1001")
	})
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := newFake("fake")
		f.probe = func(context.Context) error { <-release; return nil }
		inv := New(driver.NewRegistry(f), nil)
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, stop)
		begin := time.Now()
		inv.Run(ctx)
		if took := time.Since(begin); took != time.Minute+leaveTime {
			t.Errorf("it ended after %v", took)
		}
		close(release)
	})
}

// Five scanners cost nothing while nobody uses them: in an hour those of a
// driver that notices plugging are asked nothing, the others once a poll.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var five []driver.Info
		for i := range 5 {
			five = append(five, reader(fmt.Sprint(i), fmt.Sprintf("SN-%d", 4711*(i+1)), ""))
		}
		noticing, polled := newFake("noticing", five...), newFake("polled", five...)
		_, log := start(t, aware{noticing}, polled)
		log.since()
		time.Sleep(time.Hour)
		log.want("an hour of nothing")
		if probes, opens := noticing.count("probe"), noticing.count("open"); probes != 1 || opens != 5 {
			t.Errorf("noticing: asked %d times, opened %d times; want 1 and 5", probes, opens)
		}
		if probes, opens := polled.count("probe"), polled.count("open"); probes > int(time.Hour/pollTime)+1 || opens != 5 {
			t.Errorf("polled: asked %d times, opened %d times", probes, opens)
		}
		if noticing.twice || polled.twice {
			t.Error("a driver was called twice at a time")
		}
	})
}

// 200 times in and out, and there is nothing left over.
func TestPlugCycles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("fake")
		inv, log := start(t, aware{f})
		synctest.Wait() // until it watches
		for i := range 200 {
			f.plug(reader(fmt.Sprint(i), "", "")) // each time at another address
			synctest.Wait()
			f.plug()
			synctest.Wait()
		}
		if n := len(log.since()); n != 3*200 {
			t.Errorf("%d changes", n)
		}
		if s := inv.Snapshot().Scanners; len(s) != 1 {
			t.Errorf("%d scanners of one", len(s))
		}
	})
}
