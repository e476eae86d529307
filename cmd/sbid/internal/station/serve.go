package station

import (
	"context"
	"io"
	"sync"
	"time"

	"sbid/attest/audit"
	"sbid/attest/provision"
	"sbid/capture/inventory"
	"sbid/cmd/internal/daemon"
	"sbid/cmd/sbid/internal/control"
	"sbid/sbi"
)

const (
	careTime   = time.Minute      // between two looks at what is due
	retireTime = 15 * time.Minute // longer than any capture: then nobody uses an old key any more
)

// Serve serves the machine's scanners until ctx ends, and returns when all that
// it started has stopped. Each endpoint is announced on stdout.
func (s *Station) Serve(ctx context.Context, options daemon.Options, stdout io.Writer) (err error) {
	d, err := options.New(ctx, daemon.Settings{Environment: s.config.Environment, Report: s.captured}, s.log, stdout)
	if err != nil {
		return err
	}
	listener, err := control.Listen(ctx, s.config.State)
	if err != nil {
		d.Close()
		return err
	}
	s.mu.Lock()
	s.daemon = d
	s.mu.Unlock()
	s.record(audit.Event{Kind: audit.Start, Detail: s.summary()})

	// The audit log goes on after everything else has stopped.
	logCtx, stopLog := context.WithCancel(context.WithoutCancel(ctx))
	var log sync.WaitGroup
	log.Go(func() { s.audit.Run(logCtx) })
	defer func() {
		s.record(audit.Event{Kind: audit.Stop})
		stopLog()
		log.Wait()
	}()

	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer s.old.Wait()
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { s.scanners.Run(ctx) })
	wg.Go(func() { s.auth.Run(ctx) })
	wg.Go(func() { s.care(ctx) })
	wg.Go(func() {
		if err := control.Serve(ctx, listener, s.operations()); err != nil {
			s.log.Error("other commands cannot reach this service", "err", err)
		}
	})
	return d.Run(ctx)
}

// changed is told what the inventory sees.
func (s *Station) changed(c inventory.Change) {
	s.mu.Lock()
	serving := s.daemon != nil
	s.mu.Unlock()
	if !serving {
		return
	}
	log := s.log.With("driver", c.Driver)
	if c.Scanner != nil {
		log = log.With("scanner", c.ID)
	}
	if c.Trouble != nil && c.Kind == inventory.Troubled {
		log.Warn("scanner trouble", "err", c.Trouble)
	} else {
		log.Info("scanner", "what", c.Kind.String())
	}
	if c.Scanner == nil {
		return
	}
	for _, d := range s.take([]inventory.Entry{c.Entry}) {
		s.serveDevice(d)
		s.wake()
	}
}

// wake lets care look at once.
func (s *Station) wake() {
	select {
	case s.look <- struct{}{}:
	default:
	}
}

// care keeps keys in order until ctx ends: those that could not be used are
// tried again, those that are due are rotated, devices that were never
// registered are, where that can be done without a person.
func (s *Station) care(ctx context.Context) {
	tick := time.NewTicker(careTime)
	defer tick.Stop()
	next := map[string]time.Time{} // when to try again what failed, by device
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
		s.mend(ctx)
		for _, name := range s.dutiful() {
			if time.Now().Before(next[name]) {
				continue
			}
			if err := s.attend(ctx, name); err != nil && ctx.Err() == nil {
				next[name] = time.Now().Add(s.set.Due(name).Retry)
				s.log.Warn("key is due and could not be certified", "device", name, "err", err, "next", next[name].UTC())
			}
		}
	}
}

// mend looks again at keys that could not be used, and arms what they are for.
func (s *Station) mend(ctx context.Context) {
	var waiting []device
	for _, d := range s.known() {
		if _, err := s.keysOf(d.name); err != nil {
			waiting = append(waiting, d)
		}
	}
	if len(waiting) == 0 {
		return
	}
	if err := s.set.Reload(ctx); err != nil {
		s.log.Debug("keys cannot be used yet", "err", err)
	}
	for _, d := range waiting {
		if _, err := s.keysOf(d.name); err == nil {
			s.arm(d)
		}
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
// can be asked.
func (s *Station) attend(ctx context.Context, name string) error {
	issuer, err := s.issuer(name)
	if err != nil {
		return err
	}
	status := s.set.Status(name)
	if issuer == nil || status.Requested {
		return nil // a person brings certificates
	}
	switch {
	case status.Certificate == nil && status.Origin == "":
		_, err = s.set.Provision(ctx, provision.Device{Name: name, Serial: s.serial(name)}, issuer)
	case status.Rotate:
		_, err = s.set.Rotate(ctx, name, issuer)
	default:
		return nil
	}
	s.renewed(ctx, name)
	return err
}

// renewed puts the new key of a device to use, and destroys the old one when
// nobody can use it any more.
func (s *Station) renewed(ctx context.Context, name string) {
	for _, d := range s.known() {
		if d.name == name || name == provision.FTM {
			s.arm(d)
		}
	}
	if s.server(sbi.Registration) == nil && s.server(sbi.Auth) == nil {
		return // nobody captures: the next start destroys it
	}
	s.old.Go(func() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(retireTime):
		}
		if err := s.set.Retire(ctx, name); err != nil {
			s.log.Warn("an old key is left", "device", name, "err", err)
		}
	})
}
