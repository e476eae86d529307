package serial

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"sbid/simulator/internal/hand"
)

// A Twin is one module on a line of its own. Its methods may be called from any
// goroutine. Nothing is on its window until Show.
type Twin struct {
	path  string
	model model
	pace  float64
	hand  hand.Hand

	mu     sync.Mutex
	line   *pty // nil while unplugged
	served chan struct{}
	window *image.Gray

	noise *rand.Rand // used by the serving goroutine alone
}

// A model is what a kind of module does with what it hears. Only the serving
// goroutine calls it.
type model interface {
	// powerOn forgets what is lost without power.
	powerOn(w *wire)
	// hear takes what came in at the rate that the line is set to.
	hear(w *wire, b []byte)
	// size is that of the window in pixels.
	size() image.Point
}

// start plugs a module in at path, which becomes a link to its line.
func start(path string, m model, pace float64) (*Twin, error) {
	t := &Twin{path: path, model: m, pace: pace, noise: rand.New(rand.NewPCG(1, 2))}
	return t, t.Plug()
}

// Path is where a driver finds the module.
func (t *Twin) Path() string { return t.path }

// Plug powers the module on. One that is plugged in stays so.
func (t *Twin) Plug() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.line != nil {
		return nil
	}
	line, name, err := openPTY()
	if err != nil {
		return fmt.Errorf("plug in at %s: %w", t.path, err)
	}
	if err := os.Symlink(name, t.path); err != nil {
		line.close()
		return fmt.Errorf("plug in at %s: %w", t.path, err)
	}
	t.line, t.served = line, make(chan struct{})
	go t.serve(&wire{twin: t, line: line}, t.served)
	return nil
}

// Unplug takes the module away in whatever it is doing. What it remembers
// without power it still knows when plugged in again.
func (t *Twin) Unplug() {
	t.mu.Lock()
	line, served := t.line, t.served
	t.line = nil
	if line != nil {
		os.Remove(t.path)
		line.close()
	}
	t.hand.Release()
	t.mu.Unlock()
	if line != nil {
		<-served
	}
}

// Close unplugs the module and ends the twin.
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
	t.mu.Unlock()
}

// Sees returns what the sensor sees of a picture on its window.
func (t *Twin) Sees(img image.Image) *image.Gray {
	window := image.NewGray(image.Rectangle{Max: t.model.size()})
	hand.Lay(window, img, color.White)
	return window
}

// Hold makes the module stop at a stage of its conversation, until Release. The
// channel is closed when it gets there.
func (t *Twin) Hold(stage string) <-chan struct{} { return t.hand.Hold(stage) }

// Release lets the module go on where it stopped.
func (t *Twin) Release() { t.hand.Release() }

// Misbehave gives the module a fault, one of Faults; "" mends it.
func (t *Twin) Misbehave(fault string) { t.hand.Misbehave(fault) }

// Requests counts the commands that the module took.
func (t *Twin) Requests() int { return t.hand.Requests() }

// serve is the module's life from plug to unplug.
func (t *Twin) serve(w *wire, served chan<- struct{}) {
	ctx, stop := context.WithCancel(context.Background())
	var babble sync.WaitGroup
	babble.Go(func() { w.babble(ctx) })
	t.model.powerOn(w)
	var b [512]byte
	for {
		n, err := w.line.master.Read(b[:])
		if err != nil {
			break
		}
		t.model.hear(w, b[:n])
	}
	stop()
	babble.Wait()
	close(served)
}

// A wire is the module's end of the line, from plug to unplug.
type wire struct {
	twin *Twin
	line *pty
	free time.Time // when the line has carried what was written, where it is paced
}

// took counts a command, and holds where the module shall stop.
func (w *wire) took(stage string) {
	w.twin.hand.Asked()
	w.at(stage)
}

// at holds the module if it shall stop at stage.
func (w *wire) at(stage string) {
	if released := w.twin.hand.At(stage); released != nil {
		<-released
	}
}

// send puts a packet on the line as the module's fault has it.
func (w *wire) send(packet []byte) {
	switch {
	case w.twin.hand.Has(Silent), w.twin.hand.Has(Babble):
		return
	case w.twin.hand.Has(BadChecksum), w.twin.hand.Once(BadOnce):
		packet[len(packet)-1] ^= 1
	}
	w.write(packet)
}

// finger is what lies on the window, or nil.
func (w *wire) finger() *image.Gray {
	w.twin.mu.Lock()
	defer w.twin.mu.Unlock()
	return w.twin.window
}

// stray puts a byte on the line that belongs to nothing, while the module has
// that fault.
func (w *wire) stray() {
	if w.twin.hand.Has(Noise) {
		w.write([]byte{0x55})
	}
}

// closed reports whether the module was unplugged.
func (w *wire) closed() bool {
	w.twin.mu.Lock()
	defer w.twin.mu.Unlock()
	return w.twin.line != w.line
}

// write puts bytes on the line, at the line's rate where the twin is paced.
func (w *wire) write(b []byte) {
	size := len(b)
	switch {
	case w.twin.hand.Has(Split):
		size = 1 + w.twin.noise.IntN(7)
	case w.twin.pace > 0:
		size = min(size, 64)
	}
	for len(b) > 0 {
		n := min(max(size, 1), len(b))
		if _, err := w.line.master.Write(b[:n]); err != nil {
			return // unplugged: the reading side sees it, too
		}
		b = b[n:]
		if w.twin.pace > 0 {
			w.carry(n)
		}
	}
}

// late is how far the schedule may be behind before the line counts as idle.
const late = 10 * time.Millisecond

// carry waits as long as n bytes take: 10 bits each. It keeps to a schedule, so
// that waking late does not make the line slower.
func (w *wire) carry(n int) {
	if idle := time.Now().Add(-late); w.free.Before(idle) {
		w.free = idle
	}
	rate := float64(max(w.line.baud(), 1)) * w.twin.pace
	w.free = w.free.Add(time.Duration(float64(n) * 10 / rate * float64(time.Second)))
	time.Sleep(time.Until(w.free))
}

// babble sends noise without end while the module has that fault.
func (w *wire) babble(ctx context.Context) {
	r := rand.New(rand.NewPCG(3, 4))
	var b [256]byte
	for {
		changed := w.twin.hand.Changed()
		var tick <-chan time.Time
		if w.twin.hand.Has(Babble) {
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			if _, err := w.line.master.Write(b[:]); err != nil {
				return
			}
			tick = time.After(2 * time.Millisecond)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-tick:
		}
	}
}
