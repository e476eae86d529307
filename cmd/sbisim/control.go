package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"sbid/attest"
	"sbid/attest/developer"
	"sbid/capture"
	"sbid/cmd/internal/daemon"
	"sbid/driver"
	"sbid/sbi"
	"sbid/simulator"
)

// control is the operator's hand for scripts: it plugs scanners in and out,
// puts fingers on them and takes them off, claims a status, rotates keys. The
// calls are POST with a JSON body whose type names the devices meant: Finger,
// Iris, Face or Biometric Device for all. /admin/status is as MOSIP's mock
// device has it. They stand behind the same Host and Origin checks as the SBI
// verbs, and only in the simulator.
type control struct {
	sim    *simulator.Simulator
	set    *developer.Set
	log    *slog.Logger
	daemon *daemon.Daemon
}

func (c *control) handlers() map[string]http.Handler {
	return map[string]http.Handler{
		"POST /admin/status":  c.action(c.status),
		"POST /admin/scanner": c.action(c.scanner),
		"POST /admin/fault":   c.action(c.fault),
		"POST /admin/rotate":  c.action(c.rotate),
	}
}

// order is the body of every call. Members that a call does not know are
// refused, so that a typing error cannot pass for success.
type order struct {
	Type         string     `json:"type"`
	DeviceStatus sbi.Status `json:"deviceStatus,omitempty"`
	Plugged      *bool      `json:"plugged,omitempty"`
	Present      *bool      `json:"present,omitempty"`
	Fault        *string    `json:"fault,omitempty"`
}

const maxOrder = 4 << 10 // bytes

// action answers with MOSIP's mock device's form: code 0, or why not.
func (c *control) action(do func(order, []daemon.Device) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := struct {
			Code string `json:"errorCode"`
			Info string `json:"errorInfo"`
		}{"0", "Success"}
		var o order
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder))
		dec.DisallowUnknownFields()
		err := dec.Decode(&o)
		if err == nil {
			if _, more := dec.Token(); !errors.Is(more, io.EOF) {
				err = errors.New("more than one JSON value")
			}
		}
		var meant []daemon.Device
		if err == nil {
			meant, err = c.meant(o.Type)
		}
		if err == nil {
			err = do(o, meant)
		}
		if err != nil {
			answer.Code, answer.Info = "500", err.Error()
		}
		c.log.Info("control", "call", r.URL.Path, "type", o.Type, "code", answer.Code)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer) // a client that is gone needs no answer
	})
}

// meant returns the devices of a type.
func (c *control) meant(name string) ([]daemon.Device, error) {
	if name == "Biometric Device" {
		return c.daemon.Devices(), nil
	}
	devices := slices.DeleteFunc(c.daemon.Devices(), func(d daemon.Device) bool {
		return d.Scanner.Info().Modality.String() != name
	})
	if len(devices) == 0 {
		return nil, fmt.Errorf("type %q is none of Biometric Device, Finger, Iris and Face", name)
	}
	return devices, nil
}

// status makes the devices meant claim a status and lets all others say their
// own again.
func (c *control) status(o order, meant []daemon.Device) error {
	switch o.DeviceStatus {
	case sbi.StatusReady, sbi.StatusBusy, sbi.StatusNotReady, sbi.StatusNotRegistered:
	default:
		return fmt.Errorf("deviceStatus %q is none of Ready, Busy, Not Ready and Not Registered", o.DeviceStatus)
	}
	for _, d := range c.daemon.Devices() {
		d.SetStatus("")
	}
	if o.DeviceStatus != sbi.StatusReady {
		for _, d := range meant {
			d.SetStatus(o.DeviceStatus)
		}
	}
	return nil
}

// scanner plugs scanners in or out and puts somebody on them or takes them off.
func (c *control) scanner(o order, meant []daemon.Device) error {
	if o.Plugged == nil && o.Present == nil {
		return errors.New("neither plugged nor present is there")
	}
	for _, d := range meant {
		addr := d.Scanner.Info().Addr
		if o.Present != nil {
			c.sim.Present(addr, *o.Present)
		}
		if o.Plugged != nil {
			c.sim.Plug(addr, *o.Plugged)
			d.Scanner.SetPresent(*o.Plugged) // the answer means it is done
		}
	}
	return nil
}

// faults are what a scanner can be made to fail with: first the failures of
// scanners, then those that come from elsewhere, so that whoever writes a client
// can see every error code of a capture.
var faults = map[string]error{
	"":          nil,
	"removed":   driver.ErrRemoved,
	"not-ready": driver.ErrNotReady,
	"tampered":  driver.ErrTampered,

	"unusable":                  capture.ErrUnusable,
	"orientation":               capture.ErrOrientation,
	"management-server":         attest.ErrManagementServer,
	"key-expired":               attest.ErrExpired,
	"no-encryption-certificate": attest.ErrNoEncryptionCertificate,
	"no-signing-key":            attest.ErrNoKey,
	"broken":                    errors.New("something that has no code of its own"),
}

// fault makes scanners fail, or with "" work again.
func (c *control) fault(o order, meant []daemon.Device) error {
	if o.Fault == nil {
		return errors.New("fault is missing")
	}
	err, known := faults[*o.Fault]
	if !known {
		return fmt.Errorf("fault %q is none of %q", *o.Fault, slices.Sorted(maps.Keys(faults)))
	}
	for _, d := range meant {
		c.sim.Fault(d.Scanner.Info().Addr, err)
	}
	return nil
}

// rotate gives devices new keys and certificates. A capture that is under way
// is still signed with the old ones.
func (c *control) rotate(_ order, meant []daemon.Device) error {
	for _, d := range meant {
		server := c.daemon.Servers[d.Purpose]
		if server == nil {
			continue // this purpose is not served
		}
		name := roles[d.Scanner.Info().Addr].name
		if _, err := c.set.Rotate(name, time.Now()); err != nil {
			return fmt.Errorf("rotate key of %s: %w", name, err)
		}
		if err := server.SetKeys(d.Device, keysOf(c.set, d.Device, name)); err != nil {
			return fmt.Errorf("use new key of %s: %w", name, err)
		}
	}
	return nil
}
