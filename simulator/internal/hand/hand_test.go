package hand

import (
	"image"
	"image/color"
	"testing"
)

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// A twin stops at the stage that it is held at, however often it gets there, and
// nowhere else.
func TestHold(t *testing.T) {
	var h Hand
	reached := h.Hold("image")
	if h.At("start") != nil || h.At("") != nil || closed(reached) {
		t.Error("stopped where nobody holds it")
	}
	first, again := h.At("image"), h.At("image")
	if first == nil || again == nil || !closed(reached) || closed(first) {
		t.Fatal("did not stop where it is held")
	}
	h.Release()
	if !closed(first) || !closed(again) || h.At("image") != nil {
		t.Error("is still held after Release")
	}
	h.Release() // of nothing
}

// Holding it elsewhere lets it go on.
func TestHoldElsewhere(t *testing.T) {
	var h Hand
	h.Hold("start")
	released := h.At("start")
	h.Hold("image")
	if !closed(released) || h.At("start") != nil || h.At("image") == nil {
		t.Error("is not held where it was told last")
	}
}

func TestMisbehave(t *testing.T) {
	var h Hand
	changed := h.Changed()
	if h.Fault() != "" || h.Once("noise") || closed(changed) {
		t.Error("has a fault that nobody gave it")
	}
	h.Misbehave("noise")
	if !h.Has("noise") || h.Has("silent") || !closed(changed) || closed(h.Changed()) {
		t.Error("does not have the fault that it was given")
	}
	if h.Once("silent") || !h.Once("noise") || h.Once("noise") || h.Fault() != "" {
		t.Error("a fault that happens once did not")
	}
}

func TestRequests(t *testing.T) {
	var h Hand
	h.Asked()
	h.Asked()
	if n := h.Requests(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

// Wherever a picture has its origin, its middle lies in the middle.
func TestLay(t *testing.T) {
	small := image.NewGray(image.Rect(7, 7, 9, 9))
	large := image.NewGray(image.Rect(-5, -5, 5, 5))
	for _, c := range []struct {
		img  image.Image
		want string
	}{
		{nil, "################"},
		{small, "#####..##..#####"},
		{large, "................"},
	} {
		seen := image.NewGray(image.Rect(0, 0, 4, 4))
		Lay(seen, c.img, color.White)
		got := ""
		for _, p := range seen.Pix {
			got += map[uint8]string{0: ".", 255: "#"}[p]
		}
		if got != c.want {
			t.Errorf("%v: %s, want %s", c.img, got, c.want)
		}
	}
}
