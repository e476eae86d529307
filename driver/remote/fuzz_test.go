package remote

import (
	"bytes"
	"context"
	"image"
	"io"
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sbid/driver"
)

// written is a message on the wire.
func written(t testing.TB, m message) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := writeMessage(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What is read is written and read the same again.
func FuzzMessage(f *testing.F) {
	f.Add(written(f, message{head: head{Verb: verbHello, Version: version}}))
	f.Add(written(f, message{head{Verb: verbFrame, Call: 3, Frame: &frame{Pictures: []picture{{Width: 2, Height: 1}}}}, []byte{1, 2}}))
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 2, 3, 0xFF, 0xFF, 0xFF, '{', '}'})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readMessage(bytes.NewReader(b))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if writeMessage(&again, m) != nil {
			return // text may grow when it is written
		}
		got, err := readMessage(&again)
		if err != nil || !cmp.Equal(got.head, m.head, cmp.Comparer(func(a, b head) bool {
			x, y := written(t, message{head: a}), written(t, message{head: b})
			return bytes.Equal(x, y)
		})) || !bytes.Equal(got.pixels, m.pixels) {
			t.Errorf("%+v became %+v, %v", m, got, err)
		}
	})
}

// A frame that is put together has all pixels that came, and no others.
func FuzzFrame(f *testing.F) {
	f.Add(2, 1, false, 1, 1, true, false, []byte{1, 2})
	f.Add(1<<14, 1<<14, true, 0, 0, false, true, []byte{})
	f.Fuzz(func(t *testing.T, w1, h1 int, c1 bool, w2, h2 int, c2, parts bool, pixels []byte) {
		in := &frame{Parts: parts, Pictures: []picture{{Width: w1, Height: h1, Colours: c1}, {Width: w2, Height: h2, Colours: c2}}}
		if !parts {
			in.Pictures = in.Pictures[:1]
		}
		out, err := in.unpack(pixels)
		if err != nil {
			return
		}
		again, same, err := pack(out)
		if err != nil || !bytes.Equal(same, pixels) || !cmp.Equal(again.Pictures, in.Pictures) {
			t.Errorf("%d bytes became %d, %v", len(pixels), len(same), err)
		}
	})
}

// A daemon that sends nonsense ends the helper's service, and nothing else.
func FuzzServe(f *testing.F) {
	f.Add(append(written(f, message{head: head{Verb: verbOpen, Call: 1, Driver: "fake"}}),
		written(f, message{head: head{Verb: verbFrames, Call: 2, Scanner: 1}})...))
	f.Add(append(written(f, message{head: head{Verb: verbProbe, Call: 1, Driver: "fake"}}),
		written(f, message{head: head{Verb: verbCancel, Call: 1}})...))
	drivers := driver.NewRegistry(fake{
		probe: func(context.Context) ([]driver.Info, error) { return []driver.Info{{Addr: "x"}}, nil },
		open:  func(context.Context) error { return nil },
		frames: func(context.Context, driver.Target) iter.Seq2[driver.Frame, error] {
			return func(yield func(driver.Frame, error) bool) {
				yield(driver.Frame{Image: image.NewGray(image.Rect(0, 0, 2, 2))}, nil)
			}
		},
	})
	f.Fuzz(func(_ *testing.T, b []byte) {
		_ = Serve(context.Background(), drivers, discard{bytes.NewReader(b)})
	})
}

// A stream is what a helper says, to one who does not listen.
type stream struct{ discard }

func (stream) Close() error { return nil }

// A helper that sends nonsense is an error of the call.
func FuzzClient(f *testing.F) {
	hello := written(f, message{head: head{Verb: verbHello, Version: version}})
	f.Add(append(bytes.Clone(hello), written(f, message{head: head{Verb: verbDone, Call: 1, Infos: []driver.Info{{Addr: "x"}}}})...))
	f.Add(append(bytes.Clone(hello), written(f, message{head{Verb: verbFrame, Call: 1, Frame: &frame{}}, nil})...))
	f.Fuzz(func(_ *testing.T, b []byte) {
		h := newHelper(func() (io.ReadWriteCloser, error) { return stream{discard{bytes.NewReader(b)}}, nil })
		defer h.Close()
		d := h.Driver("fake")
		_, _ = d.Probe(context.Background())
		s, err := d.Open(context.Background(), "x")
		if err == nil {
			for range s.Frames(context.Background(), driver.Target{}) {
				break
			}
			s.Close()
		}
	})
}
