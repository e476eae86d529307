package v4l2

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A call that hangs is left at the end of its context; what it did is taken back
// before the next one begins.
func TestLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLane()
		dropped := 0
		slow := func() (int, error) {
			time.Sleep(5 * time.Second)
			return 7, nil
		}
		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		begin := time.Now()
		if v, err := do(ctx, l, slow, func(v int) { dropped += v }); v != 0 || !errors.Is(err, cause) || time.Since(begin) != time.Second {
			t.Errorf("a call that hangs: %d, %v after %v", v, err, time.Since(begin))
		}
		if _, err := do(ctx, l, slow, nil); !errors.Is(err, cause) {
			t.Errorf("a call behind it, when its time is over: %v", err)
		}
		v, err := do(t.Context(), l, func() (int, error) { return dropped, nil }, nil)
		if v != 7 || err != nil || time.Since(begin) != 5*time.Second {
			t.Errorf("the next call finds %d taken back, %v after %v; want 7 after 5s", v, err, time.Since(begin))
		}
		failed := errors.New("failed")
		if _, err := do(t.Context(), l, func() (int, error) { return 0, failed }, nil); !errors.Is(err, failed) {
			t.Errorf("a call that fails: %v", err)
		}
	})
}
