package capture

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sbid/capture/internal/contain"
	"sbid/driver"
)

// Wherever a driver hangs, the client has its answer in time. The scanner is not
// ready until the driver is back, and nobody else enters it before.
func TestDriverHangs(t *testing.T) {
	const timeout = 20 * time.Second
	for name, tt := range map[string]struct {
		prepare func(f *fake, hang func())
		streams bool
		err     error         // of the capture, which has timeout
		after   time.Duration // when the answer comes
	}{
		"in open": {
			prepare: func(f *fake, hang func()) { f.open = func(context.Context) error { hang(); return nil } },
			err:     driver.ErrNotReady, after: openTime + time.Second,
		},
		"before a frame": {
			prepare: func(f *fake, hang func()) {
				f.frames = func(context.Context, driver.Target, func(driver.Frame, error) bool) { hang() }
			},
			err: ErrNothing, after: timeout,
		},
		"before a frame of a stream": {
			prepare: func(f *fake, hang func()) {
				f.frames = func(context.Context, driver.Target, func(driver.Frame, error) bool) { hang() }
			},
			streams: true, err: driver.ErrNotReady, after: frameTime,
		},
		"between two frames": {
			prepare: func(f *fake, hang func()) {
				f.frames = func(_ context.Context, _ driver.Target, yield func(driver.Frame, error) bool) {
					yield(glass(), nil)
					hang()
				}
			},
			streams: true, err: driver.ErrNotReady, after: frameTime,
		},
		"when told to stop": {
			prepare: func(f *fake, hang func()) {
				f.frames = func(_ context.Context, _ driver.Target, yield func(driver.Frame, error) bool) {
					yield(finger(1), nil)
					hang()
				}
			},
			streams: true,
		},
		"in close": {
			prepare: func(f *fake, hang func()) {
				f.frames, f.close = every(time.Second, finger(1)), hang
			},
			streams: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				f := &fake{}
				tt.prepare(f, func() { <-release })
				s := f.scanner(tt.streams)
				begin := time.Now()
				samples, err := s.Capture(t.Context(), one(timeout))
				if took := time.Since(begin); !errors.Is(err, tt.err) || took != tt.after || err == nil && len(samples) != 1 {
					t.Errorf("%d samples, %v after %v; want %v after %v", len(samples), err, took, tt.err, tt.after)
				}
				time.Sleep(stopTime)
				synctest.Wait()
				if s.State() != Faulted || !errors.Is(s.Trouble(), errStuck) || !errors.Is(s.Trouble(), driver.ErrNotReady) {
					t.Errorf("%v, %v; want it stuck", s.State(), s.Trouble())
				}
				opens, begin := f.opens(), time.Now()
				for what, use := range map[string]func() error{
					"capture": func() error { _, err := s.Capture(t.Context(), one(timeout)); return err },
					"preview": func() error { return s.Preview(t.Context(), driver.Target{Positions: one(0).Positions}, func(View) {}) },
					"check":   func() error { return s.Check(t.Context()) },
				} {
					if err := use(); !errors.Is(err, ErrBusy) {
						t.Errorf("%s of a stuck scanner: %v", what, err)
					}
				}
				if time.Since(begin) != 0 || f.opens() != opens {
					t.Errorf("%d more calls of the driver in %v", f.opens()-opens, time.Since(begin))
				}

				f.open, f.frames, f.close = nil, every(time.Second, finger(2)), nil
				close(release)
				if err := s.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				if s.State() != Idle || s.Trouble() != nil {
					t.Errorf("the driver is back, and the scanner %v: %v", s.State(), s.Trouble())
				}
				if _, err := s.Capture(t.Context(), one(timeout)); err != nil {
					t.Error("capture after that:", err)
				}
				if f.twice.Load() {
					t.Error("the driver was called twice at a time")
				}
				_ = s.Wait(t.Context())
			})
		})
	}
}

// Opening has its bound, and an open scanner none: what opened it in time may
// stay for as long as the capture does.
func TestSlowOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{open: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		s := f.scanner(true)
		begin := time.Now()
		if _, err := s.Capture(t.Context(), one(time.Minute)); !errors.Is(err, driver.ErrNotReady) || time.Since(begin) != openTime {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if s.State() != Idle {
			t.Errorf("it came back, and the scanner is %v", s.State())
		}
		var over func() error
		f.open = func(ctx context.Context) error { over = ctx.Err; return nil }
		f.frames = func(ctx context.Context, _ driver.Target, yield func(driver.Frame, error) bool) {
			for pause(ctx, time.Second) && yield(glass(), nil) {
				if over() != nil {
					yield(driver.Frame{}, driver.ErrBroken)
					return
				}
			}
		}
		if _, err := s.Capture(t.Context(), one(2*openTime)); !errors.Is(err, ErrNothing) {
			t.Error(err)
		}
		_ = s.Wait(t.Context())
	})
}

