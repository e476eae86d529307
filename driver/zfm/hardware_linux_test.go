//go:build hardware

package zfm_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"sbid/driver"
	"sbid/driver/drivertest"
	"sbid/driver/zfm"
	"sbid/simulator/acm"
	"sbid/simulator/serial"
)

// A bridged module hangs behind a USB serial adapter, as most do: both are plugged
// in and out together.
type bridged struct {
	*serial.Twin

	adapter *acm.Twin
	driver  driver.Driver
}

var products atomic.Uint32

// bridge plugs in a module behind an adapter with an id of its own, by which the
// driver finds it.
func bridge(t testing.TB, module serial.EF01) *bridged {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tty")
	twin, err := serial.StartEF01(path, module)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(twin.Close)
	product := uint16(0x1000 + products.Add(1))
	adapter, err := acm.Start(acm.Adapter{Path: path, Vendor: 0x1209, Product: product})
	if err != nil {
		t.Fatal(err)
	}
	d, err := zfm.New(zfm.Config{Bridges: []string{fmt.Sprintf("1209:%04x", product)}, Answer: answer})
	if err != nil {
		t.Fatal(err)
	}
	b := &bridged{twin, adapter, d}
	t.Cleanup(b.Unplug)
	if err := b.see(1); err != nil {
		t.Fatal(err)
	}
	return b
}

// see waits until the driver finds n modules.
func (b *bridged) see(n int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		infos, err := b.driver.Probe(context.Background())
		if err == nil && len(infos) == n {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("the driver finds %v; want %d modules", infos, n), err)
		}
	}
}

func (b *bridged) Plug() error {
	if err := b.Twin.Plug(); err != nil {
		return err
	}
	if err := b.adapter.Plug(); err != nil {
		return err
	}
	return b.see(1)
}

func (b *bridged) Unplug() {
	b.adapter.Unplug()
	b.Twin.Unplug()
	_ = b.see(0)
}

func TestHardwareConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Harness{
		New: func(t testing.TB) (driver.Driver, drivertest.Twin) {
			b := bridge(t, r503)
			return b.driver, b
		},
		Picture:     ridges(),
		Size:        image.Pt(189, 189),
		Native:      driver.Geometry{Width: 192, Height: 192, DPI: 508, Depth: 4},
		DPI:         500,
		Check:       check,
		FrameStages: []string{serial.StageFinger, serial.StageImage},
		Mended:      []string{serial.BadOnce, serial.LostByte},
		Fatal:       []string{serial.Silent},
		Patience:    40 * time.Second,
	})
}

// Two modules behind two adapters are used at once.
func TestHardwareTwoAtOnce(t *testing.T) {
	for _, name := range []string{"one", "other"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := bridge(t, serial.EF01{})
			b.Show(ridges())
			s := open(t, b.driver)
			defer s.Close()
			n := 0
			for f, err := range s.Frames(t.Context(), driver.Target{}) {
				if err != nil {
					t.Fatal(err)
				}
				check(t, f)
				if n++; n == 3 {
					break
				}
			}
		})
	}
}
