// Package gt511 drives the optical fingerprint modules GT-511C3 and GT-511C1R
// of ADH-Tech on a serial line. README.md tells what is known of them.
package gt511

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sbid/driver"
	"sbid/driver/internal/serialport"
)

// A Config says where modules are and what they do not tell of themselves. The
// zero value finds nothing; what else is left zero takes the default given.
type Config struct {
	// Ports are paths of ports with a module: /dev/ttyS0, COM3, or a link such as
	// /dev/serial/by-path/..., which stays the same from plug to plug.
	Ports []string
	// Bridges are ids of USB serial adapters that have a module, such as
	// "10c4:ea60". Adapters of these ids are written to, whatever hangs there.
	Bridges []string

	// Model is C3 or C1R; "": C3. The module does not tell, and the size of its
	// image depends on it.
	Model string
	// DPI is the sampling rate of the processed image in pixels per inch; 0: 450
	// for a C3, which is widely quoted and not confirmed. A C1R needs it.
	DPI int
	// Transposed: a C1R sends lines of 216 pixels, not of 240. Sources differ.
	Transposed bool
	// Raw takes the sensor's raw view, which needs no finger: for a C3 160x120
	// pixels, at half the rate.
	Raw bool
	// Fast takes the first picture, not the best of several.
	Fast bool

	// Rates are tried in this order until the module answers; nil: 9600, 115200,
	// 57600, 38400, 19200.
	Rates []int
	// FastRate is the rate while a module is open; 0: 115200, -1: as found. On
	// closing it is set back to 9600, if it was changed.
	FastRate int

	Poll   time.Duration // between two looks for a finger; 0: 200 ms
	Answer time.Duration // patience with one answer; 0: 1 s
}

// A Driver is the family of modules. It is safe for concurrent use.
type Driver struct {
	config Config
	image  imageKind
	ports  *serialport.Ports

	mu   sync.Mutex
	last map[string]memory // by path
}

// A memory is what helps to meet a module again.
type memory struct {
	baud int
	late time.Time // see module.late
}

// New returns the driver, or says what is wrong with c.
func New(c Config) (*Driver, error) {
	c.Model = strings.ToUpper(c.Model)
	if c.Model == "" {
		c.Model = "C3"
	}
	if len(c.Rates) == 0 {
		c.Rates = []int{9600, 115200, 57600, 38400, 19200}
	}
	if c.FastRate == 0 {
		c.FastRate = 115200
	}
	for _, rate := range append(slices.Clone(c.Rates), max(c.FastRate, 9600)) {
		if !slices.Contains([]int{9600, 19200, 38400, 57600, 115200}, rate) {
			return nil, fmt.Errorf("gt511: modules do not know %d baud", rate)
		}
	}
	if c.Poll <= 0 {
		c.Poll = 200 * time.Millisecond
	}
	if c.Answer <= 0 {
		c.Answer = time.Second
	}
	kind, err := imageOf(c)
	if err != nil {
		return nil, fmt.Errorf("gt511: %w", err)
	}
	d := &Driver{config: c, image: kind, last: map[string]memory{}}
	if d.ports, err = serialport.NewPorts(c.Ports, c.Bridges, d.identify); err != nil {
		return nil, fmt.Errorf("gt511: %w", err)
	}
	return d, nil
}

// ID returns gt511.
func (d *Driver) ID() string { return "gt511" }

// Probe lists the modules that answer. A port that was asked is not asked again
// until it goes, fails to open or, if nobody answered, half a minute later.
func (d *Driver) Probe(ctx context.Context) ([]driver.Info, error) { return d.ports.Probe(ctx) }

// identify asks the module at path who it is.
func (d *Driver) identify(ctx context.Context, path string) (driver.Info, error) {
	m, id, err := d.connect(ctx, path)
	if err != nil {
		return driver.Info{}, err
	}
	defer m.line.Close()
	d.remember(path, memory{baud: m.baud})
	return driver.Info{
		Addr:     path,
		Serial:   id.serial,
		Make:     "ADH-Tech",
		Model:    "GT-511" + d.config.Model,
		Firmware: id.firmware,
		Modality: driver.Finger,
		Sensors:  []driver.Sensor{driver.Single},
	}, nil
}

// connect opens the line at path and finds the module's rate.
func (d *Driver) connect(ctx context.Context, path string) (*module, identity, error) {
	d.mu.Lock()
	last := d.last[path]
	d.mu.Unlock()
	rates := d.config.Rates
	if last.baud != 0 {
		rates = append([]int{last.baud}, slices.DeleteFunc(slices.Clone(rates), func(r int) bool { return r == last.baud })...)
	}
	line, err := serialport.Open(path, rates[0])
	if err != nil {
		return nil, identity{}, err
	}
	m := &module{line: line, patient: d.config.Answer, baud: rates[0], late: last.late}
	id, err := m.find(ctx, rates)
	if err != nil {
		line.Close()
		return nil, identity{}, err
	}
	return m, id, nil
}

// find asks at one rate after the other until the module answers.
func (m *module) find(ctx context.Context, rates []int) (identity, error) {
	if err := m.settle(ctx); err != nil {
		return identity{}, err
	}
	if err := m.line.Drain(ctx, silence, time.Second); err != nil {
		return identity{}, err
	}
	tries := repeats // a damaged answer at the likely rate is asked for again
	for _, rate := range rates {
		if err := m.line.SetBaud(rate); err != nil {
			return identity{}, err
		}
		m.baud = rate
		id, err := m.open(ctx, greet, tries)
		if err == nil || !mend(err) && !errors.Is(err, serialport.ErrNoise) {
			return id, err
		}
		tries = 0
	}
	return identity{}, fmt.Errorf("look for a module at %d rates: %w", len(rates), serialport.ErrSilent)
}

// Open takes hold of the module at addr, a path.
func (d *Driver) Open(ctx context.Context, addr string) (driver.Scanner, error) {
	release, err := d.ports.Claim(ctx, addr)
	if err != nil {
		return nil, err
	}
	m, _, err := d.connect(ctx, addr)
	if err == nil {
		s := &scanner{driver: d, module: m, path: addr, release: release}
		if err = s.prepare(ctx); err == nil {
			return s, nil
		}
		m.line.Close()
		d.remember(addr, memory{baud: m.baud, late: m.late})
	}
	if ctx.Err() == nil && !errors.Is(err, driver.ErrNotReady) {
		d.ports.Forget(addr)
	}
	release()
	return nil, err
}

func (d *Driver) remember(path string, m memory) {
	d.mu.Lock()
	d.last[path] = m
	d.mu.Unlock()
}
