// Package zfm drives the fingerprint modules that speak packets of header EF 01
// on a serial line: ZFM-20 to -70, R301 to R308, AS608, FPM10A, R503 and their
// relatives. README.md tells which are known, and what is not.
package zfm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"sbid/driver"
	"sbid/driver/internal/raster"
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

	Address  uint32 // of the module; 0: FFFFFFFF
	Password uint32 // as set in the module; its factory value is 0

	// Rates are tried in this order until the module answers; nil: 57600, 115200,
	// 9600, 19200, 38400, then the other multiples of 9600 up to 115200.
	Rates []int
	// FastRate is the rate while a module is open; 0: 115200, -1: as found. What
	// was found is set again on closing. Modules keep it in flash memory.
	FastRate int

	// Make and Model name modules that do not tell; "": Generic, EF01 module.
	Make, Model string
	// Technology is driver.Info.Technology; 0: capacitive for an R503, else unknown.
	Technology byte
	// Width and Height in pixels and DPI in pixels per inch; 0: as the module says,
	// or as its family has it. Sheets differ about DPI (500 or 508): measure it.
	Width, Height, DPI int
	// Ridges: "dark" or "light" as the module draws them; "": look at each image.
	Ridges string
	// Light: "aura" for the ring of an R503, "led" for modules with commands 50 and
	// 51, "none"; "": the aura where the module is of the R503's kind.
	Light string

	Poll   time.Duration // between two looks for a finger; 0: 150 ms
	Answer time.Duration // patience with one answer; 0: 2 s
}

// A Driver is the family of modules. It is safe for concurrent use.
type Driver struct {
	config Config
	ridges raster.Ridges
	ports  *serialport.Ports

	mu   sync.Mutex
	last map[string]memory // by path
}

// A memory is what helps to meet a module again.
type memory struct {
	baud    int
	late    time.Time // see module.late
	product product
}

const factoryPacket = 128

// New returns the driver, or says what is wrong with c.
func New(c Config) (*Driver, error) {
	d := &Driver{last: map[string]memory{}}
	switch c.Ridges {
	case "":
	case "dark":
		d.ridges = raster.RidgesDark
	case "light":
		d.ridges = raster.RidgesLight
	default:
		return nil, fmt.Errorf("zfm: ridges are dark or light, not %q", c.Ridges)
	}
	if !slices.Contains([]string{"", "none", "aura", "led"}, c.Light) {
		return nil, fmt.Errorf("zfm: light is none, aura or led, not %q", c.Light)
	}
	if c.Width < 0 || c.Height < 0 || c.Width%2 != 0 || (c.Width == 0) != (c.Height == 0) || c.DPI < 0 {
		return nil, fmt.Errorf("zfm: no image is %dx%d at %d pixels per inch", c.Width, c.Height, c.DPI)
	}
	if len(c.Rates) == 0 {
		c.Rates = []int{57600, 115200, 9600, 19200, 38400, 28800, 48000, 67200, 76800, 86400, 96000, 105600}
	}
	if c.FastRate == 0 {
		c.FastRate = 115200
	}
	for _, rate := range append(slices.Clone(c.Rates), max(c.FastRate, 9600)) {
		if rate%9600 != 0 || rate < 9600 || rate > 115200 {
			return nil, fmt.Errorf("zfm: %d baud is no multiple of 9600 up to 115200", rate)
		}
	}
	if c.Address == 0 {
		c.Address = 0xFFFFFFFF
	}
	if c.Poll <= 0 {
		c.Poll = 150 * time.Millisecond
	}
	if c.Answer <= 0 {
		c.Answer = 2 * time.Second
	}
	d.config = c
	ports, err := serialport.NewPorts(c.Ports, c.Bridges, d.identify)
	if err != nil {
		return nil, fmt.Errorf("zfm: %w", err)
	}
	d.ports = ports
	return d, nil
}

// ID returns zfm.
func (d *Driver) ID() string { return "zfm" }

// Probe lists the modules that answer. A port that was asked is not asked again
// until it goes, fails to open or, if nobody answered, half a minute later.
func (d *Driver) Probe(ctx context.Context) ([]driver.Info, error) { return d.ports.Probe(ctx) }

