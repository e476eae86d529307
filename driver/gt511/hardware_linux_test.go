//go:build hardware

package gt511_test

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
	"sbid/driver/gt511"
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
func bridge(t testing.TB, module serial.GT511) *bridged {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tty")
	twin, err := serial.StartGT511(path, module)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(twin.Close)
	product := uint16(0x2000 + products.Add(1))
	adapter, err := acm.Start(acm.Adapter{Path: path, Vendor: 0x1209, Product: product})
	if err != nil {
		t.Fatal(err)
	}
	d, err := gt511.New(gt511.Config{Bridges: []string{fmt.Sprintf("1209:%04x", product)}, Answer: 500 * time.Millisecond})
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
			b := bridge(t, serial.GT511{})
			return b.driver, b
		},
		Picture:     ridges(),
		Size:        image.Pt(224, 287),
		Native:      driver.Geometry{Width: 202, Height: 258, DPI: 450, Depth: 8},
		DPI:         500,
		FrameStages: []string{serial.StageFinger, serial.StageImage},
		Mended:      []string{serial.BadOnce, serial.LostByte},
		Fatal:       []string{serial.Silent},
		Patience:    40 * time.Second,
	})
}
