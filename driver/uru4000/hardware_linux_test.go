//go:build hardware

package uru4000_test

import (
	"context"
	"testing"
	"time"

	"sbid/driver"
	"sbid/driver/drivertest"
	"sbid/driver/internal/usb"
	"sbid/driver/internal/usb/usbtest"
	"sbid/driver/uru4000"
	twins "sbid/simulator/usb"
	"sbid/simulator/usbip"
)

// A reader is a twin in the kernel. What the kernel does not know yet of its
// coming and going, the driver cannot know.
type reader struct {
	*twins.Twin

	t    testing.TB
	bus  *usbtest.Socket
	path string
}

var ids = []usb.ID{{Vendor: 0x05BA, Product: 0x000A}, {Vendor: 0x045E, Product: 0x00CA}}

func (r *reader) socket(d usbip.Device) (*usbip.Cable, error) {
	cable, err := usbip.Attach(d)
	if err != nil {
		return nil, err
	}
	id, err := cable.Socket()
	if err == nil {
		r.path = "usb:" + id
		err = r.bus.Await(context.Background(), r.path, ids, true)
	}
	return cable, err
}

func (r *reader) Unplug() {
	r.Twin.Unplug()
	if err := r.bus.Await(context.Background(), r.path, ids, false); err != nil {
		r.t.Error(err)
	}
}

func attach(t testing.TB, o twins.URU4000) (driver.Driver, drivertest.Twin) {
	t.Helper()
	r := &reader{t: t, bus: &usbtest.Socket{Bus: usb.System()}}
	twin, err := twins.StartURU4000(r.socket, o)
	if err != nil {
		t.Fatal(err)
	}
	r.Twin = twin
	t.Cleanup(twin.Close)
	d, err := uru4000.New(r.bus, uru4000.Config{Answer: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return d, r
}

// The driver through libusb and the kernel. What does not depend on them is left
// to the twin in the test's process: plugging takes the kernel half a second.
func TestInTheKernel(t *testing.T) {
	h := harness(twins.URU4000{}, nil)
	h.New = func(t testing.TB) (driver.Driver, drivertest.Twin) { return attach(t, twins.URU4000{}) }
	h.OpenStages, h.FrameStages = nil, []string{twins.StageImage}
	h.Mended, h.Fatal = []string{twins.StallOnce}, []string{twins.Babble}
	h.Patience = time.Minute
	drivertest.Run(t, h)
}

// A reader that wants the handshake gets it.
func TestHandshakeInTheKernel(t *testing.T) {
	d, twin := attach(t, twins.URU4000{V2: true})
	twin.Show(ridges())
	infos, err := d.Probe(t.Context())
	if err != nil || len(infos) != 1 || infos[0].Serial != "{00000000-0000-4000-8000-000000000002}" {
		t.Fatal(infos, err)
	}
	s, err := d.Open(t.Context(), infos[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for f, err := range s.Frames(t.Context(), driver.Target{}) {
		if err != nil {
			t.Fatal(err)
		}
		check(t, f)
		break
	}
}
