// Package daemon is what sbid and sbisim have in common: it opens an endpoint
// for each purpose, says when it answers, and stops everything again.
package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sbid/capture"
	"sbid/cmd/internal/version"
	"sbid/sbi"
)

// Options are the flags that both programs take.
type Options struct {
	Ports       string   `default:"4501-4600" placeholder:"FIRST-LAST" help:"Ports of 127.0.0.1 to choose from; the lowest free one is taken."`
	Purpose     []string `default:"Registration,Auth" enum:"Registration,Auth" help:"What to serve: Registration, Auth or both, each on a port of its own."`
	AllowOrigin []string `placeholder:"ORIGIN" help:"Let pages of this web origin use the scanners, like https://portal.example.org. May be repeated."`
	LogFormat   string   `default:"text" enum:"text,json" help:"How to write the log on stderr: text or json."`
}

// Logger returns the log that the options ask for.
func (o Options) Logger(w io.Writer) *slog.Logger {
	if o.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// PortRange reads FIRST-LAST or a single port.
func (o Options) PortRange() (first, last int, err error) {
	from, to, found := strings.Cut(o.Ports, "-")
	if !found {
		to = from
	}
	first, err = strconv.Atoi(from)
	if err == nil {
		last, err = strconv.Atoi(to)
	}
	if err != nil || first < 1 || last > 65535 || first > last {
		return 0, 0, fmt.Errorf("ports %q: write them like 4501-4600", o.Ports)
	}
	return first, last, nil
}

// A Device is a device with the keys it starts with; without keys it is not
// registered.
type Device struct {
	*sbi.Device
	Keys *sbi.Keys
}

// Settings are what the two programs do differently.
type Settings struct {
	Environment string                  // SBI env
	AnyOrigin   bool                    // pages of every origin may use the scanners
	Extra       map[string]http.Handler // further handlers of every endpoint, used once New has returned
	Report      func(sbi.Report)        // told of every capture; may be nil
	// SigningFailed is told whose key could not sign; may be nil.
	SigningFailed func(deviceID string, err error)
}

// A Daemon has endpoints that are bound but do not answer yet.
type Daemon struct {
	Servers map[sbi.Purpose]*sbi.Server

	stdout io.Writer
	log    *slog.Logger
	order  []sbi.Purpose

	mu      sync.Mutex
	devices []Device
}

// New binds an endpoint for each purpose.
func (o Options) New(ctx context.Context, settings Settings, log *slog.Logger, stdout io.Writer) (*Daemon, error) {
	first, last, err := o.PortRange()
	if err != nil {
		return nil, err
	}
	origins, err := sbi.ParseOrigins(o.AllowOrigin, settings.AnyOrigin)
	if err != nil {
		return nil, err
	}
	d := &Daemon{Servers: map[sbi.Purpose]*sbi.Server{}, stdout: stdout, log: log}
	for _, name := range o.Purpose {
		purpose := sbi.Purpose(name)
		if d.Servers[purpose] != nil {
			continue
		}
		listener, err := sbi.Listen(ctx, first, last)
		if err != nil {
			d.Close()
			return nil, err
		}
		d.Servers[purpose] = sbi.NewServer(sbi.Config{
			Purpose: purpose, Origins: origins, Environment: settings.Environment,
			Version: version.String(), Log: log, Extra: settings.Extra, Report: settings.Report, SigningFailed: settings.SigningFailed,
		}, listener)
		d.order = append(d.order, purpose)
	}
	return d, nil
}

// Close gives the ports of a Daemon back that was never run.
func (d *Daemon) Close() {
	for _, s := range d.Servers {
		s.Close()
	}
}

// Add makes a device known, at any time. One of a purpose that is not served is
// passed over.
func (d *Daemon) Add(dev Device) error {
	s := d.Servers[dev.Purpose]
	if s == nil {
		return nil
	}
	if err := s.SetKeys(dev.Device, dev.Keys); err != nil {
		return fmt.Errorf("register device %s: %w", dev.ID, err)
	}
	d.Admit(dev.Device)
	return nil
}

// Admit is Add of a device that has been given its keys.
func (d *Daemon) Admit(dev *sbi.Device) {
	s := d.Servers[dev.Purpose]
	if s == nil {
		return
	}
	s.Add(dev)
	d.mu.Lock()
	d.devices = append(d.devices, Device{Device: dev})
	d.mu.Unlock()
}

// Devices returns all that were added.
func (d *Daemon) Devices() []Device {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.devices)
}

// Run serves until ctx ends and returns when everything it started has stopped.
// Each endpoint is announced on stdout as soon as it answers.
func (d *Daemon) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { d.rest(ctx) })
	ended := make(chan error, len(d.order))
	for _, purpose := range d.order {
		s := d.Servers[purpose]
		wg.Go(func() { ended <- s.Run(ctx) })
		fmt.Fprintf(d.stdout, "ready %s %s/\n", purpose, s.Origin())
	}
	var err error
	for range d.order {
		if e := <-ended; err == nil {
			err = e
		}
		cancel() // one endpoint alone is no service
	}
	return err
}

// restTime is how long after a capture its memory goes back to the system.
const restTime = 2 * time.Second

// rest gives memory back once no scanner is in use any more: what images took
// is a hundred times what the service needs while it waits for weeks.
func (d *Daemon) rest(ctx context.Context) {
	tick := time.NewTicker(restTime)
	defer tick.Stop()
	rested := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		used, inUse := false, false
		for _, dev := range d.Devices() {
			used = used || dev.Scanner.LastUse().After(rested)
			inUse = inUse || dev.Scanner.State() == capture.InUse
		}
		if used && !inUse {
			rested = time.Now()
			debug.FreeOSMemory()
		}
	}
}
