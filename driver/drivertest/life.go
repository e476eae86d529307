package drivertest

import (
	"errors"
	"image"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"sbid/driver"
)

func testProbe(t *testing.T, h Harness) {
	b := h.begin(t)
	first := b.probe()
	if id := b.drv.ID(); id == "" || slices.ContainsFunc([]byte(id), func(c byte) bool { return c <= ' ' || c >= 'A' && c <= 'Z' }) {
		t.Errorf("id %q is not lower case without blanks", id)
	}
	if first.Addr == "" || first.Make == "" || first.Model == "" {
		t.Errorf("scanner without an address or a name: %+v", first)
	}
	if first.Modality < driver.Finger || first.Modality > driver.Face {
		t.Errorf("scanner of %v", first.Modality)
	}
	if len(first.Sensors) == 0 || !slices.IsSorted(first.Sensors) || len(slices.Compact(slices.Clone(first.Sensors))) != len(first.Sensors) {
		t.Errorf("sensors %v are not one or more in ascending order", first.Sensors)
	}
	same := func(when string) {
		t.Helper()
		if again := b.probe(); !equal(first, again) {
			t.Errorf("%s the scanner is %+v; it was %+v", when, again, first)
		}
	}
	same("on a second look")
	s, err := b.drv.Open(b.ctx, first.Addr)
	if err != nil {
		t.Fatal("open:", err)
	}
	same("while open")
	if err := s.Close(); err != nil {
		t.Error("close:", err)
	}
	same("after closing")

	b.twin.Unplug()
	if infos, err := b.drv.Probe(b.ctx); err != nil || len(infos) != 0 {
		t.Errorf("unplugged: probe found %v, %v; want nothing and no error", infos, err)
	}
	if err := b.twin.Plug(); err != nil {
		t.Fatal(err)
	}
	same("plugged in again")
}

func equal(a, b driver.Info) bool {
	sensors := slices.Equal(a.Sensors, b.Sensors)
	return sensors && a.Addr == b.Addr && a.Serial == b.Serial && a.Make == b.Make && a.Model == b.Model &&
		a.Firmware == b.Firmware && a.Modality == b.Modality && a.Technology == b.Technology
}

func testOpen(t *testing.T, h Harness) {
	b := h.begin(t)
	info := b.probe()
	s, err := b.drv.Open(b.ctx, info.Addr)
	if err != nil {
		t.Fatal("open:", err)
	}
	if second, err := b.drv.Open(b.ctx, info.Addr); err == nil {
		second.Close()
		t.Error("a scanner that is open could be opened again")
	} else if !errors.Is(err, driver.ErrNotReady) {
		t.Errorf("open of an open scanner: %v; want an ErrNotReady", err)
	}
	s.Close()
	if s, err := b.drv.Open(b.ctx, "nowhere"); !errors.Is(err, driver.ErrRemoved) {
		if err == nil {
			s.Close()
		}
		t.Errorf("open of an unknown address: %v; want an ErrRemoved", err)
	}
	b.twin.Unplug()
	if s, err := b.drv.Open(b.ctx, info.Addr); !errors.Is(err, driver.ErrRemoved) {
		if err == nil {
			s.Close()
		}
		t.Errorf("open of an unplugged scanner: %v; want an ErrRemoved", err)
	}
}

func testFrame(t *testing.T, h Harness) {
	b := h.begin(t)
	b.twin.Show(h.Picture)
	modality := b.probe().Modality
	f := b.take(b.open(), 1)[0]
	if (f.Image == nil) == (len(f.Parts) == 0) {
		t.Fatal("not just one of image and parts is set")
	}
	for _, img := range images(f) {
		switch _, grey := img.(*image.Gray); {
		case modality == driver.Face && grey, modality != driver.Face && !grey:
			t.Errorf("a %v frame is %T", modality, img)
		case pixels(img) == nil:
			t.Errorf("a frame is %T", img)
		}
	}
	if f.Image != nil && f.Image.Bounds() != (image.Rectangle{Max: h.Size}) {
		t.Errorf("the image is %v; want %v", f.Image.Bounds(), h.Size)
	}
	if f.DPI != h.DPI || f.Native != h.Native {
		t.Errorf("%d dpi of %+v; want %d of %+v", f.DPI, f.Native, h.DPI, h.Native)
	}
	if h.Check != nil {
		h.Check(t, f)
	}
}

// testOwnership writes all over a frame and sees that no other notices.
func testOwnership(t *testing.T, h Harness) {
	b := h.begin(t)
	b.twin.Show(h.Picture)
	s := b.open()
	first := b.take(s, 1)[0]
	var before [][]byte
	for _, img := range images(first) {
		before = append(before, slices.Clone(pixels(img)))
	}
	next := b.take(s, 3)
	for i, img := range images(first) {
		if !slices.Equal(pixels(img), before[i]) {
			t.Error("a later frame changed an earlier one")
		}
	}
	last := next[len(next)-1]
	for _, img := range images(last) {
		before = append(before, slices.Clone(pixels(img)))
	}
	for _, f := range append(next[:len(next)-1], first) {
		for _, img := range images(f) {
			clear(pixels(img))
		}
	}
	b.take(s, 1)
	for i, img := range images(last) {
		if !slices.Equal(pixels(img), before[len(before)-len(images(last))+i]) {
			t.Error("frames share pixels")
		}
	}
}

// testLeaks opens, uses and closes the scanner again and again, plugged anew in
// between, and looks for what stayed.
func testLeaks(t *testing.T, h Harness) {
	b := h.begin(t)
	info := b.probe()
	b.twin.Show(h.Picture)
	round := func() {
		if n, err := b.capture(b.ctx, info, 1); n != 1 || err != nil {
			t.Fatalf("%d frames, %v; want one", n, err)
		}
	}
	round()
	routines, files := goleak.IgnoreCurrent(), descriptors()
	for range 5 {
		round()
	}
	if now := descriptors(); now > files {
		t.Errorf("%d descriptors are open, %d were", now, files)
	}
	if err := goleak.Find(routines); err != nil {
		t.Error(err)
	}
	for range 5 {
		b.twin.Unplug()
		if err := b.twin.Plug(); err != nil {
			t.Fatal(err)
		}
		round()
	}
	if now := descriptors(); now > files {
		t.Errorf("plugged anew, %d descriptors are open, %d were", now, files)
	}
}
