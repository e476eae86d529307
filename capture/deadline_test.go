package capture_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"iter"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"sbid/capture"
	"sbid/capture/iso19794"
	"sbid/driver"
)

// slowToStop is a scanner with a finger on it. It shows it once, and takes a
// second to let go of the platen's light.
type slowToStop struct{}

func (slowToStop) ID() string                                       { return "slow" }
func (slowToStop) Probe(ctx context.Context) ([]driver.Info, error) { return nil, ctx.Err() }
func (slowToStop) Close() error                                     { return nil }

func (s slowToStop) Open(ctx context.Context, addr string) (driver.Scanner, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open %s: %w", addr, err)
	}
	return s, nil
}

func (slowToStop) Frames(context.Context, driver.Target) iter.Seq2[driver.Frame, error] {
	return func(yield func(driver.Frame, error) bool) {
		img := image.NewGray(image.Rect(0, 0, 300, 400))
		for y := range 400 {
			for x := range 300 {
				ridge := math.Sin(2 * math.Pi * (float64(y) + 8*math.Sin(float64(x)/60)) / 9)
				img.Pix[y*img.Stride+x] = uint8(128 + 100*ridge)
			}
		}
		yield(driver.Frame{Image: img, DPI: 500}, nil)
		time.Sleep(time.Second)
	}
}

// The second of two fingers has no time left when the scanner is slow to let go
// of the first: that is a finger that was not there in time, not a fault of the
// service.
func TestNoTimeLeftForAnotherFinger(t *testing.T) {
	for timeout, want := range map[time.Duration]error{
		500 * time.Millisecond: capture.ErrNothing,
		5 * time.Second:        nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			scanner := capture.NewScanner(slowToStop{}, driver.Info{Addr: "0", Modality: driver.Finger, Sensors: []driver.Sensor{driver.Single}})
			samples, err := scanner.Capture(t.Context(), capture.Request{
				Positions: []driver.Position{driver.UnknownFinger, driver.UnknownFinger},
				Score:     1, Timeout: timeout, Profile: iso19794.Auth,
			})
			if !errors.Is(err, want) || want == nil && len(samples) != 2 {
				t.Errorf("%v: %d samples, %v, want %v", timeout, len(samples), err, want)
			}
			if err := scanner.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
