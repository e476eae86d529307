package simulator

import (
	"context"
	"errors"
	"image"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sbid/driver"
)

// known are people whose fingers are grown once for all tests that do not mind.
var known = [6]*Person{NewPerson(0), NewPerson(1), NewPerson(2), NewPerson(3), NewPerson(4), NewPerson(5)}

// newFast returns a simulator with one of the known people, whose frames come
// as fast as they are drawn.
func newFast(seed uint64) *Simulator {
	s := New(Config{Seed: seed, Interval: time.Microsecond})
	s.person = known[seed]
	return s
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// frames opens the scanner at addr and returns its first n frames.
func frames(t testing.TB, s *Simulator, addr string, want driver.Target, n int) []driver.Frame {
	t.Helper()
	sc, err := s.Open(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer sc.Close()
	var all []driver.Frame
	for f, err := range sc.Frames(t.Context(), want) {
		if err != nil {
			t.Fatalf("frame %d of %s: %v", len(all), addr, err)
		}
		if all = append(all, f); len(all) == n {
			break
		}
	}
	return all
}

func whole(m driver.Modality, s driver.Sensor) driver.Target {
	return driver.Target{Sensor: s, Positions: m.Positions(s)}
}

// views is one target for every kind of picture there is.
var views = []struct {
	name, addr string
	want       driver.Target
	size       image.Point
}{
	{"left slap", AddrSlap, whole(driver.Finger, driver.Left), image.Pt(1600, 1500)},
	{"right slap", AddrSlap, whole(driver.Finger, driver.Right), image.Pt(1600, 1500)},
	{"thumbs", AddrSlap, whole(driver.Finger, driver.Both), image.Pt(1600, 1500)},
	{"both eyes", AddrIrisDouble, whole(driver.Iris, driver.Both), image.Pt(1280, 480)},
	{"left eye", AddrIrisDouble, whole(driver.Iris, driver.Left), image.Pt(640, 480)},
	{"face", AddrCamera, whole(driver.Face, driver.Single), image.Pt(960, 720)},
	{"exception photo", AddrCamera, driver.Target{Positions: []driver.Position{driver.FullFace}, Exceptions: []driver.Position{driver.LeftLittle, driver.LeftIris}}, image.Pt(1440, 960)},
	{"one finger", AddrFinger, driver.Target{Positions: []driver.Position{driver.LeftThumb}}, image.Pt(400, 500)},
	{"any finger", AddrFinger, driver.Target{Positions: []driver.Position{driver.UnknownFinger}}, image.Pt(400, 500)},
	{"one eye", AddrIris, driver.Target{Positions: []driver.Position{driver.LeftIris}}, image.Pt(640, 480)},
	{"any eye", AddrIris, driver.Target{Positions: []driver.Position{driver.UnknownIris}}, image.Pt(640, 480)},
	{"face again", AddrCameraAuth, whole(driver.Face, driver.Single), image.Pt(960, 720)},
}

func TestEveryViewHasItsSize(t *testing.T) {
	s := newFast(1)
	for _, v := range views {
		f := frames(t, s, v.addr, v.want, 1)[0]
		if got := f.Image.Bounds().Size(); got != v.size {
			t.Errorf("%s: size %v, want %v", v.name, got, v.size)
		}
		if finger := v.want.Positions[0].Modality() == driver.Finger; finger != (f.DPI == 500) {
			t.Errorf("%s: %d dpi", v.name, f.DPI)
		}
	}
}

func TestProbeListsSixScanners(t *testing.T) {
	s := New(Config{Seed: 1})
	infos, err := s.Probe(t.Context())
	if err != nil || len(infos) != 6 {
		t.Fatalf("got %d scanners, %v", len(infos), err)
	}
	serials := map[string]bool{}
	for _, in := range infos {
		if len(in.Serial) < 12 || serials[in.Serial] {
			t.Errorf("%s: serial number %q is short or not its own", in.Addr, in.Serial)
		}
		serials[in.Serial] = true
	}
	named := New(Config{SerialOf: func(addr string) string { return "serial-of-" + addr }})
	if infos, _ := named.Probe(t.Context()); infos[0].Serial != "serial-of-slap" {
		t.Errorf("serial number %q is not the configured one", infos[0].Serial)
	}
}

var anyFinger = driver.Target{Positions: []driver.Position{driver.UnknownFinger}}

func TestUnpluggingEndsFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Images: map[string]image.Image{}})
		sc, err := s.Open(t.Context(), AddrFinger)
		if err != nil {
			t.Fatal(err)
		}
		start, n := time.Now(), 0
		time.AfterFunc(100*time.Millisecond, func() { s.Plug(AddrFinger, false) })
		for _, err = range sc.Frames(t.Context(), anyFinger) {
			n++
		}
		if !errors.Is(err, driver.ErrRemoved) {
			t.Errorf("frames ended with %v", err)
		}
		if took := time.Since(start); took != 100*time.Millisecond || n != 3 {
			t.Errorf("%d values in %v, want 2 frames and the error at once", n, took)
		}
		if _, err := s.Open(t.Context(), AddrFinger); !errors.Is(err, driver.ErrRemoved) {
			t.Errorf("open without a scanner: %v", err)
		}
		if infos, _ := s.Probe(t.Context()); slices.ContainsFunc(infos, func(in driver.Info) bool { return in.Addr == AddrFinger }) {
			t.Error("probe lists what was unplugged")
		}

		s.Plug(AddrFinger, true)
		for _, err = range sc.Frames(t.Context(), anyFinger) {
		}
		if !errors.Is(err, driver.ErrRemoved) {
			t.Errorf("opened before it was unplugged, the scanner fails with %v", err)
		}
		frames(t, s, AddrFinger, anyFinger, 1)
	})
}

func TestWatchTellsOfPlugging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		ctx, cancel := context.WithCancel(t.Context())
		calls, done := 0, make(chan struct{})
		go func() {
			defer close(done)
			s.Watch(ctx, func() { calls++ })
		}()
		for i, plugged := range []bool{false, false, true} {
			synctest.Wait()
			s.Plug(AddrIris, plugged)
			synctest.Wait()
			if want := []int{1, 1, 2}[i]; calls != want {
				t.Errorf("step %d: told %d times, want %d", i, calls, want)
			}
		}
		cancel()
		<-done
	})
}

func TestFaultEndsFramesUntilCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Images: map[string]image.Image{}})
		sc, err := s.Open(t.Context(), AddrFinger)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { s.Fault(AddrFinger, driver.ErrNotReady) })
		for _, err = range sc.Frames(t.Context(), anyFinger) {
		}
		if !errors.Is(err, driver.ErrNotReady) {
			t.Errorf("frames ended with %v", err)
		}
		s.Fault(AddrFinger, nil)
		frames(t, s, AddrFinger, anyFinger, 3)
	})
}

func TestFramesStopWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Interval: time.Hour, Images: map[string]image.Image{}})
		sc, err := s.Open(t.Context(), AddrFinger)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start, n := time.Now(), 0
		for _, err := range sc.Frames(ctx, anyFinger) {
			if n++; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took != time.Second || n != 1 {
			t.Errorf("%d frames in %v", n, took)
		}
	})
}

func TestFramesComeAtTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		frames(t, New(Config{Seed: 1}), AddrIris, views[9].want, 11)
		if took := time.Since(start); took != 660*time.Millisecond {
			t.Errorf("11 frames took %v", took)
		}
	})
}
