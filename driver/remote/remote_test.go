package remote

import (
	"bytes"
	"context"
	"errors"
	"image"
	"io"
	"iter"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sbid/driver"
	"sbid/driver/drivertest"
	"sbid/driver/internal/usb/usbtest"
	"sbid/driver/nb1010"
	twins "sbid/simulator/usb"
	"sbid/simulator/usbip"
)

// serving returns a helper that lives in this process.
func serving(t testing.TB, drivers driver.Registry) *Helper {
	t.Helper()
	h := newHelper(func() (io.ReadWriteCloser, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			_ = Serve(context.Background(), drivers, far)
		}()
		return near, nil
	})
	t.Cleanup(h.Close)
	return h
}

// A driver must pass the suite from the other side of a pipe, too.
func TestConformance(t *testing.T) {
	picture := image.NewGray(image.Rect(0, 0, 256, 180))
	for i := range picture.Pix {
		picture.Pix[i] = byte(i * i >> 6)
	}
	drivertest.Run(t, drivertest.Harness{
		New: func(t testing.TB) (driver.Driver, drivertest.Twin) {
			bus := &usbtest.Bus{}
			twin, err := twins.StartNB1010(func(d usbip.Device) (*usbip.Cable, error) {
				host, cable := usbip.Connect(d)
				bus.Plug("usb:1-1", host)
				return cable, nil
			}, twins.NB1010{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(twin.Close)
			d, err := nb1010.New(bus, nb1010.Config{DPI: 500, Answer: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			return serving(t, driver.NewRegistry(d)).Driver("nb1010"), twin
		},
		Picture: picture,
		Size:    image.Pt(256, 180),
		Native:  driver.Geometry{Width: 256, Height: 180, DPI: 500, Depth: 8},
		DPI:     500,
		Check: func(t *testing.T, f driver.Frame) {
			if !slices.Equal(f.Image.(*image.Gray).Pix, picture.Pix) {
				t.Error("the frame is not as shown")
			}
		},
		OpenStages:  []string{twins.StageFinger},
		FrameStages: []string{twins.StageCapture, twins.StageImage},
		Mended:      []string{twins.ShortOnce},
		Fatal:       []string{twins.Silent},
	})
}

// A fake is a driver whose scanner does as its functions say.
type fake struct {
	probe  func(context.Context) ([]driver.Info, error)
	open   func(context.Context) error
	frames func(context.Context, driver.Target) iter.Seq2[driver.Frame, error]
}

func (f fake) ID() string                                                 { return "fake" }
func (f fake) Probe(ctx context.Context) ([]driver.Info, error)           { return f.probe(ctx) }
func (f fake) Close() error                                               { return nil }
func (f fake) Open(ctx context.Context, _ string) (driver.Scanner, error) { return f, f.open(ctx) }
func (f fake) Frames(ctx context.Context, want driver.Target) iter.Seq2[driver.Frame, error] {
	return f.frames(ctx, want)
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	for _, want := range []error{
		driver.ErrRemoved, driver.ErrNotReady, driver.ErrHeld, driver.ErrPermission, driver.ErrBroken,
		driver.ErrTampered, driver.ErrUnavailable, context.Canceled, errors.New("something else"),
	} {
		f := fake{
			probe: func(context.Context) ([]driver.Info, error) { return nil, want },
			open:  func(context.Context) error { return want },
		}
		d := serving(t, driver.NewRegistry(f)).Driver("fake")
		_, err := d.Probe(t.Context())
		if _, openErr := d.Open(t.Context(), "x"); openErr == nil || openErr.Error() != want.Error() {
			t.Errorf("open: %v, want %v", openErr, want)
		}
		if err == nil || err.Error() != want.Error() {
			t.Errorf("probe: %v, want %v", err, want)
		}
		for _, k := range kinds {
			if errors.Is(err, k.err) != errors.Is(want, k.err) {
				t.Errorf("%v is %v on one side only", want, k.err)
			}
		}
	}
}

func TestUnknownDriverIsUnavailable(t *testing.T) {
	d := serving(t, driver.NewRegistry()).Driver("fake")
	if _, err := d.Probe(t.Context()); !errors.Is(err, driver.ErrUnavailable) {
		t.Error(err)
	}
}

// All of a frame and of its target arrives.
func TestFramesArriveWhole(t *testing.T) {
	grey := image.NewGray(image.Rect(0, 0, 9, 7))
	colour := image.NewRGBA(image.Rect(0, 0, 3, 2))
	for i := range colour.Pix {
		colour.Pix[i] = byte(i)
	}
	part := grey.SubImage(image.Rect(2, 3, 5, 6)).(*image.Gray)
	for i := range grey.Pix {
		grey.Pix[i] = byte(i)
	}
	sent := []driver.Frame{
		{Image: grey, DPI: 500, Native: driver.Geometry{Width: 10, Height: 8, DPI: 512, Depth: 8}},
		{Image: colour},
		{Hints: []driver.Hint{driver.HintDry, driver.HintLift}},
		{Parts: []driver.Part{{Position: driver.LeftIndex, Image: part}, {Position: driver.LeftLittle, Image: grey}}, DPI: 500},
	}
	want := driver.Target{Sensor: driver.Left, Positions: []driver.Position{driver.LeftIndex}, Exceptions: []driver.Position{driver.LeftRing}}
	infos := []driver.Info{{Addr: "a", Path: "usb:1-1", Modality: driver.Finger, Sensors: []driver.Sensor{driver.Left}, Abilities: driver.Abilities{Streams: true, Native: []driver.Geometry{{Width: 1}}}}}
	f := fake{
		probe: func(context.Context) ([]driver.Info, error) { return infos, nil },
		open:  func(context.Context) error { return nil },
		frames: func(_ context.Context, got driver.Target) iter.Seq2[driver.Frame, error] {
			return func(yield func(driver.Frame, error) bool) {
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
				for _, f := range sent {
					if !yield(f, nil) {
						return
					}
				}
				yield(driver.Frame{}, driver.ErrBroken)
			}
		},
	}
	d := serving(t, driver.NewRegistry(f)).Driver("fake")
	if got, err := d.Probe(t.Context()); err != nil || !cmp.Equal(got, infos) {
		t.Error(got, err)
	}
	s, err := d.Open(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var got []driver.Frame
	for f, err := range s.Frames(t.Context(), want) {
		if err != nil {
			if !errors.Is(err, driver.ErrBroken) {
				t.Error(err)
			}
			break
		}
		got = append(got, f)
	}
	sent[3].Parts[0].Image = &image.Gray{Pix: []byte{29, 30, 31, 38, 39, 40, 47, 48, 49}, Stride: 3, Rect: image.Rect(0, 0, 3, 3)}
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Error(diff)
	}
}

// A missing helper is tried again ever more rarely.
func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts []time.Duration
		begin := time.Now()
		h := newHelper(func() (io.ReadWriteCloser, error) {
			starts = append(starts, time.Since(begin))
			return nil, errors.New("no")
		})
		defer h.Close()
		d := h.Driver("fake")
		for time.Since(begin) < 30*time.Second {
			if _, err := d.Probe(t.Context()); !errors.Is(err, driver.ErrNotReady) {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if want := []time.Duration{0, time.Second, 3 * time.Second, 8 * time.Second, 18 * time.Second, 28 * time.Second}; !slices.Equal(starts, want) {
			t.Errorf("started at %v, want %v", starts, want)
		}
	})
}

// A call that does not end when it is cancelled ends the helper.
func TestHangingCallEndsTheHelper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := fake{probe: func(context.Context) ([]driver.Info, error) { <-release; return nil, nil }}
		h := serving(t, driver.NewRegistry(f))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := h.Driver("fake").Probe(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("a cancelled call ended after %v", took)
		}
		told := make(chan struct{})
		defer h.watch(func() { close(told) })()
		<-told
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("the helper was ended after %v", took)
		}
		if _, err := h.Driver("fake").Probe(t.Context()); !errors.Is(err, driver.ErrNotReady) {
			t.Errorf("after that: %v", err)
		}
		close(release)
		h.Close()
	})
}

