package inventory

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sbid/capture"
	"sbid/capture/iso19794"
	"sbid/driver"
	"sbid/simulator"
)

// The virtual scanners, whose driver notices plugging: one is unplugged in the
// middle of a capture, and is itself again when it comes back.
func TestVirtualScanners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(simulator.Config{Seed: 5})
		inv, log := start(t, sim)
		log.since()
		all := inv.Snapshot().Scanners
		if len(all) != 6 {
			t.Fatalf("%d scanners", len(all))
		}
		var finger Entry
		for _, e := range all {
			if e.State != capture.Idle {
				t.Errorf("%s is %v: %v", e.ID, e.State, e.Trouble)
			}
			if e.Info.Addr == simulator.AddrFinger {
				finger = e
			}
		}
		sim.Present(simulator.AddrFinger, false)
		request := capture.Request{Positions: []driver.Position{driver.RightIndex}, Score: 1, Timeout: time.Minute, Profile: iso19794.Registration}
		time.AfterFunc(time.Second, func() { sim.Plug(simulator.AddrFinger, false) })
		begin := time.Now()
		if _, err := finger.Scanner.Capture(t.Context(), request); !errors.Is(err, driver.ErrRemoved) || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		log.want("unplugged", "left "+finger.ID)
		sim.Plug(simulator.AddrFinger, true)
		sim.Present(simulator.AddrFinger, true)
		time.Sleep(2 * time.Second)
		log.want("plugged in", "arrived "+finger.ID, "mended "+finger.ID)
		if samples, err := finger.Scanner.Capture(t.Context(), request); err != nil || len(samples) != 1 {
			t.Errorf("%d samples, %v", len(samples), err)
		}
	})
}
