package capture

import (
	"context"
	"errors"
	"time"

	"sbid/capture/iso19794"
	"sbid/driver"
)

// A preview is the one look at a scanner that a capture may take over.
type preview struct {
	*hold
	target driver.Target
	show   func(View)
	stop   context.CancelCauseFunc
	over   chan struct{} // closed by EndPreview
	taken  bool          // by a capture; guarded by Scanner.mu
}

// live says whether the preview still wants the scanner.
func (p *preview) live() bool { return p != nil && !p.taken && p.hold.live() }

// Preview shows what the scanner sees until ctx ends, the scanner fails or the
// capture that took it over is followed by EndPreview; only a failure is an
// error. show must not block. A scanner in use is ErrBusy.
func (s *Scanner) Preview(ctx context.Context, target driver.Target, show func(View)) error {
	loop, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p := &preview{hold: newHold(ctx), target: target, show: show, stop: stop, over: make(chan struct{})}
	if err := s.beginPreview(ctx, p); err != nil {
		return err
	}
	defer s.forget(p)
	err := s.watch(loop, p)
	if errors.Is(err, errTaken) {
		select {
		case <-p.over:
		case <-ctx.Done():
		}
		return nil
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// beginPreview takes the scanner for a preview.
func (s *Scanner) beginPreview(ctx context.Context, p *preview) error {
	for {
		s.mu.Lock()
		before, old := s.capture, s.preview
		if before.live() || old.live() {
			s.mu.Unlock()
			return ErrBusy
		}
		if before == nil {
			if old != nil && old.taken { // its capture is done; only the answer is still on its way
				close(old.over)
			}
			s.preview = p
			s.mu.Unlock()
			if old == nil {
				return nil
			}
			if err := old.wait(ctx); err != nil {
				close(p.released)
				s.forget(p)
				return err
			}
			return nil
		}
		s.mu.Unlock()
		if err := before.wait(ctx); err != nil {
			return err
		}
	}
}

// watch shows frames until loop ends, and lets go of the scanner.
func (s *Scanner) watch(loop context.Context, p *preview) error {
	defer close(p.released)
	return s.look(loop, p.target, iso19794.Registration, func(v View) bool {
		p.show(v)
		return true
	})
}

func (s *Scanner) forget(p *preview) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastUse = time.Now()
	if s.preview == p {
		s.preview = nil
	}
}

// EndPreview ends a preview that a capture took over. The caller does it once
// the capture's answer is on its way: some clients burn a processor core from
// the end of their stream until they have the answer.
func (s *Scanner) EndPreview() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.preview; p != nil && p.taken && s.capture == nil {
		s.preview = nil
		close(p.over)
	}
}

// PreviewTaken says whether a capture has taken the preview over, so that
// EndPreview will end it.
func (s *Scanner) PreviewTaken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.preview != nil && s.preview.taken
}
