package station

import (
	"errors"
	"fmt"
	"sort"

	"sbid/attest"
	"sbid/attest/provision"
	"sbid/capture"
	"sbid/capture/inventory"
	"sbid/cmd/internal/daemon"
	"sbid/sbi"
)

// A device is a part that some scanner plays.
type device struct {
	part
	scanner *capture.Scanner
	sbi     *sbi.Device // nil unless the station serves
}

// take makes devices of the scanners that are new, and returns them.
func (s *Station) take(entries []inventory.Entry) (added []device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		for _, p := range partsOf(s.config, s.machine, e) {
			if _, known := s.devices[p.name]; known {
				continue
			}
			d := device{part: p, scanner: e.Scanner}
			if s.daemon != nil {
				d.sbi = s.sbiDevice(d)
			}
			s.devices[p.name] = d
			added = append(added, d)
		}
	}
	return added
}

// known returns all devices there ever were, by name.
func (s *Station) known() []device {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []device
	for _, d := range s.devices {
		list = append(list, d)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
	return list
}

// find returns the devices that a person means: by name or serial number, or
// all where nobody is named.
func (s *Station) find(names []string) ([]device, error) {
	all := s.known()
	if len(names) == 0 {
		return all, nil
	}
	var found []device
	for _, name := range names {
		before := len(found)
		for _, d := range all {
			if name == d.name || name == d.serial {
				found = append(found, d)
			}
		}
		if len(found) == before {
			return nil, fmt.Errorf("no device is called %s; sbid doctor lists them", name)
		}
	}
	return found, nil
}

func (s *Station) sbiDevice(d device) *sbi.Device {
	return &sbi.Device{
		ID: d.name, Scanner: d.scanner, SubType: d.subType, Level: s.config.Level, Serial: d.serial, OneByOne: d.oneByOne,
		Provider: s.config.Provider.Organisation, ProviderID: s.config.Provider.ID, Purpose: d.purpose,
		Encryption: s.auth.Certificate,
	}
}

// keysOf returns what a device signs with; nil and no error where it is not
// registered, and an error where it is and its keys cannot be used just now.
func (s *Station) keysOf(name string) (*sbi.Keys, error) {
	id, err := s.identity(name)
	if err != nil || id == nil {
		return nil, err
	}
	if s.config.Level == "L0" {
		return &sbi.Keys{Device: id, DigitalID: id}, nil
	}
	ftm, err := s.identity(provision.FTM)
	if err != nil || ftm == nil {
		return nil, err
	}
	return &sbi.Keys{Device: id.With(ftm.Chain()...), DigitalID: ftm}, nil
}

// identity returns an identity also if its certificate's time is over or has
// not come: what that means for clients is not decided here.
func (s *Station) identity(name string) (*attest.Identity, error) {
	if s.set == nil {
		return nil, nil
	}
	if id := s.set.Current(name); id != nil {
		return id, nil
	}
	_, err := s.set.Device(name)
	switch {
	case errors.Is(err, attest.ErrNoKey), errors.Is(err, attest.ErrKeyLost):
		return nil, nil
	}
	return nil, err
}

// arm gives a device that is served its present keys.
func (s *Station) arm(d device) {
	server := s.server(d.purpose)
	if server == nil || d.sbi == nil {
		return
	}
	keys, err := s.keysOf(d.name)
	if err == nil {
		err = server.SetKeys(d.sbi, keys)
	}
	if err != nil { // the keys are there and cannot be used: that may pass
		s.log.Error("device is not ready: its keys cannot be used", "device", d.name, "err", err)
		d.sbi.SetStatus(sbi.StatusNotReady)
		return
	}
	d.sbi.SetStatus("")
}

func (s *Station) server(purpose sbi.Purpose) *sbi.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.daemon == nil {
		return nil
	}
	return s.daemon.Servers[purpose]
}

// serveDevice makes a new device known to clients.
func (s *Station) serveDevice(d device) {
	keys, err := s.keysOf(d.name)
	if err == nil {
		err = s.daemon.Add(daemon.Device{Device: d.sbi, Keys: keys})
	}
	if err != nil { // listed as what it is: not ready
		s.log.Error("device is not ready: its keys cannot be used", "device", d.name, "err", err)
		d.sbi.SetStatus(sbi.StatusNotReady)
		if err := s.daemon.Add(daemon.Device{Device: d.sbi}); err != nil {
			s.log.Error("device cannot be served", "device", d.name, "err", err)
		}
	}
}
