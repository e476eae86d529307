package capture

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"sbid/capture/iso19794"
	"sbid/driver"
	"sbid/driver/zfm"
	"sbid/simulator"
	"sbid/simulator/serial"
)

// A person at a real driver's module does what the preview says and nothing
// before: both thumbs, finger after finger, over a serial line.
func TestThumbsOverASerialLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tty")
	module, err := serial.StartEF01(path, serial.EF01{Width: 192, Height: 192, Product: "R503", Serial: "00000001"})
	if err != nil {
		t.Fatal(err)
	}
	defer module.Close()
	drv, err := zfm.New(zfm.Config{Ports: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	infos, err := drv.Probe(t.Context())
	if err != nil || len(infos) != 1 {
		t.Fatal(infos, err)
	}
	s := NewScanner(drv, infos[0])
	person := simulator.NewPerson(3)
	thumbs := driver.Finger.Positions(driver.Both)

	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	var wg sync.WaitGroup
	defer wg.Wait()
	var mu sync.Mutex
	var told []Hint
	watching := make(chan struct{})
	wg.Go(func() {
		_ = s.Preview(ctx, driver.Target{Sensor: driver.Both, Positions: thumbs}, func(v View) {
			mu.Lock()
			defer mu.Unlock()
			if len(told) == 0 {
				close(watching)
			} else if v.Hint == NoHint || v.Hint == told[len(told)-1] {
				return
			}
			told = append(told, v.Hint)
			if v.Hint == LiftFinger {
				module.Show(nil)
			} else {
				module.Show(person.Finger(driver.RightThumb+driver.Position(v.Hint-PlaceRightThumb), simulator.Impression{}))
			}
		})
	})
	<-watching
	samples, err := s.Capture(t.Context(), Request{
		Sensor: driver.Both, Positions: thumbs, OneByOne: true,
		Score: 1, Timeout: 30 * time.Second, Profile: iso19794.Registration,
	})
	s.EndPreview()
	if err != nil || len(samples) != 2 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	if resting(samples[0].Image, samples[1].Image) {
		t.Error("one thumb was taken for both")
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []Hint{PlaceLeftThumb, LiftFinger, PlaceRightThumb}; !slices.Equal(told, want) {
		t.Errorf("the person was told %v, want %v", told, want)
	}
	if err := s.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}
