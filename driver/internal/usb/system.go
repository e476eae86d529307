//go:build cgo && !nousb

package usb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/gousb"

	"sbid/driver"
	"sbid/driver/internal/holder"
)

// System returns the machine's bus, reached through libusb.
func System() Bus { return &system{texts: map[place]texts{}} }

// A system makes a context of libusb for each question: in a container without
// udev a context never learns of what is plugged in later.
type system struct {
	mu    sync.Mutex
	texts map[place]texts
}

// A place is where a device is until it is unplugged: a socket keeps its path,
// but the kernel numbers what is plugged into it anew.
type place struct {
	path    string
	address int
	id      ID
}

// texts are string descriptors, which are read once.
type texts struct{ maker, model, serial string }

// newContext starts libusb. gousb panics where that fails.
func newContext() (c *gousb.Context, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: libusb does not start: %v (too many open files, or a sandbox without AF_NETLINK or /dev/bus/usb)", driver.ErrUnavailable, r)
		}
	}()
	return gousb.NewContext(), nil
}

// openDevices is gousb's, which panics at descriptors of some malformed devices.
func openDevices(c *gousb.Context, want func(*gousb.DeviceDesc) bool) (devices []*gousb.Device, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: a device with malformed descriptors is plugged in (%v); unplug it", driver.ErrUnavailable, r)
		}
	}()
	return c.OpenDevices(want)
}

func placeOf(d *gousb.DeviceDesc) place {
	ports := make([]string, len(d.Path))
	for i, p := range d.Path {
		ports[i] = strconv.Itoa(p)
	}
	return place{
		path:    fmt.Sprintf("usb:%d-%s", d.Bus, strings.Join(ports, ".")),
		address: d.Address,
		id:      ID{uint16(d.Vendor), uint16(d.Product)},
	}
}

func (s *system) List(ctx context.Context, ids []ID) ([]Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	c, err := newContext()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var infos []Info
	var places []place
	reached := false
	// Nothing is opened in the first round: were there a panic, it would stay open.
	_, err = openDevices(c, func(d *gousb.DeviceDesc) bool {
		reached = true
		if p := placeOf(d); slices.Contains(ids, p.id) {
			places = append(places, p)
			infos = append(infos, Info{ID: p.id, Release: uint16(d.Device), Path: p.path})
		}
		return false
	})
	// What was found stands, whatever is wrong with other people's devices.
	if err != nil && (!reached || errors.Is(err, driver.ErrUnavailable) && len(infos) == 0) {
		return nil, fmt.Errorf("list usb devices: %w", translate(err))
	}
	s.read(c, places)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range places {
		t := s.texts[p]
		infos[i].Make, infos[i].Model, infos[i].Serial = t.maker, t.model, t.serial
	}
	return infos, nil
}

// read asks devices that were not asked yet for their strings, and forgets those
// of devices that are not in places any more but had one of their sockets.
func (s *system) read(c *gousb.Context, places []place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var unknown []place
	for _, p := range places {
		if _, known := s.texts[p]; !known {
			unknown = append(unknown, p)
		}
	}
	if len(unknown) == 0 {
		return
	}
	// Who may not be opened is not known by name: opening it for good says why.
	devices, _ := openDevices(c, func(d *gousb.DeviceDesc) bool { return slices.Contains(unknown, placeOf(d)) })
	for _, d := range devices {
		p := placeOf(d.Desc)
		for old := range s.texts {
			if old.path == p.path {
				delete(s.texts, old)
			}
		}
		s.texts[p] = readTexts(d)
		d.Close()
	}
}

// readTexts stops at the first string that the device does not give: one that
// does not answer costs a second.
func readTexts(d *gousb.Device) (t texts) {
	for _, text := range []struct {
		get func() (string, error)
		to  *string
	}{{d.SerialNumber, &t.serial}, {d.Product, &t.model}, {d.Manufacturer, &t.maker}} {
		s, err := text.get()
		if err != nil {
			return t
		}
		*text.to = Clean(s)
	}
	return t
}

// translate is an error of gousb in the words of this house.
func translate(err error) error {
	if err == nil || errors.Is(err, driver.ErrUnavailable) {
		return err
	}
	if code, ok := errors.AsType[gousb.Error](err); ok {
		return fromCode(int(code))
	}
	if status, ok := errors.AsType[gousb.TransferStatus](err); ok {
		return fromStatus(int(status))
	}
	return fromText(err.Error())
}

// held adds who holds a device.
func held(err error, d *gousb.DeviceDesc) error {
	if !errors.Is(err, driver.ErrHeld) {
		return err
	}
	if who := holder.Of(fmt.Sprintf("/dev/bus/usb/%03d/%03d", d.Bus, d.Address)); who != "" {
		return fmt.Errorf("%w: %s", err, who)
	}
	return err
}
