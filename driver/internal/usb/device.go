//go:build cgo && !nousb

package usb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/gousb"

	"sbid/driver"
)

// A device is an open one with one interface claimed.
type device struct {
	info    Info
	context *gousb.Context
	device  *gousb.Device
	config  *gousb.Config
	claimed *gousb.Interface
	in      map[byte]*gousb.InEndpoint
	out     map[byte]*gousb.OutEndpoint
}

func (s *system) Open(ctx context.Context, path string, claim Claim) (Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	c, err := newContext()
	if err != nil {
		return nil, err
	}
	d := &device{context: c, in: map[byte]*gousb.InEndpoint{}, out: map[byte]*gousb.OutEndpoint{}}
	if err := d.open(path, claim); err != nil {
		_ = d.Close() // the reason is err
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	s.mu.Lock()
	t := s.texts[placeOf(d.device.Desc)]
	s.mu.Unlock()
	d.info.Make, d.info.Model, d.info.Serial = t.maker, t.model, t.serial
	return d, nil
}

func (d *device) open(path string, claim Claim) error {
	found := false
	devices, err := openDevices(d.context, func(desc *gousb.DeviceDesc) bool {
		p := placeOf(desc)
		if found || p.path != path || !slices.Contains(claim.IDs, p.id) {
			return false
		}
		found = true
		return true
	})
	switch {
	case len(devices) == 1:
		d.device = devices[0] // what err says is about others
	case err != nil && (found || errors.Is(err, driver.ErrUnavailable)):
		return translate(err)
	default:
		return driver.ErrRemoved
	}
	desc := d.device.Desc
	d.info = Info{ID: placeOf(desc).id, Release: uint16(desc.Device), Path: path}
	d.device.ControlTimeout = controlTimeout
	number, setting, err := choose(desc, claim)
	if err != nil {
		return err
	}
	if d.config, err = d.device.Config(number); err != nil {
		return held(translate(err), desc)
	}
	if d.claimed, err = d.config.Interface(setting.Number, setting.Alternate); err != nil {
		return held(translate(err), desc)
	}
	for _, endpoint := range claim.Endpoints {
		if gousb.EndpointAddress(endpoint)&0x80 != 0 {
			d.in[endpoint], err = d.claimed.InEndpoint(int(endpoint & 0x0F))
		} else {
			d.out[endpoint], err = d.claimed.OutEndpoint(int(endpoint))
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDescriptors, err)
		}
	}
	return nil
}

// choose finds the interface that a driver claims, and its configuration: the
// first of a device that has several.
func choose(desc *gousb.DeviceDesc, claim Claim) (config int, setting gousb.InterfaceSetting, err error) {
	numbers := make([]int, 0, len(desc.Configs))
	for n := range desc.Configs {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		for _, i := range desc.Configs[n].Interfaces {
			for _, alt := range i.AltSettings {
				if fits(alt, claim) {
					return n, alt, nil
				}
			}
		}
	}
	return 0, setting, fmt.Errorf("%w: no interface of class %02x/%02x/%02x with endpoints % x",
		ErrDescriptors, claim.Class, claim.Subclass, claim.Protocol, claim.Endpoints)
}

func fits(alt gousb.InterfaceSetting, claim Claim) bool {
	if byte(alt.Class) != claim.Class || byte(alt.SubClass) != claim.Subclass || byte(alt.Protocol) != claim.Protocol {
		return false
	}
	for _, address := range claim.Endpoints {
		e, ok := alt.Endpoints[gousb.EndpointAddress(address)]
		if !ok || e.MaxPacketSize <= 0 || e.TransferType != gousb.TransferTypeBulk && e.TransferType != gousb.TransferTypeInterrupt {
			return false
		}
	}
	return true
}

func (d *device) Info() Info { return d.info }

func (d *device) Control(ctx context.Context, kind, request byte, value, index uint16, data []byte) (int, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	n, err := d.device.Control(kind, request, value, index, data)
	if err == nil {
		return n, nil
	}
	err = d.gone(translate(err))
	if ctx.Err() != nil && !errors.Is(err, driver.ErrRemoved) {
		err = context.Cause(ctx)
	}
	return 0, fmt.Errorf("control request %02x %02x to %04x: %w", kind, request, value, err)
}

// gone looks whether a broken transfer was broken off by unplugging.
func (d *device) gone(err error) error {
	if !errors.Is(err, ErrTransfer) {
		return err
	}
	var status [2]byte
	if _, again := d.device.Control(0x80, 0, 0, 0, status[:]); errors.Is(translate(again), driver.ErrRemoved) {
		return driver.ErrRemoved
	}
	return err
}

func (d *device) Read(ctx context.Context, endpoint byte, buf []byte) (int, error) {
	e := d.in[endpoint]
	if e == nil {
		return 0, fmt.Errorf("read endpoint %02x: %w", endpoint, ErrDescriptors)
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	n, err := e.ReadContext(ctx, buf)
	if err == nil {
		return n, nil
	}
	return max(n, 0), fmt.Errorf("read endpoint %02x: %w", endpoint, d.failed(ctx, endpoint, err))
}

func (d *device) Write(ctx context.Context, endpoint byte, data []byte) error {
	e := d.out[endpoint]
	if e == nil {
		return fmt.Errorf("write endpoint %02x: %w", endpoint, ErrDescriptors)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, err := e.WriteContext(ctx, data); err != nil {
		return fmt.Errorf("write endpoint %02x: %w", endpoint, d.failed(ctx, endpoint, err))
	}
	return nil
}

// failed says why a transfer failed, and clears a halt.
func (d *device) failed(ctx context.Context, endpoint byte, err error) error {
	err = d.gone(translate(err))
	if errors.Is(err, ErrStall) {
		// CLEAR_FEATURE(ENDPOINT_HALT). If it fails, the next transfer stalls again.
		_, _ = d.device.Control(0x02, 1, 0, uint16(endpoint), nil)
	}
	if ctx.Err() != nil && !errors.Is(err, driver.ErrRemoved) {
		return context.Cause(ctx)
	}
	return err
}

func (d *device) Close() error {
	var err error
	if d.claimed != nil {
		d.claimed.Close()
	}
	if d.config != nil {
		err = d.config.Close()
	}
	if d.device != nil {
		err = errors.Join(err, d.device.Close())
	}
	return errors.Join(err, d.context.Close())
}
