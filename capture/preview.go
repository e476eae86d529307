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
	target   driver.Target
	show     func(View)
	stop     context.CancelCauseFunc
	released chan struct{} // closed when the preview has let go of the scanner
	over     chan struct{} // closed by EndPreview
	taken    bool          // by a capture; guarded by Scanner.mu
}

// Preview shows what the scanner sees until ctx ends, the scanner fails or the
// capture that took it over is followed by EndPreview; only a failure is an
// error. show must not block. A scanner in use is ErrBusy.
func (s *Scanner) Preview(ctx context.Context, target driver.Target, show func(View)) error {
	loop, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p := &preview{target: target, show: show, stop: stop, released: make(chan struct{}), over: make(chan struct{})}
	s.mu.Lock()
	if s.capturing || s.preview != nil && !s.preview.taken {
		s.mu.Unlock()
		return ErrBusy
	}
	if s.preview != nil { // its capture is done; only the answer is still on its way
		close(s.preview.over)
	}
	s.preview = p
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.lastUse = time.Now()
		if s.preview == p {
			s.preview = nil
		}
		s.mu.Unlock()
	}()

	err := s.look(loop, target, iso19794.Registration, func(v View) bool {
		show(v)
		return true
	})
	close(p.released)
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

// EndPreview ends a preview that a capture took over. The caller does it once
// the capture's answer is on its way: some clients burn a processor core from
// the end of their stream until they have the answer.
func (s *Scanner) EndPreview() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.preview; p != nil && p.taken && !s.capturing {
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
