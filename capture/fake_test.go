package capture

import (
	"context"
	"image"
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sbid/capture/iso19794"
	"sbid/driver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fake is a driver with one scanner that does what the test says.
type fake struct {
	// What happens in the calls; nil is nothing out of the ordinary.
	open   func(context.Context) error
	frames func(context.Context, driver.Target, func(driver.Frame, error) bool)
	close  func()

	inside atomic.Int32 // callers of the driver
	twice  atomic.Bool  // there was more than one

	mu      sync.Mutex
	opened  int
	addrs   []string
	signals []driver.Signal
}

func (f *fake) ID() string                                   { return "fake" }
func (f *fake) Probe(context.Context) ([]driver.Info, error) { return nil, nil }

// enter notes a call of the driver, and returns its end.
func (f *fake) enter() (leave func()) {
	if f.inside.Add(1) > 1 {
		f.twice.Store(true)
	}
	return func() { f.inside.Add(-1) }
}

func (f *fake) Open(ctx context.Context, addr string) (driver.Scanner, error) {
	defer f.enter()()
	f.mu.Lock()
	f.opened++
	f.addrs = append(f.addrs, addr)
	f.mu.Unlock()
	if f.open != nil {
		if err := f.open(ctx); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *fake) Frames(ctx context.Context, want driver.Target) iter.Seq2[driver.Frame, error] {
	return func(yield func(driver.Frame, error) bool) {
		defer f.enter()()
		if f.frames == nil {
			<-ctx.Done()
			return
		}
		f.frames(ctx, want, yield)
	}
}

func (f *fake) Close() error {
	defer f.enter()()
	if f.close != nil {
		f.close()
	}
	return nil
}

// Indicate is called by whoever consumes the frames: between two of them.
func (f *fake) Indicate(_ context.Context, signal driver.Signal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.signals = append(f.signals, signal)
	return nil
}

func (f *fake) shown() []driver.Signal {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.signals)
}

func (f *fake) opens() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened
}

// scanner returns the fake's scanner, for single fingers.
func (f *fake) scanner(streams bool) *Scanner {
	return NewScanner(f, driver.Info{
		Addr: "0", Modality: driver.Finger, Sensors: []driver.Sensor{driver.Single},
		Abilities: driver.Abilities{Streams: streams},
	})
}

// every yields the same frame at an interval, until ctx ends.
func every(interval time.Duration, frame driver.Frame) func(context.Context, driver.Target, func(driver.Frame, error) bool) {
	return func(ctx context.Context, _ driver.Target, yield func(driver.Frame, error) bool) {
		for yield(frame, nil) && pause(ctx, interval) {
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

var pictures sync.Map // by number: the race detector makes painting slow

// picture shows a finger; another number is another finger.
func picture(number int) *image.Gray {
	if img, ok := pictures.Load(number); ok {
		return img.(*image.Gray)
	}
	img := image.NewGray(image.Rect(0, 0, 240, 320))
	x0, y0 := 120+70*math.Sin(float64(5*number)), 420+60*math.Cos(float64(3*number))
	for y := range 320 {
		for x := range 240 {
			r := math.Hypot(float64(x)-x0, float64(y)-y0)
			img.Pix[img.PixOffset(x, y)] = uint8(128 + 90*math.Sin(2*math.Pi*r/9))
		}
	}
	pictures.Store(number, img)
	return img
}

func finger(number int) driver.Frame { return driver.Frame{Image: picture(number), DPI: 500} }

// glass is a platen with nothing on it.
func glass() driver.Frame {
	img := image.NewGray(image.Rect(0, 0, 240, 320))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	return driver.Frame{Image: img, DPI: 500}
}

// one is a request for any finger.
func one(timeout time.Duration) Request {
	return Request{Positions: []driver.Position{driver.UnknownFinger}, Score: 1, Timeout: timeout, Profile: iso19794.Registration}
}
