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
	claim
	target driver.Target
	show   func(View)
	stop   context.CancelCauseFunc
	over   chan struct{} // closed by EndPreview
	taken  bool          // by a capture; guarded by Scanner.mu
}

// live says whether the preview still wants the scanner.
func (p *preview) live() bool { return p != nil && !p.taken && p.claim.live() }

// Preview shows what the scanner sees until ctx ends, the scanner fails or the
// capture that took it over is followed by EndPreview; only a failure is an
// error. show must not block. From a scanner without a picture it gets the last
// one again, or a View without any. A scanner in use is ErrBusy.
func (s *Scanner) Preview(ctx context.Context, target driver.Target, show func(View)) error {
	loop, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p := &preview{claim: claim{gone: ctx.Done()}, target: target, show: show, stop: stop, over: make(chan struct{})}
	if err := s.beginPreview(p); err != nil {
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
func (s *Scanner) beginPreview(p *preview) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.preview
	if s.capture.live() || old.live() {
		return ErrBusy
	}
	if old != nil && old.taken { // its capture is done; only the answer is still on its way
		close(old.over)
	}
	s.preview = p
	return nil
}

// watch shows frames until loop ends.
func (s *Scanner) watch(loop context.Context, p *preview) error {
	v, err := s.admit(loop)
	if err != nil {
		return err
	}
	defer s.leave(v)
	if err := s.open(loop, v); err != nil {
		return err
	}
	target := s.reachable(p.target)
	shown := screen{show: p.show, last: View{Hint: prompt(target)}}
	return s.look(loop, v, target, iso19794.Registration, func(view View) bool {
		shown.view(view)
		return true
	}, shown.again)
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

// A screen keeps what a preview shows while the scanner has no picture.
type screen struct {
	show func(View)
	last View
}

// view shows v. Where that is only a hint, it stands under the picture before.
func (s *screen) view(v View) {
	if v.blank() {
		v.Frame, v.Marks = s.last.Frame, s.last.Marks
	}
	s.last = v
	s.show(v)
}

func (s *screen) again() { s.show(s.last) }
