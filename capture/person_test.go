package capture

import (
	"context"
	"errors"
	"image"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sbid/capture/iso19794"
	"sbid/driver"
	"sbid/simulator"
)

// The person at the scanner sees that it waits, and how it went.
func TestSignals(t *testing.T) {
	const idle, waiting, accepted, rejected = driver.SignalIdle, driver.SignalWaiting, driver.SignalAccepted, driver.SignalRejected
	for name, tt := range map[string]struct {
		frame driver.Frame
		want  []driver.Signal
	}{
		"good":    {finger(1), []driver.Signal{waiting, accepted, idle}},
		"nothing": {glass(), []driver.Signal{waiting, rejected, idle}},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{frames: every(100*time.Millisecond, tt.frame)}
			s := f.scanner(true)
			begin := time.Now()
			_, _ = s.Capture(t.Context(), one(time.Second))
			answered := time.Since(begin)
			_ = s.Wait(t.Context())
			if got := f.shown(); !slices.Equal(got, tt.want) {
				t.Errorf("%s: signals %v, want %v", name, got, tt.want)
			}
			if shown := time.Since(begin) - answered; shown != signalTime {
				t.Errorf("%s: the last signal stood %v", name, shown)
			}
			// It stands only while nobody wants the scanner.
			_, _ = s.Capture(t.Context(), one(time.Second))
			begin = time.Now()
			if _, err := s.Capture(t.Context(), one(time.Second)); time.Since(begin) != answered {
				t.Errorf("%s: a capture right after took %v (%v)", name, time.Since(begin), err)
			}
			_ = s.Wait(t.Context())
		})
	}
}

// A scanner that has nothing to show until a finger is there has a preview all
// the same: the prompt, then its last picture, with what it says of itself.
func TestPreviewWithoutStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{frames: func(ctx context.Context, _ driver.Target, yield func(driver.Frame, error) bool) {
			_ = pause(ctx, 2*time.Second) &&
				yield(finger(1), nil) && pause(ctx, 2*time.Second) &&
				yield(driver.Frame{Hints: []driver.Hint{driver.HintMoisten}}, nil) && pause(ctx, time.Hour)
		}}
		s := f.scanner(false)
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		var views []View
		if err := s.Preview(ctx, driver.Target{Positions: []driver.Position{driver.LeftThumb}}, func(v View) { views = append(views, v) }); err != nil {
			t.Error(err)
		}
		if len(views) < 18 {
			t.Errorf("%d pictures in 6 s", len(views))
		}
		var prompts, pictures, hints int
		for _, v := range views {
			switch {
			case v.blank() && v.Hint == PlaceLeftThumb:
				prompts++
			case !v.blank() && len(v.Marks) == 1 && v.Hint == MoistenFinger:
				hints++
			case !v.blank() && len(v.Marks) == 1 && v.Hint == NoHint:
				pictures++
			default:
				t.Errorf("a view with hint %d, %d marks", v.Hint, len(v.Marks))
			}
		}
		if min(prompts, pictures, hints) < 6 {
			t.Errorf("%d prompts, %d pictures, %d with a hint", prompts, pictures, hints)
		}
		_ = s.Wait(t.Context())
	})
}

// Each thing that a scanner can say to a person becomes a text for the modality.
func TestAdvice(t *testing.T) {
	for _, p := range []driver.Position{driver.LeftIndex, driver.LeftIris, driver.FullFace} {
		target := driver.Target{Positions: []driver.Position{p}}
		for h := driver.HintCentre; h <= driver.HintLift; h++ {
			if advice(h, target) == NoHint {
				t.Errorf("hint %d for %v has no text", h, p)
			}
		}
		if advice(driver.HintNone, target) != NoHint || advice(driver.HintLift+1, target) != NoHint {
			t.Error("advice of nothing")
		}
	}
	for p := driver.RightThumb; p <= driver.LeftLittle; p++ {
		if got := prompt(driver.Target{Positions: []driver.Position{p}}); got != PlaceRightThumb+Hint(p-1) || got > PlaceLeftLittle {
			t.Errorf("prompt for %v is %d", p, got)
		}
	}
}

// hand asks for the four fingers of the left hand.
func hand(timeout time.Duration) Request {
	return Request{
		Sensor: driver.Left, Positions: driver.Finger.Positions(driver.Left), OneByOne: true,
		Score: 1, Timeout: timeout, Profile: iso19794.Registration,
	}
}

