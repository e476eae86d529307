package zfm_test

import (
	"context"
	"testing"

	"sbid/driver"
	"sbid/driver/zfm"
	"sbid/simulator/serial"
)

// cut starts a capture and cancels it in the middle of an image, on a line that
// then carries the rest for a while.
func cut(t *testing.T, twin *serial.Twin, s driver.Scanner) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reached, done := twin.Hold(serial.StageImage), make(chan struct{})
	go func() {
		defer close(done)
		<-reached
		cancel()
		twin.Release()
	}()
	for f, err := range s.Frames(ctx, driver.Target{}) {
		t.Fatalf("a frame of %+v, %v from a cancelled capture", f.Native, err)
	}
	<-done
}

// A module cannot stop sending. The next command must wait until it has.
func TestCancelledImageIsReadToItsEnd(t *testing.T) {
	d, twin := with(t, serial.EF01{Pace: 2}, zfm.Config{})
	twin.Show(ridges())
	s := open(t, d)
	cut(t, twin, s)
	for _, err := range s.Frames(t.Context(), driver.Target{}) {
		if err != nil {
			t.Error("the next frame:", err)
		}
		break
	}
	cut(t, twin, s)
	if err := s.Close(); err != nil {
		t.Error("close:", err)
	}
	if _, err := capture(t, d); err != nil {
		t.Error("the next capture:", err)
	}
}
