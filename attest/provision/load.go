package provision

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"sbid/attest"
	"sbid/attest/internal/statedir"
)

// keepOld is how many certificates of destroyed keys are kept to look at: with
// a rotation a month, those that are not expired yet.
const keepOld = 4

// A holder is whoever has keys: a device, or the FTM. It does not change.
type holder struct {
	current *generation // nil if none can be used
	reason  error       // why current is nil
	// passed: there is a later generation than current, which cannot be used.
	passed bool
	latest record // of the latest generation whose file can be read
}

// A generation is one that is in use, and right but perhaps for the time.
type generation struct {
	record   record
	identity *attest.Identity
}

func (g *generation) leaf() *x509.Certificate { return g.identity.Certificate() }

func (h holder) usable(now time.Time) error {
	switch {
	case h.current != nil:
		return checkTime(h.current.leaf(), now)
	case h.reason != nil:
		return h.reason
	case h.latest.pending():
		return errWaiting
	}
	return errNeverProvisioned
}

func (s *Set) holder(name string) holder {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.holders[name]
}

func (s *Set) setHolder(name string, h holder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holders[name] = h
}

// load makes the latest generation that can be used the current one. An error
// means that the directory could not be read.
func (s *Set) load(ctx context.Context, name string) error {
	files, err := s.list()
	if err != nil {
		return err
	}
	was, h := s.holder(name), holder{}
	for _, number := range files[name] {
		r, err := s.read(name, number)
		if err == nil && h.latest.Name == "" {
			h.latest = r
		}
		if err == nil && !r.inUse() {
			continue
		}
		var g *generation
		if err == nil {
			g, err = s.openGeneration(ctx, r)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			h.current = g
			break
		}
		if h.reason == nil {
			// Of the latest: those before it have no keys any more.
			h.reason, h.passed = err, true
			if was.reason == nil || was.reason.Error() != err.Error() { // no news otherwise
				s.changed(record{Name: name, Generation: number, Serial: r.Serial}.about(Unusable, err))
			}
		}
	}
	if len(files[name]) > 0 || was.latest.Name != "" {
		s.setHolder(name, h)
	}
	return nil
}

// openGeneration opens one that is in use.
func (s *Set) openGeneration(ctx context.Context, r record) (*generation, error) {
	if r.Destroyed {
		return nil, fmt.Errorf("%w: it was replaced by a later one, of which nothing is left", attest.ErrKeyLost)
	}
	chain, err := r.chain()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, s.path(r.Name, r.Generation), err)
	}
	signer, err := s.config.Keys.Signer(ctx, r.key())
	if errors.Is(err, attest.ErrNoKey) {
		// It was made, and certified.
		return nil, fmt.Errorf("%w: there is a certificate of it, but the key store has it no more: %s", attest.ErrKeyLost, err.Error())
	}
	if err != nil {
		return nil, err
	}
	identity, err := s.identify(r, signer, chain, s.config.Now())
	if err != nil {
		return nil, fmt.Errorf("certificate in %s: %w", s.path(r.Name, r.Generation), err)
	}
	if err := try(identity); err != nil {
		return nil, err
	}
	return &generation{r, identity}, nil
}

// tidy destroys what was begun and not finished. What cannot be destroyed now
// is left for the next time.
func (s *Set) tidy(ctx context.Context, name string) {
	files, err := s.list()
	if err != nil {
		s.changed(Event{Kind: LeftBehind, Name: name, Err: err})
		return
	}
	for _, number := range files[name] {
		if err := s.abandon(ctx, name, number); err != nil {
			s.changed(record{Name: name, Generation: number}.about(LeftBehind, err))
		}
	}
}

// abandon destroys a generation that was begun and not finished; any other it
// leaves alone, and one whose file is damaged, too. The FTM key stays.
func (s *Set) abandon(ctx context.Context, name string, number int) error {
	r, err := s.read(name, number)
	if errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrNotExist) || err == nil && !r.begun() {
		return nil
	}
	if err != nil {
		return err
	}
	return s.destroy(ctx, r)
}

// destroy destroys the key of a generation, then the file that says that there
// may be a key. It does so even if ctx has ended: that may be the reason.
func (s *Set) destroy(ctx context.Context, r record) error {
	if err := s.destroyKey(ctx, r); err != nil {
		return err
	}
	return statedir.Remove(s.path(r.Name, r.Generation))
}

func (s *Set) destroyKey(ctx context.Context, r record) error {
	if r.Name == FTM {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	names, err := s.config.Keys.List(ctx)
	if err != nil {
		return err
	}
	// Also where there is none: it may have been half made.
	if err := s.config.Keys.Delete(ctx, r.key()); err != nil {
		return err
	}
	if slices.Contains(names, r.key()) {
		s.changed(r.about(KeyDestroyed, nil))
	}
	return nil
}

// retire destroys the keys before the current generation's, and all but some of
// their certificates. If a later generation cannot be used just now, everything
// stays as it is.
func (s *Set) retire(ctx context.Context, name string) error {
	h := s.holder(name)
	if h.current == nil || h.passed {
		return nil
	}
	files, err := s.list()
	if err != nil {
		return err
	}
	var errs []error
	kept := 0
	for _, number := range files[name] {
		if number >= h.current.record.Generation {
			continue
		}
		kept++
		if err := s.retireOne(ctx, name, number, kept <= keepOld); err != nil {
			errs = append(errs, err)
			s.changed(record{Name: name, Generation: number}.about(LeftBehind, err))
		}
	}
	return errors.Join(errs...)
}

// retireOne destroys the key of a generation before the current. It keeps its
// certificates, if it has any and is told to.
func (s *Set) retireOne(ctx context.Context, name string, number int, keep bool) error {
	r, err := s.read(name, number)
	if err != nil {
		keep, r = false, record{Name: name, Generation: number}
	}
	if !keep || !r.inUse() {
		return s.destroy(ctx, r)
	}
	if r.Destroyed || name == FTM {
		return nil
	}
	if err := s.destroyKey(ctx, r); err != nil {
		return err
	}
	r.Destroyed = true
	return s.write(r)
}