// identify asks the module at path who it is.
func (d *Driver) identify(ctx context.Context, path string) (driver.Info, error) {
	m, err := d.connect(ctx, path)
	if err != nil {
		return driver.Info{}, err
	}
	defer m.line.Close()
	info := driver.Info{
		Addr:     path,
		Make:     "Generic",
		Model:    "EF01 module",
		Modality: driver.Finger,
		Sensors:  []driver.Sensor{driver.Single},
	}
	p, err := m.product(ctx)
	if err == nil {
		info.Model, info.Serial = p.model, p.serial
		if p.width == 192 && p.height == 192 {
			info.Technology = capacitive
		}
		// Modules that tell what they are tell this, too; those that do not have none.
		info.Firmware, _ = m.firmware(ctx)
	}
	if ctx.Err() != nil || errors.Is(err, driver.ErrRemoved) {
		return driver.Info{}, err
	}
	c := d.config
	if c.Make != "" {
		info.Make = c.Make
	}
	if c.Model != "" {
		info.Model = c.Model
	}
	if c.Technology != 0 {
		info.Technology = c.Technology
	}
	d.remember(path, memory{baud: m.baud, product: p})
	return info, nil
}

// capacitive is a capture device technology of ISO/IEC 19794-4:2011.
const capacitive = 14

// connect opens the line at path, finds the module's rate and shows it the
// password.
func (d *Driver) connect(ctx context.Context, path string) (*module, error) {
	d.mu.Lock()
	last := d.last[path]
	d.mu.Unlock()
	rates := d.config.Rates
	if last.baud != 0 {
		rates = append([]int{last.baud}, slices.DeleteFunc(slices.Clone(rates), func(r int) bool { return r == last.baud })...)
	}
	line, err := serialport.Open(path, rates[0])
	if err != nil {
		return nil, err
	}
	m := &module{line: line, address: d.config.Address, patient: d.config.Answer, packet: factoryPacket, late: last.late}
	if err := d.greet(ctx, m, rates); err != nil {
		line.Close()
		return nil, err
	}
	return m, nil
}

func (d *Driver) greet(ctx context.Context, m *module, rates []int) error {
	m.baud = rates[0]
	if err := m.settle(ctx); err != nil {
		return err
	}
	if err := m.line.Drain(ctx, silence, time.Second); err != nil {
		return err
	}
	tries := repeats // a module that was just plugged in starts for up to a second
	for _, rate := range rates {
		if err := m.line.SetBaud(rate); err != nil {
			return err
		}
		m.baud = rate
		err := m.verifyPassword(ctx, d.config.Password, greet, tries)
		if _, refused := errors.AsType[code](err); refused {
			return fmt.Errorf("%w: %w", driver.ErrNotReady, err) // until it is configured rightly
		}
		if err == nil || !isNoAnswer(err) {
			return err
		}
		tries = 0
	}
	return fmt.Errorf("look for a module at %d rates: %w", len(rates), serialport.ErrSilent)
}

// Open takes hold of the module at addr, a path.
func (d *Driver) Open(ctx context.Context, addr string) (driver.Scanner, error) {
	release, err := d.ports.Claim(ctx, addr)
	if err != nil {
		return nil, err
	}
	s, err := d.open(ctx, addr)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, driver.ErrNotReady) {
			d.ports.Forget(addr)
		}
		release()
		return nil, err
	}
	s.release = release
	return s, nil
}

func (d *Driver) open(ctx context.Context, path string) (*scanner, error) {
	m, err := d.connect(ctx, path)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	known := d.last[path].product
	d.mu.Unlock()
	s := &scanner{
		driver: d, module: m, path: path, product: known,
		foundBaud: m.baud, foundPacket: factoryPacket,
	}
	if err := s.prepare(ctx); err != nil {
		m.line.Close()
		d.remember(path, memory{baud: m.baud, late: m.late, product: known})
		return nil, err
	}
	return s, nil
}

func (d *Driver) remember(path string, m memory) {
	d.mu.Lock()
	d.last[path] = m
	d.mu.Unlock()
}