func TestClosedHelperIsUnavailable(t *testing.T) {
	h := serving(t, driver.NewRegistry())
	h.Close()
	if _, err := h.Driver("fake").Open(t.Context(), "x"); !errors.Is(err, driver.ErrUnavailable) {
		t.Error(err)
	}
}

// A pipe's two ends for a test that plays the helper.
func playing(t testing.TB, helper func(io.ReadWriteCloser)) driver.Driver {
	t.Helper()
	h := newHelper(func() (io.ReadWriteCloser, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			helper(far)
		}()
		return near, nil
	})
	t.Cleanup(h.Close)
	return h.Driver("fake")
}

func TestHelpersThatDoNotKeepToTheProtocol(t *testing.T) {
	hello := message{head: head{Verb: verbHello, Version: version}}
	for name, tt := range map[string]struct {
		answers []message
		raw     string
		want    error
	}{
		"another version": {answers: []message{{head: head{Verb: verbHello, Version: 99}}}, want: driver.ErrUnavailable},
		"no hello":        {answers: []message{{head: head{Verb: verbDone}}}, want: driver.ErrUnavailable},
		"nonsense":        {raw: "Usage: sbid-usb [flags]\n", want: driver.ErrNotReady},
		"another call":    {answers: []message{hello, {head: head{Verb: verbDone, Call: 77}}}, want: driver.ErrNotReady},
		"unknown verb":    {answers: []message{hello, {head: head{Verb: "x", Call: 1}}}, want: driver.ErrNotReady},
		"empty frame":     {answers: []message{hello, {head: head{Verb: verbFrame, Call: 1}}}, want: driver.ErrNotReady},
		"too many frames": {answers: []message{hello,
			{head: head{Verb: verbFrame, Call: 1, Frame: &frame{}}}, {head: head{Verb: verbFrame, Call: 1, Frame: &frame{}}},
			{head: head{Verb: verbFrame, Call: 1, Frame: &frame{}}}, {head: head{Verb: verbFrame, Call: 1, Frame: &frame{}}},
		}, want: driver.ErrNotReady},
		"hangs up": {answers: []message{hello}, want: driver.ErrNotReady},
	} {
		t.Run(name, func(t *testing.T) {
			d := playing(t, func(conn io.ReadWriteCloser) {
				_, _ = io.WriteString(conn, tt.raw)
				for i, m := range tt.answers {
					if writeMessage(conn, m) != nil {
						return
					}
					if i == 0 {
						_, _ = readMessage(conn) // the call
					}
				}
			})
			if _, err := d.Probe(t.Context()); !errors.Is(err, tt.want) {
				if err == nil && name == "too many frames" {
					return // the first was taken for an answer before the rest came
				}
				t.Errorf("%v; want a %v", err, tt.want)
			}
		})
	}
}

func TestServeRefuses(t *testing.T) {
	for name, m := range map[string]message{
		"unknown verb": {head: head{Verb: "format", Call: 1}},
		"hello":        {head: head{Verb: verbHello}},
	} {
		var b bytes.Buffer
		if err := writeMessage(&b, m); err != nil {
			t.Fatal(err)
		}
		if err := Serve(t.Context(), driver.NewRegistry(), discard{&b}); !errors.Is(err, errProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// discard reads from one side and writes to nobody.
type discard struct{ io.Reader }

func (discard) Write(b []byte) (int, error) { return len(b), nil }
