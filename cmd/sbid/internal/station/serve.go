package station

import (
	"context"
	"io"
	"sync"

	"sbid/attest/audit"
	"sbid/capture/inventory"
	"sbid/cmd/internal/daemon"
	"sbid/cmd/sbid/internal/control"
)

// Serve serves the machine's scanners until ctx ends, and returns when all that
// it started has stopped. Each endpoint is announced on stdout.
func (s *Station) Serve(ctx context.Context, options daemon.Options, stdout io.Writer) (err error) {
	d, err := options.New(ctx, daemon.Settings{
		Environment: s.config.Environment, Report: s.captured, SigningFailed: s.signingFailed,
	}, s.log, stdout)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.daemon = d
	s.mu.Unlock()
	s.announce()

	// The audit log goes on after everything else has stopped.
	logCtx, stopLog := context.WithCancel(context.WithoutCancel(ctx))
	var log sync.WaitGroup
	if s.audit != nil {
		log.Go(func() { s.audit.Run(logCtx) })
	}
	defer func() {
		s.record(audit.Event{Kind: audit.Stop})
		stopLog()
		log.Wait()
	}()

	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { s.scanners.Run(ctx) })
	wg.Go(func() { s.auth.Run(ctx) })
	wg.Go(func() { s.welcome(ctx) })
	wg.Go(func() { s.care(ctx) })
	wg.Go(func() { s.answer(ctx) })
	return d.Run(ctx)
}

// announce writes down how the service starts, and says what a level is worth.
func (s *Station) announce() {
	s.record(audit.Event{Kind: audit.Start, Detail: s.summary()})
	s.recordConfiguration()
	if s.config.Level == "L1" {
		s.log.Warn("the configuration claims level L1: this service encodes and encrypts biometrics outside of the trust module, " +
			"so the claim is true only where the adopter has accepted this machine in writing")
	}
	if s.set != nil && len(s.config.Certificates.DeviceRoots) == 0 {
		s.log.Warn("the configuration names no roots: a certificate of any issuer is accepted")
	}
}

// answer serves the other commands. Without it captures go on all the same.
func (s *Station) answer(ctx context.Context) {
	listener, err := control.Listen(ctx, s.config.State)
	if err == nil {
		err = control.Serve(ctx, listener, s.operations())
	}
	if err != nil {
		s.log.Error("other commands cannot reach this service", "err", err)
	}
}

// changed is told what the inventory sees. It does no more than leave word: the
// inventory waits for it, and keys may be slow.
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
	added := s.take(c.Entry)
	s.mu.Lock()
	s.fresh = append(s.fresh, added...)
	s.mu.Unlock()
	poke(s.arrived)
}

// welcome serves new devices until ctx ends.
func (s *Station) welcome(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.arrived:
		}
		s.mu.Lock()
		fresh := s.fresh
		s.fresh = nil
		s.mu.Unlock()
		for _, d := range fresh {
			s.serveDevice(d)
		}
		poke(s.look)
	}
}

// signingFailed is told whose key could not sign: care looks at it.
func (s *Station) signingFailed(name string, _ error) {
	s.mu.Lock()
	s.suspect[name] = true
	s.mu.Unlock()
	poke(s.look)
}

// poke leaves word; one that still waits to be heard is enough.
func poke(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
