package station

import (
	"context"
	"maps"
	"slices"
	"time"

	"sbid/attest/provision"
)

const (
	careTime = time.Minute // between two looks at what is due
	// retireTime is longer than any capture: then nobody uses an old key any more.
	retireTime = 15 * time.Minute
	// firstRetry is for a machine that is not registered yet, and may only have
	// been started before its network. It doubles.
	firstRetry = time.Minute
	warnAgain  = 24 * time.Hour
	// suspectTime keeps a key that fails at each capture from being tried without
	// end.
	suspectTime = 10 * time.Second
)

// A carer keeps keys in order: those that could not be used are tried again,
// those that are due are rotated, devices that were never registered are, where
// that can be done without a person.
type carer struct {
	*Station
	next   map[string]time.Time     // when to try again what failed, by name
	pause  map[string]time.Duration // after the last failure
	warned map[string]time.Time     // of a certificate's end
	tried  time.Time                // when keys that could not sign were last looked at
}

// care looks after the keys until ctx ends.
func (s *Station) care(ctx context.Context) {
	c := carer{s, map[string]time.Time{}, map[string]time.Duration{}, map[string]time.Time{}, time.Time{}}
	tick := time.NewTicker(careTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.look:
		}
		if s.set == nil {
			continue
		}
		c.mend(ctx)
		for _, name := range s.dutiful() {
			c.attend(ctx, name)
		}
		s.retireOld(ctx)
	}
}

// mend looks again at keys that could not be used, and arms what they are for.
func (c *carer) mend(ctx context.Context) {
	var named []string
	if time.Since(c.tried) > suspectTime {
		c.mu.Lock()
		named = slices.Sorted(maps.Keys(c.suspect))
		clear(c.suspect)
		c.mu.Unlock()
		c.tried = time.Now()
	}
	var waiting []*device
	for _, d := range c.known() {
		_, err := c.keysOf(d.name)
		if err != nil || d.unarmed() != nil || slices.Contains(named, d.name) {
			waiting = append(waiting, d)
		}
	}
	if len(waiting) == 0 {
		return
	}
	if len(named) > 0 && c.config.Level == "L1" {
		named = append(named, provision.FTM) // it signs for all of them
	}
	if err := c.set.Reload(ctx, named...); err != nil {
		c.log.Debug("keys cannot be used yet", "err", err)
	}
	for _, d := range waiting {
		c.arm(d)
	}
}

// dutiful lists whose keys care looks after: the FTM key's first, as the others
// need it at level L1.
func (s *Station) dutiful() []string {
	var names []string
	if s.config.Level == "L1" {
		names = append(names, provision.FTM)
	}
	for _, d := range s.known() {
		names = append(names, d.name)
	}
	return names
}

// attend provisions or rotates the key of a device if that is due and an issuer
// can be asked, and warns of a certificate's end.
func (c *carer) attend(ctx context.Context, name string) {
	status := c.set.Status(name)
	if status.Warn && !status.Expires.IsZero() && time.Since(c.warned[name]) > warnAgain {
		c.warned[name] = time.Now()
		c.log.Warn("a certificate ends soon, or has ended", "device", name, "serial", status.Serial, "end", status.Expires.UTC())
	}
	if time.Now().Before(c.next[name]) {
		return
	}
	issuer, err := c.issuer(name)
	never := status.Certificate == nil && status.Origin == ""
	switch {
	case err != nil:
	case issuer == nil, status.Requested && !status.Warn:
		return // a person brings certificates
	case never:
		_, err = c.set.Provision(ctx, provision.Device{Name: name, Serial: c.serial(name)}, issuer)
	case status.Rotate:
		_, err = c.set.Rotate(ctx, name, issuer)
	default:
		return
	}
	c.renewed(name)
	if err == nil || ctx.Err() != nil {
		delete(c.next, name)
		delete(c.pause, name)
		return
	}
	pause := c.set.Due(name).Retry
	if never {
		pause = min(pause, max(firstRetry, 2*c.pause[name]))
	}
	c.pause[name], c.next[name] = pause, time.Now().Add(pause)
	c.log.Warn("a key could not be certified", "device", name, "err", err, "again", c.next[name].UTC())
}

// renewed puts the new key of a device to use. Its old one is destroyed when
// nobody can use it any more: by care, or where nobody captures by the next start.
func (s *Station) renewed(name string) {
	for _, d := range s.known() {
		if d.name == name || name == provision.FTM {
			s.arm(d)
		}
	}
	s.mu.Lock()
	s.retire[name] = time.Now().Add(retireTime)
	s.mu.Unlock()
}

// retireOld destroys the keys whose time has come.
func (s *Station) retireOld(ctx context.Context) {
	s.mu.Lock()
	var due []string
	for name, at := range s.retire {
		if time.Now().After(at) {
			due = append(due, name)
			delete(s.retire, name)
		}
	}
	s.mu.Unlock()
	for _, name := range due {
		if err := s.set.Retire(ctx, name); err != nil {
			s.log.Warn("an old key is left until the next start", "device", name, "err", err)
		}
	}
}
