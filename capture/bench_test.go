package capture

import (
	"context"
	"testing"
	"time"

	"sbid/capture/iso19794"
	"sbid/driver"
)

// BenchmarkWatchdog measures what a frame costs on its way through the watchdog,
// beside looking at one finger.
func BenchmarkWatchdog(b *testing.B) {
	frame := finger(1)
	target := driver.Target{Positions: []driver.Position{driver.RightIndex}}
	f := &fake{frames: func(ctx context.Context, _ driver.Target, yield func(driver.Frame, error) bool) {
		for yield(frame, nil) && ctx.Err() == nil {
		}
	}}
	take := func(n int, frames func(func(driver.Frame, error) bool)) time.Duration {
		begin := time.Now()
		frames(func(driver.Frame, error) bool {
			n--
			return n > 0
		})
		return time.Since(begin)
	}
	ctx := b.Context()
	s := f.scanner(true)
	v, err := s.admit(ctx)
	if err != nil {
		b.Fatal(err)
	}
	if err := s.open(ctx, v); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	guarded := take(b.N, v.frames(ctx, true, target, func() {}))
	b.StopTimer()
	bare := take(b.N, f.Frames(ctx, target))
	s.leave(v)
	if err := s.Wait(ctx); err != nil {
		b.Fatal(err)
	}
	const looks = 20
	begin := time.Now()
	for range looks {
		analyse(frame, target, iso19794.Registration)
	}
	look := time.Since(begin) / looks
	b.ReportMetric(float64(guarded-bare)/float64(b.N)/float64(look), "of-a-look")
}
