// Package daemon is what sbid and sbisim have in common: it opens an endpoint
// for each purpose, says when it answers, follows the scanners' plugging and
// stops everything again.
package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"sbid/capture"
	"sbid/cmd/internal/version"
	"sbid/driver"
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

// portRange reads FIRST-LAST or a single port.
func (o Options) portRange() (first, last int, err error) {
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

// A Daemon has endpoints that are bound but do not answer yet.
type Daemon struct {
	Servers map[sbi.Purpose]*sbi.Server
	Devices []Device

	stdout io.Writer
	log    *slog.Logger
	order  []sbi.Purpose
}

// New binds an endpoint for each purpose. extra, which may be nil, are further
// handlers of every endpoint; they may use the Daemon once New has returned.
func (o Options) New(ctx context.Context, devices []Device, anyOrigin bool, extra map[string]http.Handler, log *slog.Logger, stdout io.Writer) (*Daemon, error) {
	first, last, err := o.portRange()
	if err != nil {
		return nil, err
	}
	origins, err := sbi.ParseOrigins(o.AllowOrigin, anyOrigin)
	if err != nil {
		return nil, err
	}
	d := &Daemon{Servers: map[sbi.Purpose]*sbi.Server{}, Devices: devices, stdout: stdout, log: log}
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
		var own []*sbi.Device
		for _, dev := range devices {
			if dev.Purpose == purpose {
				own = append(own, dev.Device)
			}
		}
		d.Servers[purpose] = sbi.NewServer(sbi.Config{
			Purpose: purpose, Devices: own, Origins: origins, Environment: "Developer",
			Version: version.String(), Log: log, Extra: extra,
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

// Run registers the devices, serves until ctx ends and returns when everything
// it started has stopped. Each endpoint is announced on stdout as soon as it
// answers.
func (d *Daemon) Run(ctx context.Context, drivers driver.Registry) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for _, dev := range d.Devices {
		if s := d.Servers[dev.Purpose]; s != nil {
			if err := s.SetKeys(dev.Device, dev.Keys); err != nil {
				d.Close()
				return fmt.Errorf("register device %s: %w", dev.ID, err)
			}
		}
	}
	for _, drv := range drivers {
		wg.Go(func() { d.follow(ctx, drv) })
	}
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

// pollTime is how often drivers that do not notice plugging are asked.
const pollTime = 2 * time.Second

// follow keeps the scanners of one driver present or absent as they are
// plugged, until ctx ends.
func (d *Daemon) follow(ctx context.Context, drv driver.Driver) {
	look := func() {
		infos, err := drv.Probe(ctx)
		if err != nil {
			d.log.Warn("cannot look for scanners", "driver", drv.ID(), "err", err)
			return
		}
		plugged := map[string]bool{}
		for _, info := range infos {
			plugged[info.Addr] = true
		}
		for _, dev := range d.Devices {
			addr := dev.Scanner.Info().Addr
			if was := dev.Scanner.State() != capture.Absent; was != plugged[addr] {
				d.log.Info("scanner plugged", "device", dev.ID, "present", plugged[addr])
				dev.Scanner.SetPresent(plugged[addr])
			}
		}
	}
	if w, ok := drv.(driver.Watcher); ok {
		w.Watch(ctx, look)
		return
	}
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			look()
		}
	}
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
		for _, dev := range d.Devices {
			used = used || dev.Scanner.LastUse().After(rested)
			inUse = inUse || dev.Scanner.State() == capture.InUse
		}
		if used && !inUse {
			rested = time.Now()
			debug.FreeOSMemory()
		}
	}
}
