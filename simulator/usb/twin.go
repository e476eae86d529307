package usb

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"sync"

	"sbid/simulator/internal/hand"
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
	hand     hand.Hand
	plugging sync.Mutex // held while it is plugged in or out: the host asks meanwhile

	mu     sync.Mutex
	cable  *usbip.Cable // nil while unplugged
	life   life         // of the plugged device
	window *image.Gray
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
	t := &Twin{socket: socket, model: m}
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
	t.hand.Release()
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
	l := t.life
	t.mu.Unlock()
	if l != nil {
		l.shown()
	}
}

// Sees returns what the sensor sees of a picture on its window.
func (t *Twin) Sees(img image.Image) *image.Gray {
	window := image.NewGray(image.Rectangle{Max: t.model.size()})
	hand.Lay(window, img, color.White)
	return window
}

// Hold makes the reader stop at a stage of its conversation, until Release. The
// channel is closed when it gets there.
func (t *Twin) Hold(stage string) <-chan struct{} { return t.hand.Hold(stage) }

// Release lets the reader go on where it stopped.
func (t *Twin) Release() { t.hand.Release() }

// Misbehave gives the reader a fault; "" mends it.
func (t *Twin) Misbehave(fault string) { t.hand.Misbehave(fault) }

// Requests counts what the reader was asked.
func (t *Twin) Requests() int { return t.hand.Requests() }

// took counts a request, and holds the reader where it shall stop. A reader that
// answers nothing fails here when the host has given up.
func (t *Twin) took(ctx context.Context, stage string) error {
	t.hand.Asked()
	switch {
	case t.hand.Has(Silent):
		<-ctx.Done()
		return context.Cause(ctx)
	case t.hand.Has(Refuse):
		return usbip.ErrStall
	}
	return t.at(ctx, stage)
}

// at holds the reader if it shall stop at stage.
func (t *Twin) at(ctx context.Context, stage string) error {
	if released := t.hand.At(stage); released != nil {
		select {
		case <-released:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// finger is what lies on the window, or nil.
func (t *Twin) finger() *image.Gray {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.window
}