// A driver's panic is its scanner's trouble, and says where it was.
func TestDriverPanics(t *testing.T) {
	boom := func() { panic("index out of range") }
	for name, prepare := range map[string]func(*fake){
		"in open": func(f *fake) { f.open = func(context.Context) error { boom(); return nil } },
		"in frames": func(f *fake) {
			f.frames = func(context.Context, driver.Target, func(driver.Frame, error) bool) { boom() }
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			prepare(f)
			s := f.scanner(true)
			s.Follow(func() {})
			_, err := s.Capture(t.Context(), one(time.Second))
			if !errors.Is(err, contain.ErrPanic) || !strings.Contains(err.Error(), "watchdog_test.go:") || !strings.Contains(err.Error(), "index out of range") {
				t.Errorf("%s: %v", name, err)
			}
			if s.State() != Faulted || !errors.Is(s.Trouble(), contain.ErrPanic) {
				t.Errorf("%s: %v, %v", name, s.State(), s.Trouble())
			}
			_ = s.Wait(t.Context())
		})
	}
	// In close it comes too late to matter.
	synctest.Test(t, func(t *testing.T) {
		f := &fake{close: boom, frames: every(time.Second, finger(1))}
		s := f.scanner(true)
		if _, err := s.Capture(t.Context(), one(time.Second)); err != nil {
			t.Error("in close:", err)
		}
		_ = s.Wait(t.Context())
	})
}

// What a scanner fails with keeps it from being ready, if somebody is there to
// see whether it is over, until a check has succeeded.
func TestTrouble(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		state State
	}{
		"warming up":       {driver.ErrNotReady, Faulted},
		"held":             {driver.ErrHeld, Faulted},
		"not allowed":      {driver.ErrPermission, Faulted},
		"broken":           {driver.ErrBroken, Faulted},
		"tampered with":    {driver.ErrTampered, Faulted},
		"unplugged":        {driver.ErrRemoved, Absent},
		"a fault of no id": {errors.New("pipe burst"), Idle},
	} {
		for where, prepare := range map[string]func(*fake, error){
			"open": func(f *fake, err error) { f.open = func(context.Context) error { return err } },
			"frames": func(f *fake, err error) {
				f.frames = func(_ context.Context, _ driver.Target, yield func(driver.Frame, error) bool) {
					yield(driver.Frame{}, err)
				}
			},
		} {
			t.Run(name+" in "+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := &fake{}
					prepare(f, tt.err)
					s := f.scanner(true)
					if _, err := s.Capture(t.Context(), one(time.Second)); !errors.Is(err, tt.err) || s.State() != Idle {
						t.Errorf("nobody follows: %v, and it is %v", err, s.State())
					}
					told := 0
					s.Follow(func() { told++ })
					if _, err := s.Capture(t.Context(), one(time.Second)); !errors.Is(err, tt.err) || s.State() != tt.state {
						t.Errorf("%v, and it is %v; want %v", err, s.State(), tt.state)
					}
					defer func() { _ = s.Wait(t.Context()) }()
					if tt.state == Idle {
						if s.Trouble() != nil || told != 0 {
							t.Errorf("trouble %v", s.Trouble())
						}
						return
					}
					if !errors.Is(s.Trouble(), tt.err) || told != 1 {
						t.Errorf("trouble %v, told %d times", s.Trouble(), told)
					}
					f.open, f.frames = nil, nil
					if err := s.Check(t.Context()); tt.state == Absent != errors.Is(err, driver.ErrRemoved) {
						t.Error("check:", err)
					}
					if tt.state == Faulted && (s.State() != Idle || s.Trouble() != nil || told != 2) {
						t.Errorf("mended, and it is %v: %v, told %d times", s.State(), s.Trouble(), told)
					}
				})
			})
		}
	}
}

// A scanner that comes back is tried before it is ready, and what a capture
// from before finds out says nothing about it.
func TestArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pulled := make(chan struct{})
		f := &fake{frames: func(ctx context.Context, _ driver.Target, yield func(driver.Frame, error) bool) {
			<-pulled
			yield(driver.Frame{}, driver.ErrRemoved)
		}}
		s := f.scanner(false)
		s.Follow(func() {})
		ended := make(chan error)
		go func() {
			_, err := s.Capture(t.Context(), one(time.Minute))
			ended <- err
		}()
		synctest.Wait()
		if s.State() != InUse {
			t.Error("it is", s.State())
		}
		if err := s.Check(t.Context()); !errors.Is(err, ErrBusy) {
			t.Error("check of a scanner in use:", err)
		}
		info := s.Info()
		info.Addr = "1"
		s.SetPresent(false)
		s.Arrive(info)
		close(pulled)
		if err := <-ended; !errors.Is(err, driver.ErrRemoved) {
			t.Error(err)
		}
		if s.State() != Faulted || !errors.Is(s.Trouble(), ErrUntried) {
			t.Errorf("%v, %v; want it untried", s.State(), s.Trouble())
		}
		_ = s.Wait(t.Context())
		if err := s.Check(t.Context()); err != nil || s.State() != Idle {
			t.Errorf("%v, and it is %v", err, s.State())
		}
		if f.addrs[len(f.addrs)-1] != "1" {
			t.Errorf("opened at %v", f.addrs)
		}
	})
}
