package drivertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"sbid/driver"
)

func testAfresh(t *testing.T, h Harness) {
	b := h.begin(t)
	b.twin.Show(h.Picture)
	s := b.open()
	for range 3 {
		b.take(s, 1)
	}
}

// idleFor is how long the suite watches a driver that has nothing to do.
const idleFor = time.Second

// testIdle sees that a driver with nothing before its scanner neither spins nor
// fails, and ends with its context.
func testIdle(t *testing.T, h Harness) {
	b := h.begin(t)
	s, info := b.open(), b.probe()
	ctx, stop := context.WithTimeout(b.ctx, idleFor)
	defer stop()
	asked, used := b.twin.Requests(), processorTime()
	n, err := watch(ctx, s, info, -1)
	if late := time.Since(deadline(ctx)); late > bound {
		t.Errorf("frames ended %v after their context", late)
	}
	if err != nil && ctx.Err() == nil {
		t.Error("with nothing on the scanner:", err)
	}
	if n > 0 && !h.Streams {
		t.Errorf("%d frames of nothing", n)
	}
	if asked = b.twin.Requests() - asked; asked > 100 {
		t.Errorf("the scanner was asked %d times in %v", asked, idleFor)
	}
	if used = processorTime() - used; used > idleFor/2 && !h.Streams {
		t.Errorf("waiting %v took %v of processor time", idleFor, used)
	}
}

func deadline(ctx context.Context) time.Time {
	d, _ := ctx.Deadline()
	return d
}

func testLifted(t *testing.T, h Harness) {
	b := h.begin(t)
	s, info := b.open(), b.probe()
	b.twin.Show(h.Picture)
	b.take(s, 1)
	b.twin.Show(nil)
	ctx, stop := context.WithTimeout(b.ctx, idleFor/2)
	defer stop()
	n, err := watch(ctx, s, info, -1)
	if n > 0 && !h.Streams || err != nil && ctx.Err() == nil {
		t.Errorf("after lifting: %d frames, %v", n, err)
	}
	b.twin.Show(h.Picture)
	b.take(s, 1)
}

// held starts a capture that stops at a stage, and returns when it has.
func (b *bench) held(ctx context.Context, stage string) <-chan error {
	b.t.Helper()
	info := b.probe()
	b.twin.Show(b.Picture)
	reached := b.twin.Hold(stage)
	ended := make(chan error, 1)
	go func() {
		_, err := b.capture(ctx, info, -1)
		ended <- err
	}()
	select {
	case <-reached:
	case err := <-ended:
		b.t.Fatalf("the capture ended before stage %s: %v", stage, err)
	case <-b.ctx.Done():
		b.t.Fatalf("the capture did not come to stage %s", stage)
	}
	return ended
}

// closing is what closing a scanner may take after a capture was cut off.
const closing = 3 * time.Second

// testCancel cancels at a stage where the scanner does not answer. After that
// the scanner must be of use again.
func testCancel(t *testing.T, h Harness, stage string) {
	b := h.begin(t)
	info := b.probe()
	b.twin.Show(h.Picture)
	reached := b.twin.Hold(stage)
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	var cancelled time.Time
	noticed := make(chan struct{})
	go func() {
		defer close(noticed)
		select {
		case <-reached:
		case <-b.ctx.Done():
		}
		cancelled = time.Now()
		cancel()
	}()
	s, err := b.drv.Open(ctx, info.Addr)
	var frames error
	if err == nil {
		_, frames = watch(ctx, s, info, -1)
	}
	<-noticed
	if late := time.Since(cancelled); late > bound {
		t.Errorf("ended %v after being cancelled", late)
	}
	if errors.Is(err, driver.ErrRemoved) || errors.Is(frames, driver.ErrRemoved) {
		t.Errorf("cancelled, it says the scanner was removed: %v, %v", err, frames)
	}
	b.twin.Release()
	if s != nil {
		start := time.Now()
		b.take(s, 1)
		s.Close()
		if took := time.Since(start); took > h.Patience {
			t.Errorf("the next frame took %v", took)
		}
	}
	if n, err := b.capture(b.ctx, info, 1); n != 1 || err != nil {
		t.Errorf("the next capture: %d frames, %v", n, err)
	}
}

// testUnplug unplugs at a stage.
func testUnplug(t *testing.T, h Harness, stage string) {
	b := h.begin(t)
	ended := b.held(b.ctx, stage)
	b.twin.Unplug()
	unplugged := time.Now()
	if err := <-ended; !errors.Is(err, driver.ErrRemoved) {
		t.Errorf("unplugged at stage %s: %v; want an ErrRemoved", stage, err)
	}
	if late := time.Since(unplugged); late > bound+closing {
		t.Errorf("unplugging was noticed after %v", late)
	}
	if err := b.twin.Plug(); err != nil {
		t.Fatal(err)
	}
	if n, err := b.capture(b.ctx, b.probe(), 1); n != 1 || err != nil {
		t.Errorf("plugged in again: %d frames, %v", n, err)
	}
}

// testResume stops the scanner at a stage for a moment.
func testResume(t *testing.T, h Harness, stage string) {
	b := h.begin(t)
	b.twin.Show(h.Picture)
	s := b.open()
	reached := b.twin.Hold(stage)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-reached:
		case <-b.ctx.Done():
		}
		b.twin.Release()
	}()
	b.take(s, 2)
	<-done
}

func testMended(t *testing.T, h Harness, fault string) {
	b := h.begin(t)
	b.twin.Show(h.Picture)
	s := b.open()
	b.twin.Misbehave(fault)
	f := b.take(s, 2)[1]
	if h.Check != nil {
		h.Check(t, f)
	}
}

// testFatal has the scanner fail for good in the middle of its use: that is
// said, in time. Mended, it must be of use again.
func testFatal(t *testing.T, h Harness, fault string) {
	b := h.begin(t)
	b.twin.Show(h.Picture)
	info := b.probe()
	s := b.open()
	b.take(s, 1)
	b.twin.Misbehave(fault)
	n, err := watch(b.ctx, s, info, 100)
	if err == nil || b.ctx.Err() != nil {
		t.Errorf("with %s: %d frames, %v; want an error in time", fault, n, err)
	}
	if errors.Is(err, driver.ErrRemoved) {
		t.Errorf("with %s: %v, though it is plugged in", fault, err)
	}
	s.Close()
	b.twin.Misbehave("")
	if n, err := b.capture(b.ctx, info, 1); n != 1 || err != nil {
		t.Errorf("after %s: %d frames, %v", fault, n, err)
	}
}
