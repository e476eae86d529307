//go:build amd64 || arm64

package v4l2

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"sbid/driver"
)

// buffersWanted is how many pictures the kernel may hold.
const buffersWanted = 4

// A camera is an open node that is set up to send pictures. Its methods may wait
// in the kernel for as long as the camera does not answer.
type camera struct {
	path    string
	fd      int
	layout  layout
	buffers [][]byte // shared with the kernel

	unit   byte   // the extension unit with the emitter's control; 0: there is none to switch
	light  []byte // its value while pictures are taken
	before []byte // its value before; nil: the light was not switched
}

// openCamera takes hold of the camera at n: nobody else can set it up any more.
func openCamera(n *node, ch choice) (*camera, error) {
	fd, err := openNode(n.path)
	if err != nil {
		return nil, err
	}
	c := &camera{path: n.path, fd: fd}
	if err := c.prepare(n, ch); err != nil {
		err = c.explain(err)
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *camera) prepare(n *node, ch choice) error {
	if err := c.setFormat(ch.mode); err != nil {
		return err
	}
	c.setRate(ch.mode.rate)
	if err := c.share(); err != nil {
		return err
	}
	return c.findLight(n, ch.camera.Emitter)
}

func (c *camera) setFormat(m mode) error {
	f := pixFormat{
		kind: typeVideoCapture, width: uint32(m.size.X), height: uint32(m.size.Y),
		fourcc: m.format.fourcc, field: fieldNone, priv: privMagic,
	}
	if err := ioctl(c.fd, vidiocSetFmt, unsafe.Pointer(&f)); err != nil {
		return fmt.Errorf("ask for %v: %w", m, err)
	}
	if f.fourcc != m.format.fourcc || f.width == 0 || f.height == 0 || f.width > maxSide || f.height > maxSide {
		return fmt.Errorf("%w: asked for %v, it is set to %dx%d of format %08x", driver.ErrBroken, m, f.width, f.height, f.fourcc)
	}
	c.layout = layout{format: m.format, stride: int(f.stride), full: f.quantization == quantizationFull}
	c.layout.size.X, c.layout.size.Y = int(f.width), int(f.height)
	return nil
}

// setRate asks for pictures at a rate. A camera that has only one does not mind.
func (c *camera) setRate(rate float64) {
	if rate <= 0 {
		return
	}
	p := streamParameters{kind: typeVideoCapture, numerator: 1000, denominator: uint32(rate*1000 + 0.5)}
	_ = ioctl(c.fd, vidiocSetParm, unsafe.Pointer(&p)) // what it sends is seen soon enough
}

// share makes the buffers that the kernel writes pictures to.
func (c *camera) share() error {
	r := requestBuffers{count: buffersWanted, kind: typeVideoCapture, memory: memoryMapped}
	if err := ioctl(c.fd, vidiocReqBufs, unsafe.Pointer(&r)); err != nil {
		return fmt.Errorf("ask for buffers: %w", err)
	}
	for i := range r.count {
		b := buffer{index: i, kind: typeVideoCapture, memory: memoryMapped}
		if err := ioctl(c.fd, vidiocQueryBuf, unsafe.Pointer(&b)); err != nil {
			return fmt.Errorf("ask for buffer %d: %w", i, err)
		}
		if b.length > maxPictureInMemory {
			return fmt.Errorf("%w: a picture takes %d bytes", driver.ErrBroken, b.length)
		}
		mapped, err := unix.Mmap(c.fd, int64(uint32(b.offset)), int(b.length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return fmt.Errorf("map buffer %d: %w", i, err)
		}
		c.buffers = append(c.buffers, mapped)
	}
	if len(c.buffers) == 0 {
		return fmt.Errorf("%w: no buffers for pictures", driver.ErrNotReady)
	}
	return nil
}

// findLight finds the emitter's control if a value for it is configured.
func (c *camera) findLight(n *node, value string) error {
	if value == "" {
		return nil
	}
	descriptors, err := os.ReadFile(filepath.Join(n.usb, "descriptors"))
	if n.usb == "" || err != nil {
		return errors.Join(fmt.Errorf("%s has no emitter: it is no USB camera", n.path), err)
	}
	unit, found := unitWith(descriptors, n.control, faceAuthentication, cameraControl)
	if !found {
		return fmt.Errorf("%s has no extension unit that switches an emitter: leave emitter out of its configuration", n.path)
	}
	c.unit = unit
	c.light, err = hex.DecodeString(value)
	return err
}

// queryLight reads or writes the emitter's control.
func (c *camera) queryLight(query uint8, value []byte) error {
	q := unitQuery{
		unit: c.unit, selector: faceAuthentication, query: query,
		size: uint16(len(value)), data: unsafe.Pointer(&value[0]),
	}
	if err := ioctl(c.fd, uvciocControlQuery, unsafe.Pointer(&q)); err != nil {
		return fmt.Errorf("switch the emitter: %w", err)
	}
	return nil
}

// start makes pictures come, the light on.
func (c *camera) start() error {
	if err := c.halt(); err != nil {
		return err
	}
	if c.unit != 0 {
		before := make([]byte, emitterSize)
		if err := c.queryLight(uvcGetCur, before); err != nil {
			return c.explain(err)
		}
		if err := c.queryLight(uvcSetCur, c.light); err != nil {
			return c.explain(err)
		}
		c.before = before
	}
	for i := range c.buffers {
		if err := c.give(uint32(i)); err != nil {
			return c.explain(err)
		}
	}
	kind := uint32(typeVideoCapture)
	if err := ioctl(c.fd, vidiocStreamOn, unsafe.Pointer(&kind)); err != nil {
		return c.explain(fmt.Errorf("start the stream: %w", err))
	}
	return nil
}

// halt ends the pictures; where none come it does nothing.
func (c *camera) halt() error {
	kind := uint32(typeVideoCapture)
	err := ioctl(c.fd, vidiocStreamOff, unsafe.Pointer(&kind))
	if err != nil {
		err = c.explain(fmt.Errorf("stop the stream: %w", err))
	}
	if c.before != nil {
		before := c.before
		c.before = nil
		err = errors.Join(err, c.queryLight(uvcSetCur, before))
	}
	return err
}

// give hands a buffer to the kernel.
func (c *camera) give(i uint32) error {
	b := buffer{index: i, kind: typeVideoCapture, memory: memoryMapped}
	if err := ioctl(c.fd, vidiocQueueBuf, unsafe.Pointer(&b)); err != nil {
		return fmt.Errorf("give a buffer: %w", err)
	}
	return nil
}

// take returns the newest picture that waits and hands back older ones. The
// picture is in a buffer of the kernel's; it stays until it is given back.
func (c *camera) take() (buffer, error) {
	newest, some := buffer{}, false
	for {
		b := buffer{kind: typeVideoCapture, memory: memoryMapped}
		err := ioctl(c.fd, vidiocDequeueBuf, unsafe.Pointer(&b))
		switch {
		case errors.Is(err, unix.EAGAIN) && some:
			return newest, nil
		case err != nil:
			return buffer{}, fmt.Errorf("take a picture: %w", err)
		case int(b.index) >= len(c.buffers):
			return buffer{}, fmt.Errorf("%w: buffer %d of %d", driver.ErrBroken, b.index, len(c.buffers))
		}
		if some {
			if err := c.give(newest.index); err != nil {
				return buffer{}, err
			}
		}
		newest, some = b, true
	}
}

// pixels are those of a buffer that was taken.
func (c *camera) pixels(b buffer) []byte {
	mapped := c.buffers[b.index]
	return mapped[:min(int(b.used), len(mapped))]
}

// leaving is how long the kernel may need to notice that a camera is gone, after
// transfers to it failed: a hub looks after one of its devices at a time.
const leaving = 2 * time.Second

// explain gives an error the meaning that it has for a scanner.
func (c *camera) explain(err error) error { return c.explainIn(leaving, err) }

// explainIn does so within d.
func (c *camera) explainIn(d time.Duration, err error) error {
	for _, known := range []error{driver.ErrRemoved, driver.ErrNotReady, driver.ErrBroken} {
		if errors.Is(err, known) {
			return err
		}
	}
	meant := meaning(c.path, err)
	if errors.Is(meant, driver.ErrNotReady) && !errors.Is(meant, driver.ErrHeld) && c.gone(d) {
		return fmt.Errorf("%w: %w", driver.ErrRemoved, err)
	}
	return meant
}

// gone reports whether the camera goes within d.
func (c *camera) gone(d time.Duration) bool {
	for deadline := time.Now().Add(d); ; time.Sleep(slice / 5) {
		if _, err := capture(c.fd); errors.Is(err, unix.ENODEV) {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// close gives everything back.
func (c *camera) close() {
	if c.before != nil {
		_ = c.halt() // best effort: closing ends the stream, too
	}
	for _, b := range c.buffers {
		_ = unix.Munmap(b)
	}
	c.buffers = nil
	_ = unix.Close(c.fd)
}
