package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sbid/driver"
	"sbid/sbi/client"
)

// modality is a flag for one kind of biometric, in any letter case.
type modality struct{ driver.Modality }

// UnmarshalText reads Finger, Iris or Face.
func (m *modality) UnmarshalText(b []byte) error {
	for m.Modality = driver.Finger; m.Modality <= driver.Face; m.Modality++ {
		if strings.EqualFold(string(b), m.String()) {
			return nil
		}
	}
	return fmt.Errorf("%q is none of Finger, Iris and Face", b)
}

// target says which device to use.
type target struct {
	Type   modality `required:"" placeholder:"TYPE" help:"Finger, Iris or Face."`
	Device string   `placeholder:"ID" help:"Use this device, whatever its status, and not the first one that is Ready."`
	Port   int      `placeholder:"P" help:"Ask only the service on this port. Default: all on 4501 to 4600."`
}

// find returns the device to use for a purpose.
func (t target) find(ctx context.Context, c *client.Client, purpose string) (client.Device, error) {
	ports := client.DefaultPorts
	if t.Port != 0 {
		ports = client.Ports{First: t.Port, Last: t.Port}
	}
	services, err := c.Scan(ctx, ports, t.Type.String())
	if err != nil {
		return client.Device{}, err
	}
	var all, fitting []client.Device
	var refusal, silence error // a service without devices; a port that speaks something else
	for _, s := range services {
		if _, ok := errors.AsType[*client.Error](s.Err); ok {
			refusal = s.Err
		} else if s.Err != nil {
			silence = s.Err
		}
		all = append(all, s.Devices...)
	}
	for _, d := range all {
		if t.fits(d, purpose) {
			fitting = append(fitting, d)
		}
	}
	switch {
	case len(services) == 0:
		return client.Device{}, noDevice(hintNoService, "nothing listens on %s", describePorts(ports))
	case len(all) == 0 && refusal != nil:
		return client.Device{}, refusal
	case t.Port != 0 && silence != nil:
		return client.Device{}, noDevice("Something else uses this port. See what is there with: sbid devices", "%w", silence)
	case len(fitting) == 0:
		return client.Device{}, noDevice("See what is there with: sbid devices", "no %s device of type %v%s on %s",
			purpose, t.Type, t.named(), describePorts(ports))
	}
	if t.Device != "" {
		return fitting[0], nil
	}
	if i := slices.IndexFunc(fitting, func(d client.Device) bool { return d.Status == client.Ready }); i >= 0 {
		return fitting[i], nil
	}
	d := fitting[0]
	if d.Err == nil {
		d.Err = errors.New("it does not say why")
	}
	return d, fmt.Errorf("device %s on port %d is %s: %w", d.ID, d.Port, d.Status, d.Err)
}

// fits compares a device with what is wanted of it. One that is not registered
// has no purpose yet; it is only taken by its id, to be told so.
func (t target) fits(d client.Device, purpose string) bool {
	if t.Device != "" {
		return d.ID == t.Device && (d.Purpose == purpose || d.Purpose == "")
	}
	return d.Purpose == purpose && d.DigitalID.Type == t.Type.String()
}

func (t target) named() string {
	if t.Device == "" {
		return ""
	}
	return " with id " + t.Device
}

func describePorts(p client.Ports) string {
	if p.First == p.Last {
		return fmt.Sprintf("port %d", p.First)
	}
	return fmt.Sprintf("ports %d to %d", p.First, p.Last)
}
