package serialport

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.bug.st/serial"
	"go.bug.st/serial/enumerator"

	"sbid/driver"
)

// retry is how long a port that did not answer is left alone: asking at every
// rate takes seconds, and what hangs there may be something else.
const retry = 30 * time.Second

// Ports are the serial ports where a driver looks for scanners. They remember
// who answered: a module cannot be asked while a capture talks to it, and a
// port that was asked once need not be asked at every poll. Ports are safe for
// concurrent use.
type Ports struct {
	paths    []string
	bridges  []string
	identify func(ctx context.Context, path string) (driver.Info, error)

	mu    sync.Mutex
	known map[string]*port
}

// A port is one place. Its claim is a lock that can be waited for with a
// context, held by whoever talks on the line; the rest is under Ports.mu.
type port struct {
	claim chan struct{}
	open  bool        // claimed by a scanner, not by a probe
	found bool        // info is what answered
	mute  time.Time   // when it last did not answer; zero: ask again
	node  os.FileInfo // of the device node that was asked; nil where there are none
	info  driver.Info
}

func (pt *port) forget() { pt.found, pt.mute = false, time.Time{} }

// NewPorts returns the ports at paths and those that belong to USB bridges with
// one of the given ids: "vendor:product" in hexadecimal, as lsusb prints them.
// identify asks who is at path; its error says that nobody of the family is.
func NewPorts(paths, bridges []string, identify func(ctx context.Context, path string) (driver.Info, error)) (*Ports, error) {
	p := &Ports{paths: slices.Clone(paths), identify: identify, known: map[string]*port{}}
	for _, id := range bridges {
		vendor, product, _ := strings.Cut(id, ":")
		for _, part := range []string{vendor, product} {
			if _, err := strconv.ParseUint(part, 16, 16); err != nil || len(part) != 4 {
				return nil, fmt.Errorf("usb id %q is not of the form 10c4:ea60", id)
			}
		}
		p.bridges = append(p.bridges, strings.ToLower(id))
	}
	return p, nil
}

// Probe lists the scanners that are there. It fails only when none was found
// and a port could not be asked, or when ctx ends.
func (p *Ports) Probe(ctx context.Context) ([]driver.Info, error) {
	paths, err := p.present()
	var infos []driver.Info
	for _, path := range paths {
		info, found, lookErr := p.look(ctx, path)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if found {
			infos = append(infos, info)
		}
		err = errors.Join(err, lookErr)
	}
	if len(infos) > 0 {
		return infos, nil
	}
	return nil, err
}

// present lists the places that exist now: the configured ones first.
func (p *Ports) present() ([]string, error) {
	var paths []string
	for _, path := range p.paths {
		if _, ok := node(path); ok {
			paths = append(paths, path)
		}
	}
	if len(p.bridges) == 0 {
		return paths, nil
	}
	ports, err := list()
	if err != nil {
		return paths, fmt.Errorf("list serial ports: %w", err)
	}
	for _, port := range ports {
		id := strings.ToLower(port.VID + ":" + port.PID)
		if port.IsUSB && slices.Contains(p.bridges, id) && !slices.Contains(paths, port.Name) {
			paths = append(paths, port.Name)
		}
	}
	return paths, nil
}

// list returns the ports of this system. One that goes away while they are
// looked at makes the whole look fail, so it is repeated.
func list() (ports []*enumerator.PortDetails, err error) {
	for range 5 {
		if ports, err = enumerator.GetDetailedPortsList(); err == nil {
			break
		}
	}
	return ports, err
}

// node reports whether there is a port at path. On Windows ports are no files.
func node(path string) (os.FileInfo, bool) {
	info, err := os.Stat(path)
	if err != nil && runtime.GOOS == "windows" {
		ports, _ := serial.GetPortsList()
		return nil, slices.ContainsFunc(ports, func(s string) bool { return strings.EqualFold(s, path) })
	}
	return info, err == nil
}

// look says who is at path, from memory where possible. An error is about the
// port: that nobody of the family answers is none.
func (p *Ports) look(ctx context.Context, path string) (driver.Info, bool, error) {
	pt := p.at(path)
	if info, found, known := p.remembered(pt); known {
		return info, found, nil
	}
	select {
	case pt.claim <- struct{}{}:
	case <-ctx.Done():
		return driver.Info{}, false, context.Cause(ctx)
	}
	defer func() { <-pt.claim }()
	if info, found, known := p.remembered(pt); known { // another probe was first
		return info, found, nil
	}
	info, err := p.identify(ctx, path)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		pt.found, pt.info = true, info
	case errors.Is(err, driver.ErrRemoved), ctx.Err() != nil:
		return driver.Info{}, false, nil
	case errors.Is(err, driver.ErrNotReady):
		return driver.Info{}, false, err
	default:
		pt.mute = time.Now()
	}
	return info, err == nil, nil
}

// at returns what is known of path, which is nothing when another node has
// taken its place.
func (p *Ports) at(path string) *port {
	now, _ := node(path)
	p.mu.Lock()
	defer p.mu.Unlock()
	pt := p.known[path]
	if pt == nil {
		pt = &port{claim: make(chan struct{}, 1)}
		p.known[path] = pt
	}
	if (now == nil) != (pt.node == nil) || now != nil && !os.SameFile(now, pt.node) {
		pt.forget()
	}
	pt.node = now
	return pt
}

func (p *Ports) remembered(pt *port) (info driver.Info, found, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pt.found {
		return pt.info, true, true
	}
	return driver.Info{}, false, pt.open || !pt.mute.IsZero() && time.Since(pt.mute) < retry
}

// Claim takes the port at path for a scanner, until release is called. It fails
// with driver.ErrRemoved when path is none of the ports or is not there, and
// with driver.ErrNotReady when it is claimed already.
func (p *Ports) Claim(ctx context.Context, path string) (release func(), err error) {
	paths, err := p.present()
	if !slices.Contains(paths, path) {
		return nil, errors.Join(fmt.Errorf("no serial port %q: %w", path, driver.ErrRemoved), err)
	}
	pt := p.at(path)
	if !p.setOpen(pt, true) {
		return nil, fmt.Errorf("%s is open already: %w", path, driver.ErrNotReady)
	}
	select {
	case pt.claim <- struct{}{}: // after a probe that is under way
		return func() {
			<-pt.claim
			p.setOpen(pt, false)
		}, nil
	case <-ctx.Done():
		p.setOpen(pt, false)
		return nil, context.Cause(ctx)
	}
}

// setOpen reports whether it changed anything.
func (p *Ports) setOpen(pt *port, open bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := pt.open != open
	pt.open = open
	return changed
}

// Forget makes the next probe ask again who is at path: the module behind a
// bridge can be changed while the bridge stays.
func (p *Ports) Forget(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pt := p.known[path]; pt != nil {
		pt.forget()
	}
}
