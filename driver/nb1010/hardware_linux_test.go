//go:build hardware

package nb1010_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"sbid/driver"
	"sbid/driver/internal/usb"
	"sbid/driver/internal/usb/usbtest"
	"sbid/driver/nb1010"
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

var ids = []usb.ID{{Vendor: 0x298D, Product: 0x1010}}

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

func attach(t testing.TB, c nb1010.Config) (driver.Driver, *reader) {
	t.Helper()
	r := &reader{t: t, bus: &usbtest.Socket{Bus: usb.System()}}
	twin, err := twins.StartNB1010(r.socket, twins.NB1010{})
	if err != nil {
		t.Fatal(err)
	}
	r.Twin = twin
	t.Cleanup(twin.Close)
	c.Answer = 2 * time.Second
	d, err := nb1010.New(r.bus, c)
	if err != nil {
		t.Fatal(err)
	}
	return d, r
}

// The driver through libusb and the kernel: pictures come whole, and unplugging
// in the middle of one is noticed.
func TestInTheKernel(t *testing.T) {
	d, r := attach(t, nb1010.Config{DPI: 500})
	for range 2 { // plugged in again, it is used again
		infos, err := d.Probe(t.Context())
		if err != nil || len(infos) != 1 || infos[0].Addr != r.path {
			t.Fatalf("%+v, %v", infos, err)
		}
		s, err := d.Open(t.Context(), infos[0].Addr)
		if err != nil {
			t.Fatal(err)
		}
		r.Show(ridges())
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
		reached := r.Hold(twins.StageImage)
		go func() {
			<-reached
			r.Unplug()
		}()
		for f, err := range s.Frames(t.Context(), driver.Target{}) {
			if !errors.Is(err, driver.ErrRemoved) {
				t.Errorf("unplugged: a frame %v, %v", f.Image != nil, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error("close:", err)
		}
		if err := r.Plug(); err != nil {
			t.Fatal(err)
		}
	}
}
