package uvc

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"sbid/simulator/internal/hand"
	"sbid/simulator/usbip"
)

// A Twin is one camera. Its methods may be called from any goroutine. Nothing is
// before its lens until Show.
type Twin struct {
	camera Camera
	plug   func(usbip.Device) (*usbip.Cable, error)
	hand   hand.Hand

	plugging sync.Mutex
	cable    *usbip.Cable   // nil while unplugged; guarded by plugging
	asked    sync.WaitGroup // calls of the host that are not answered

	mu       sync.Mutex
	scene    image.Image
	pictures map[view][]byte // as they go over the wire
	switched chan struct{}   // closed when light is
	pulled   chan struct{}   // closed when the camera loses power

	// What the camera forgets without power.
	mode   Mode
	light  []byte
	rest   []byte // of the picture that is being sent; nil: between two
	fresh  bool   // nothing of it was sent yet
	id     byte   // of the picture: 0 or 1
	number int    // of pictures
	due    time.Time
	noise  *rand.Rand
}

// A view is a scene in a mode.
type view struct {
	scene image.Image
	mode  Mode
}

// darkPicture is what a camera sees whose light is out.
var darkPicture = image.Image(&image.Uniform{C: color.Gray{Y: 0}})

// Start plugs a camera into this machine. It takes root and the kernel's module
// vhci-hcd; half a second later there is a video node.
func Start(c Camera) (*Twin, error) { return StartAt(usbip.Attach, c) }

// StartAt plugs a camera in elsewhere: plug is usbip.Attach, or what somebody makes
// of usbip.Connect or usbip.Serve.
func StartAt(plug func(usbip.Device) (*usbip.Cable, error), c Camera) (*Twin, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	t := &Twin{camera: c, plug: plug, switched: make(chan struct{}), pictures: map[view][]byte{}}
	return t, t.Plug()
}

func (c Camera) complete() (Camera, error) {
	if c.Vendor == 0 {
		c.Vendor, c.Product = 0x1209, 0x0003
	}
	c.Make = cmp.Or(c.Make, "sbid")
	c.Model = cmp.Or(c.Model, "Virtual UVC Camera")
	c.Serial = cmp.Or(c.Serial, "0000000000C1")
	c.Rate = cmp.Or(c.Rate, 30)
	c.Modes = slices.Clone(c.Modes)
	if c.Modes == nil {
		c.Modes = []Mode{{"MJPG", 640, 480}, {"YUYV", 640, 480}}
	}
	for _, m := range c.Modes {
		if m.Format != "MJPG" && guids[m.Format] == "" {
			return c, fmt.Errorf("no camera here sends format %q", m.Format)
		}
		if m.Width <= 0 || m.Height <= 0 || m.Width%2 != 0 || m.Width > 4096 || m.Height > 4096 {
			return c, fmt.Errorf("no camera here sends %dx%d pixels", m.Width, m.Height)
		}
	}
	if c.Rate < 1 || c.Rate > 240 || len(c.Modes) == 0 {
		return c, fmt.Errorf("no camera here sends %d pictures a second of %d modes", c.Rate, len(c.Modes))
	}
	return c, nil
}

// Descriptors are those of the camera.
func (t *Twin) Descriptors() usbip.Descriptors { return t.camera.descriptors() }

// Serial is the camera's serial number.
func (t *Twin) Serial() string { return t.camera.Serial }

// Plug powers the camera on. One that is plugged in stays so.
func (t *Twin) Plug() error {
	t.plugging.Lock()
	defer t.plugging.Unlock()
	if t.cable != nil {
		return nil
	}
	t.mu.Lock()
	t.mode, t.light, t.rest, t.id, t.number = t.camera.Modes[0], darkness, nil, 0, 0
	t.noise = rand.New(rand.NewPCG(1, 2))
	t.pulled = make(chan struct{})
	t.mu.Unlock()
	cable, err := t.plug(t)
	if err != nil {
		return fmt.Errorf("plug in camera %s: %w", t.camera.Serial, err)
	}
	t.cable = cable
	return nil
}

// Unplug takes the camera away in whatever it is doing. As a host controller
// does, it lets what is under way fail first: the kernel would wait for the
// answer of a request for 5 s, and keep the whole hub waiting.
func (t *Twin) Unplug() {
	t.plugging.Lock()
	defer t.plugging.Unlock()
	t.Release()
	if t.cable != nil {
		t.mu.Lock()
		close(t.pulled)
		t.mu.Unlock()
		t.asked.Wait()
		_ = t.cable.Pull() // what the host did wrong before is not the camera's business
		t.cable = nil
	}
}

var errPulled = errors.New("the camera has no power")

// enter begins to answer the host, if the camera has power. Call leave when done.
func (t *Twin) enter() (leave func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.pulled:
		return nil, errPulled
	default:
		t.asked.Add(1)
		return t.asked.Done, nil
	}
}

// power is closed when the camera loses it.
func (t *Twin) power() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pulled
}

// Close unplugs the camera and ends the twin.
func (t *Twin) Close() { t.Unplug() }

// Show puts a picture before the lens, in the middle and cut to the frame; nil
// takes it away.
func (t *Twin) Show(img image.Image) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.scene = img
	clear(t.pictures)
}

// encoded returns a scene as the camera sends it. t.mu is held.
func (t *Twin) encoded(scene image.Image) []byte {
	v := view{scene, t.mode}
	b := t.pictures[v]
	if b == nil {
		b = t.mode.encode(t.mode.sees(scene))
		t.pictures[v] = b
	}
	return b
}

// Hold makes the camera stop at a stage of its conversation, until Release. The
// channel is closed when it gets there.
func (t *Twin) Hold(stage string) <-chan struct{} { return t.hand.Hold(stage) }

// Release lets the camera go on where it stopped.
func (t *Twin) Release() { t.hand.Release() }

// at holds the camera if it shall stop at stage, as long as the host waits.
func (t *Twin) at(ctx context.Context, stage string) {
	if released := t.hand.At(stage); released != nil {
		select {
		case <-released:
		case <-t.power():
		case <-ctx.Done():
		}
	}
}

// Misbehave gives the camera a fault; "" mends it.
func (t *Twin) Misbehave(fault string) { t.hand.Misbehave(fault) }

// Requests counts what the host asked on endpoint 0.
func (t *Twin) Requests() int { return t.hand.Requests() }

// Lit reports whether the emitter is on.
func (t *Twin) Lit() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.camera.Emitter && !bytes.Equal(t.light, darkness)
}
