package station

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	"sbid/attest"
	"sbid/attest/provision"
	"sbid/capture"
	"sbid/capture/inventory"
	"sbid/sbi"
)

// A device is a part that some scanner plays.
type device struct {
	part
	scanner *capture.Scanner
	sbi     *sbi.Device // nil unless the station serves

	arming  sync.Mutex // one change of its keys at a time; guards what follows
	armed   bool       // it has had keys, or is known to have none
	trouble error      // why its present keys are not in use; nil if they are
}

// take makes devices of a scanner that is new, and returns them.
func (s *Station) take(e inventory.Entry) (added []*device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range partsOf(s.config, s.machine, e) {
		if s.devices[p.name] != nil {
			continue
		}
		d := &device{part: p, scanner: e.Scanner}
		if s.daemon != nil {
			d.sbi = s.sbiDevice(d)
		}
		s.devices[p.name] = d
		added = append(added, d)
	}
	return added
}

// known returns all devices there ever were, by name.
func (s *Station) known() []*device {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*device
	for _, d := range s.devices {
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b *device) int { return cmp.Compare(a.name, b.name) })
	return list
}

// find returns the devices that a person means: by name or serial number, or
// all where nobody is named.
func (s *Station) find(names []string) ([]*device, error) {
	all := s.known()
	if len(names) == 0 {
		return all, nil
	}
	var found []*device
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

func (s *Station) sbiDevice(d *device) *sbi.Device {
	return &sbi.Device{
		ID: d.name, Scanner: d.scanner, SubType: d.subType, Level: s.config.Level, Serial: d.serial, OneByOne: d.oneByOne,
		Provider: s.config.Provider.Organisation, ProviderID: s.config.Provider.ID, Purpose: d.purpose,
		Encryption: s.auth.Certificate,
	}
}

var errImported = errors.New("its key came from outside of the trust module, which is level L0 at best, and the configuration says L1: sbid rotate")

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
	if s.set.Status(name).Origin == provision.Imported {
		return nil, errImported
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
	for _, gone := range []error{attest.ErrNoKey, attest.ErrKeyLost, provision.ErrDamaged} {
		if errors.Is(err, gone) {
			return nil, nil
		}
	}
	return nil, err
}

// arm gives a device that is served its present keys. If that fails it goes on
// with those that it had; one that never had any is not ready. Care tries again.
func (s *Station) arm(d *device) {
	server := s.server(d.purpose)
	if server == nil || d.sbi == nil {
		return
	}
	d.arming.Lock()
	defer d.arming.Unlock()
	keys, err := s.keysOf(d.name)
	if err == nil {
		err = server.SetKeys(d.sbi, keys)
	}
	if err == nil {
		d.armed, d.trouble = true, nil
		d.sbi.SetStatus("")
		return
	}
	if d.trouble == nil || d.trouble.Error() != err.Error() {
		s.log.Error("the keys of a device cannot be used", "device", d.name, "err", err)
	}
	d.trouble = err
	if d.armed {
		return
	}
	d.sbi.SetStatus(sbi.StatusNotReady)
	if err := server.SetKeys(d.sbi, nil); err != nil { // what it says of itself without a key
		s.log.Error("device cannot be served", "device", d.name, "err", err)
	}
}

// unarmed says why the present keys of a device are not in use.
func (d *device) unarmed() error {
	d.arming.Lock()
	defer d.arming.Unlock()
	return d.trouble
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
func (s *Station) serveDevice(d *device) {
	s.arm(d)
	s.daemon.Admit(d.sbi)
}