// A scanner for single fingers takes a hand, whichever way it shows that a
// finger was lifted. A finger that rests is not taken for the next.
func TestFingerAfterFinger(t *testing.T) {
	for name, tt := range map[string]struct {
		abilities driver.Abilities
		frame     time.Duration // each finger rests for five of them
		// lift is what comes between two fingers.
		lift  func(ctx context.Context, yield func(driver.Frame, error) bool) bool
		taken int
	}{
		"an empty glass":        {driver.Abilities{Streams: true}, 200 * time.Millisecond, func(ctx context.Context, yield func(driver.Frame, error) bool) bool { return yield(glass(), nil) }, 4},
		"a pause":               {driver.Abilities{}, 200 * time.Millisecond, func(ctx context.Context, _ func(driver.Frame, error) bool) bool { return pause(ctx, time.Second) }, 4},
		"a pause in a slow row": {driver.Abilities{}, 3 * time.Second, func(ctx context.Context, _ func(driver.Frame, error) bool) bool { return pause(ctx, 5*time.Second) }, 4},
		"it sees to itself":     {driver.Abilities{Selects: true}, 200 * time.Millisecond, func(context.Context, func(driver.Frame, error) bool) bool { return true }, 4},
		"nothing":               {driver.Abilities{Streams: true}, 200 * time.Millisecond, func(context.Context, func(driver.Frame, error) bool) bool { return true }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				number := 1 // of the finger on the glass; the person goes on whatever happens
				f := &fake{}
				f.frames = func(ctx context.Context, want driver.Target, yield func(driver.Frame, error) bool) {
					if want.Sensor != driver.Single || len(want.Positions) != 1 {
						t.Errorf("the driver is asked for %+v", want)
					}
					for {
						for range 5 {
							if !pause(ctx, tt.frame) || !yield(finger(number), nil) {
								return
							}
						}
						if !tt.lift(ctx, yield) {
							return
						}
						number++
					}
				}
				s := f.scanner(false)
				s.info.Abilities = tt.abilities
				var asked []Hint
				ctx, hangUp := context.WithCancel(t.Context())
				shown := make(chan struct{})
				go func() {
					defer close(shown)
					_ = s.Preview(ctx, driver.Target{Sensor: driver.Left, Positions: hand(0).Positions}, func(v View) {
						if v.Hint != NoHint && !slices.Contains(asked, v.Hint) {
							asked = append(asked, v.Hint)
						}
					})
				}()
				synctest.Wait()
				samples, err := s.Capture(t.Context(), hand(40*tt.frame))
				s.EndPreview()
				<-shown
				hangUp()
				if tt.taken < 4 {
					if !errors.Is(err, ErrNothing) {
						t.Errorf("%d samples, %v; no finger was lifted", len(samples), err)
					}
				} else if err != nil || len(samples) != tt.taken {
					t.Fatalf("%d samples, %v", len(samples), err)
				}
				for i, sample := range samples {
					if sample.Position != hand(0).Positions[i] || sample.Quality <= 0 {
						t.Errorf("sample %d is %v, quality %.0f", i, sample.Position, sample.Quality)
					}
					if i > 0 && resting(samples[i-1].Image, sample.Image) {
						t.Errorf("sample %d is the finger before", i)
					}
				}
				if !slices.Contains(asked, LiftFinger) {
					t.Errorf("nobody was asked to lift a finger: %v", asked)
				}
				_ = s.Wait(t.Context())
			})
		})
	}
}

// A virtual person puts down the finger that is asked for.
func TestPersonFingerAfterFinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.New(simulator.Config{Seed: 3})
		infos, err := sim.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(infos, func(i driver.Info) bool { return i.Addr == simulator.AddrFinger })
		s := NewScanner(sim, infos[i])
		req := hand(time.Minute)
		req.Sensor, req.Positions = driver.Both, driver.Finger.Positions(driver.Both)
		samples, err := s.Capture(t.Context(), req)
		if err != nil || len(samples) != 2 || samples[0].Position != driver.LeftThumb || samples[1].Position != driver.RightThumb {
			t.Errorf("%d samples, %v", len(samples), err)
		}
		_ = s.Wait(t.Context())
	})
}

// The fingers share the time, and each is asked for by its name.
func TestPrompts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.frames = func(ctx context.Context, want driver.Target, yield func(driver.Frame, error) bool) {
			_ = yield(glass(), nil) && pause(ctx, time.Second) && yield(finger(int(want.Positions[0])), nil) && pause(ctx, time.Hour)
		}
		s := f.scanner(true)
		var asked []Hint
		ctx, hangUp := context.WithCancel(t.Context())
		shown := make(chan struct{})
		go func() {
			defer close(shown)
			_ = s.Preview(ctx, driver.Target{Sensor: driver.Left, Positions: hand(0).Positions}, func(v View) { asked = append(asked, v.Hint) })
		}()
		synctest.Wait()
		asked = nil
		begin := time.Now()
		if _, err := s.Capture(t.Context(), hand(30*time.Second)); err != nil || time.Since(begin) != 4*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		s.EndPreview()
		<-shown
		hangUp()
		want := []Hint{PlaceLeftIndex, NoHint, PlaceLeftMiddle, NoHint, PlaceLeftRing, NoHint, PlaceLeftLittle, NoHint}
		if !slices.Equal(asked, want) {
			t.Errorf("asked for %v, want %v", asked, want)
		}
		// One address, one visit: the scanner is not started anew for each finger.
		if n := f.opens(); n != 2 {
			t.Errorf("opened %d times, for a preview and a capture", n)
		}
		if got := f.shown(); !slices.Equal(got[:4], []driver.Signal{driver.SignalWaiting, driver.SignalAccepted, driver.SignalWaiting, driver.SignalAccepted}) {
			t.Errorf("signals %v", got)
		}
		_ = s.Wait(t.Context())
	})
}

// A finger at rest is told from another, through the noise of the sensor.
func TestResting(t *testing.T) {
	noisy := &image.Gray{Pix: slices.Clone(picture(1).Pix), Stride: picture(1).Stride, Rect: picture(1).Rect}
	for i := range noisy.Pix {
		noisy.Pix[i] += uint8(i*7919%23) - 11
	}
	if !resting(picture(1), noisy) {
		t.Error("the same finger is taken for another")
	}
	for number := 2; number < 12; number++ {
		if resting(picture(1), picture(number)) {
			t.Errorf("finger %d is taken for finger 1", number)
		}
	}
	if resting(picture(1), glass().Image) || resting(picture(1), nil) {
		t.Error("nothing is taken for a finger")
	}
}
