package usb

import (
	"context"
	"fmt"
	"image"
	"image/draw"
	"sync"

	"sbid/simulator/usbip"
)

// A Socket is where a twin is plugged in: usbip.Attach, or what a test makes of
// usbip.Connect.
type Socket func(usbip.Device) (*usbip.Cable, error)

// A Twin is one reader. Its methods may be called from any goroutine. Nothing is
// on its window until Show.
type Twin struct {
	socket   Socket
	model    model
	plugging sync.Mutex // held while it is plugged in or out: the host asks meanwhile

	mu       sync.Mutex
	cable    *usbip.Cable // nil while unplugged
	life     life         // of the plugged device
	window   *image.Gray
	fault    string
	changed  chan struct{} // closed when the fault or the window does
	held     string        // the stage to stop at
	reached  chan struct{} // closed there
	released chan struct{} // closed by Release
	requests int
}

// A model is a kind of reader.
type model interface {
	// powerOn returns a reader that was just plugged in.
	powerOn(t *Twin) life
	// size is that of the window in pixels.
	size() image.Point
}

// A life is a reader from plug to unplug.
type life interface {
	usbip.Device

	// shown tells it that the window changed.
	shown()
}

// start plugs a reader in.
func start(socket Socket, m model) (*Twin, error) {
	t := &Twin{socket: socket, model: m, changed: make(chan struct{})}
	return t, t.Plug()
}

// Plug powers the reader on. One that is plugged in stays so.
func (t *Twin) Plug() error {
	t.plugging.Lock()
	defer t.plugging.Unlock()
	t.mu.Lock()
	if t.cable != nil {
		t.mu.Unlock()
		return nil
	}
	l := t.model.powerOn(t)
	t.mu.Unlock()
	cable, err := t.socket(l)
	if err != nil {
		return fmt.Errorf("plug in: %w", err)
	}
	t.mu.Lock()
	t.cable, t.life = cable, l
	t.mu.Unlock()
	return nil
}

// Unplug takes the reader away in whatever it is doing.
func (t *Twin) Unplug() {
	t.plugging.Lock()
	defer t.plugging.Unlock()
	t.mu.Lock()
	cable := t.cable
	t.cable, t.life = nil, nil
	t.release()
	t.mu.Unlock()
	if cable != nil {
		_ = cable.Pull() // a host that breaks the protocol shows in the driver's test
	}
}

// Close unplugs the reader and ends the twin.
func (t *Twin) Close() { t.Unplug() }

// Show lays a picture on the window, centred and cut to its size, on a light
// ground; nil takes the finger away.
func (t *Twin) Show(img image.Image) {
	var window *image.Gray
	if img != nil {
		window = t.Sees(img)
	}
	t.mu.Lock()
	t.window = window
	t.change()
	l := t.life
	t.mu.Unlock()
	if l != nil {
		l.shown()
	}
}

// Sees returns what the sensor sees of a picture on its window.
func (t *Twin) Sees(img image.Image) *image.Gray {
	size := t.model.size()
	window := image.NewGray(image.Rectangle{Max: size})
	draw.Draw(window, window.Rect, image.White, image.Point{}, draw.Src)
	b := img.Bounds()
	corner := image.Pt((size.X-b.Dx())/2, (size.Y-b.Dy())/2)
	draw.Draw(window, b.Sub(b.Min).Add(corner), img, b.Min, draw.Src)
	return window
}

// Hold makes the reader stop at a stage of its conversation, until Release. The
// channel is closed when it gets there.
func (t *Twin) Hold(stage string) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.release()
	t.held, t.reached, t.released = stage, make(chan struct{}), make(chan struct{})
	return t.reached
}

// Release lets the reader go on where it stopped.
func (t *Twin) Release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.release()
}

func (t *Twin) release() {
	if t.held != "" {
		close(t.released)
		t.held = ""
	}
}

// Misbehave gives the reader a fault; "" mends it.
func (t *Twin) Misbehave(fault string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fault = fault
	t.change()
}

func (t *Twin) change() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// Requests counts what the reader was asked.
func (t *Twin) Requests() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.requests
}

// took counts a request, and holds the reader where it shall stop. A reader that
// answers nothing fails here when the host has given up.
func (t *Twin) took(ctx context.Context, stage string) error {
	t.mu.Lock()
	t.requests++
	t.mu.Unlock()
	switch {
	case t.has(Silent):
		<-ctx.Done()
		return context.Cause(ctx)
	case t.has(Refuse):
		return usbip.ErrStall
	}
	return t.at(ctx, stage)
}

// at holds the reader if it shall stop at stage.
func (t *Twin) at(ctx context.Context, stage string) error {
	t.mu.Lock()
	held, reached, released := t.held == stage && stage != "", t.reached, t.released
	if held {
		select {
		case <-reached:
		default:
			close(reached)
		}
	}
	t.mu.Unlock()
	if held {
		select {
		case <-released:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (t *Twin) has(fault string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fault == fault
}

// once reports whether the reader has a fault that happens once, and mends it.
func (t *Twin) once(fault string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fault != fault {
		return false
	}
	t.fault = ""
	return true
}

// finger is what lies on the window, or nil.
func (t *Twin) finger() *image.Gray {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.window
}
