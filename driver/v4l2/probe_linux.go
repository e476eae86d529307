//go:build amd64 || arm64

package v4l2

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"sbid/driver"
	"sbid/driver/internal/holder"
	"sbid/driver/internal/hotplug"
)

// Probe lists the cameras that are plugged in and configured. A camera is asked
// what it can do once for each plugging.
func (d *Driver) Probe(ctx context.Context) ([]driver.Info, error) {
	var infos []driver.Info
	known := map[string]bool{}
	for _, n := range nodes("/") {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		known[n.key] = true
		info, _, ok := d.identify(&n)
		if ok && (len(infos) == 0 || infos[len(infos)-1].Addr != info.Addr) {
			infos = append(infos, info)
		}
	}
	d.forget(known)
	return infos, nil
}

// forget drops what is known of nodes that are gone.
func (d *Driver) forget(known map[string]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key := range d.seen {
		if !known[key] {
			delete(d.seen, key)
		}
	}
}

// A choice is how a node is used.
type choice struct {
	camera *Camera
	mode   mode
	asked  bool // else the mode is unknown: this user may not open the node
}

// identify says what scanner is behind a node, if any.
func (d *Driver) identify(n *node) (driver.Info, choice, bool) {
	info := n.info()
	if !slices.ContainsFunc(d.cameras, func(c Camera) bool { return n.fits(&c) }) {
		return info, choice{}, false // left alone, and asleep
	}
	seen, err := d.ask(n)
	switch {
	case errors.Is(err, driver.ErrPermission) && n.index == 0:
		// It is listed, so that somebody can be told why it does not work.
		for i := range d.cameras {
			if c := &d.cameras[i]; n.fits(c) {
				c.describe(&info)
				return info, choice{camera: c}, true
			}
		}
		return info, choice{}, false
	case err != nil || !seen.capture:
		return info, choice{}, false
	}
	for i := range d.cameras {
		c := &d.cameras[i]
		if !n.fits(c) {
			continue
		}
		m, err := c.choose(seen.modes)
		if err != nil {
			if c.Path+c.ID+c.Serial == "" {
				continue // it means any camera that can
			}
			c.describe(&info)
			return info, choice{camera: c, asked: true}, true // Open says what is wrong
		}
		c.describe(&info)
		info.Abilities.Native = native(m, seen.modes)
		return info, choice{c, m, true}, true
	}
	return info, choice{}, false
}

// ask opens a node that was not asked yet.
func (d *Driver) ask(n *node) (sighted, error) {
	d.mu.Lock()
	seen, ok := d.seen[n.key]
	d.mu.Unlock()
	if ok {
		return seen, nil
	}
	fd, err := openNode(n.path)
	if err != nil {
		return seen, err
	}
	defer unix.Close(fd)
	if seen.capture, err = capture(fd); err != nil {
		return seen, meaning(n.path, err)
	}
	if seen.capture {
		seen.modes = modes(fd)
	}
	d.mu.Lock()
	d.seen[n.key] = seen
	d.mu.Unlock()
	return seen, nil
}

// waking is how long a camera may be busy with waking up.
const waking = 300 * time.Millisecond

func openNode(path string) (int, error) {
	for deadline := time.Now().Add(waking); ; time.Sleep(waking / 10) {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		switch {
		case err == nil:
			return fd, nil
		case !errors.Is(err, unix.EBUSY) || time.Now().After(deadline):
			return -1, fmt.Errorf("open %s: %w", path, meaning(path, err))
		}
	}
}

// meaning gives an error of the kernel the meaning that it has for a scanner.
func meaning(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: may this user open cameras (group video)?", driver.ErrPermission)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%w: %w", driver.ErrRemoved, err)
	case errors.Is(err, unix.EBUSY):
		if who := holder.Of(path); who != "" {
			return fmt.Errorf("%w: %s", driver.ErrHeld, who)
		}
		return driver.ErrHeld
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTTY):
		return err // a question that this node does not understand
	}
	return fmt.Errorf("%w: %w", driver.ErrNotReady, err)
}

// poll is how often Watch looks where the kernel's events cannot be had.
const poll = 2 * time.Second

// Watch calls changed after cameras came or went.
func (d *Driver) Watch(ctx context.Context, changed func()) {
	if hotplug.Watch(ctx, []string{"video4linux"}, changed) == nil {
		return
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			changed()
		}
	}
}
