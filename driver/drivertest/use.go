package drivertest

import (
	"context"
	"image"
	"sync"
	"testing"
	"time"

	"sbid/driver"
)

// bound is how long a driver may take to end after its context did.
const bound = time.Second

// A bench is a driver and its twin under test.
type bench struct {
	Harness

	t    *testing.T
	drv  driver.Driver
	twin Twin
	ctx  context.Context //nolint:containedctx // the test's: a bench lives no longer
}

// begin returns a bench whose calls end with the harness's patience.
func (h Harness) begin(t *testing.T) *bench {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), h.Patience)
	t.Cleanup(stop)
	drv, twin := h.New(t)
	return &bench{Harness: h, t: t, drv: drv, twin: twin, ctx: ctx}
}

// probe returns the one scanner.
func (b *bench) probe() driver.Info {
	b.t.Helper()
	infos, err := b.drv.Probe(b.ctx)
	if err != nil || len(infos) != 1 {
		b.t.Fatalf("probe: %d scanners, %v; want the one that is plugged in", len(infos), err)
	}
	return infos[0]
}

// A closer lets a test close its scanner early, while drivers are promised one
// call.
type closer struct {
	driver.Scanner
	close func() error
}

func (c closer) Close() error { return c.close() }

// open opens the scanner; it is closed at the end of the test, if not before.
func (b *bench) open() driver.Scanner {
	b.t.Helper()
	s, err := b.drv.Open(b.ctx, b.probe().Addr)
	if err != nil {
		b.t.Fatal("open:", err)
	}
	c := closer{s, sync.OnceValue(s.Close)}
	b.t.Cleanup(func() { c.Close() })
	return c
}

// target asks for what a scanner covers with its first sensor.
func target(info driver.Info) driver.Target {
	return driver.Target{Sensor: info.Sensors[0], Positions: info.Modality.Positions(info.Sensors[0])}
}

// take returns n frames of one capture.
func (b *bench) take(s driver.Scanner, n int) []driver.Frame {
	b.t.Helper()
	var frames []driver.Frame
	for f, err := range s.Frames(b.ctx, target(b.probe())) {
		if err != nil {
			b.t.Fatalf("frame %d: %v", len(frames)+1, err)
		}
		if frames = append(frames, f); len(frames) == n {
			return frames
		}
	}
	b.t.Fatalf("%d frames came, and no error; want %d", len(frames), n)
	return nil
}

// capture opens the scanner and takes frames until it fails or n came. It
// closes the scanner and returns what went wrong.
func (b *bench) capture(ctx context.Context, info driver.Info, n int) (frames int, err error) {
	s, err := b.drv.Open(ctx, info.Addr)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	return watch(ctx, s, info, n)
}

func watch(ctx context.Context, s driver.Scanner, info driver.Info, n int) (frames int, err error) {
	for _, err := range s.Frames(ctx, target(info)) {
		if err != nil {
			return frames, err
		}
		if frames++; frames == n {
			break
		}
	}
	return frames, nil
}

// pixels returns the samples of an image that the suite compares.
func pixels(img image.Image) []byte {
	switch img := img.(type) {
	case *image.Gray:
		return img.Pix
	case *image.RGBA:
		return img.Pix
	}
	return nil
}

// images lists what a frame shows.
func images(f driver.Frame) []image.Image {
	if f.Image != nil {
		return []image.Image{f.Image}
	}
	var all []image.Image
	for _, p := range f.Parts {
		all = append(all, p.Image)
	}
	return all
}
