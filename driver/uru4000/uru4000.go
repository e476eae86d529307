// Package uru4000 drives the optical fingerprint readers U.are.U 4000, 4000B and
// 4500 by DigitalPersona, and Microsoft's readers with the same chip. README.md
// tells which are known, and what is not.
package uru4000

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sbid/driver"
	"sbid/driver/internal/usb"
)

// A Config has what is not certain about readers. The zero value is right for
// what is known.
type Config struct {
	// DPI is the sensor's sampling rate in pixels per inch; 0: 512, by the maker's
	// sheet. Measure it with a printed target before claiming 500.
	DPI int
	// Turn is how far pictures are turned clockwise, besides what the model needs:
	// 0, 90, 180 or 270 degrees, by how the reader is mounted.
	Turn int
	// Contrast is the variance of grey in the middle of a picture below which it
	// shows no finger; 0: 60, negative: every picture is a frame.
	Contrast float64
	// Technology is driver.Info.Technology; 0: 4, a prism in light of one colour.
	Technology byte
	// Answer is the patience with one picture; 0: 2 s.
	Answer time.Duration
}

// A model is one product of the family.
type model struct {
	id   usb.ID
	make string
	name string
	aes  bool // it wants a handshake before it wakes
	turn int  // clockwise, in degrees, to bring its pictures upright
}

// models are the known products. Keyboards and mice of Microsoft have ids
// 00BB to 00BD and no handshake.
var models = []model{
	{usb.ID{Vendor: 0x05BA, Product: 0x0007}, "DigitalPersona", "U.are.U 4000", false, 0},
	{usb.ID{Vendor: 0x05BA, Product: 0x0008}, "DigitalPersona", "U.are.U 4000 keyboard", false, 0},
	{usb.ID{Vendor: 0x05BA, Product: 0x000A}, "DigitalPersona", "U.are.U 4500", false, 180},
	{usb.ID{Vendor: 0x045E, Product: 0x00BB}, "Microsoft", "Fingerprint keyboard", false, 0},
	{usb.ID{Vendor: 0x045E, Product: 0x00BC}, "Microsoft", "Fingerprint mouse", false, 0},
	{usb.ID{Vendor: 0x045E, Product: 0x00BD}, "Microsoft", "Fingerprint Reader", false, 0},
	{usb.ID{Vendor: 0x045E, Product: 0x00CA}, "Microsoft", "Fingerprint Reader v2", true, 0},
}

func modelOf(id usb.ID) model {
	return models[slices.IndexFunc(models, func(m model) bool { return m.id == id })]
}

// claim is what a reader has: keyboards have other interfaces besides.
func claim() usb.Claim {
	c := usb.Claim{Class: 0xFF, Subclass: 0xFF, Protocol: 0xFF, Endpoints: []byte{interruptIn, imageIn}}
	for _, m := range models {
		c.IDs = append(c.IDs, m.id)
	}
	return c
}

// A Driver is the family of readers. It is safe for concurrent use.
type Driver struct {
	bus    usb.Bus
	config Config
}

// New returns the driver of the readers on bus, or says what is wrong with c.
func New(bus usb.Bus, c Config) (*Driver, error) {
	if c.DPI < 0 || !slices.Contains([]int{0, 90, 180, 270}, c.Turn) {
		return nil, fmt.Errorf("uru4000: no picture has %d pixels per inch and is turned by %d degrees", c.DPI, c.Turn)
	}
	if c.DPI == 0 {
		c.DPI = 512
	}
	if c.Contrast == 0 {
		c.Contrast = 60
	}
	if c.Technology == 0 {
		c.Technology = monochromeTIR
	}
	if c.Answer <= 0 {
		c.Answer = 2 * time.Second
	}
	return &Driver{bus, c}, nil
}

// ID returns uru4000.
func (d *Driver) ID() string { return "uru4000" }

// monochromeTIR is a capture device technology of ISO/IEC 19794-4:2011: visible
// light of one colour, totally reflected.
const monochromeTIR = 4

// Probe lists the readers that are plugged in.
func (d *Driver) Probe(ctx context.Context) ([]driver.Info, error) {
	found, err := d.bus.List(ctx, claim().IDs)
	if err != nil {
		return nil, err
	}
	var infos []driver.Info
	for _, f := range found {
		m := modelOf(f.ID)
		infos = append(infos, driver.Info{
			Addr: f.Path, Path: f.Path, Serial: f.Serial,
			Make: m.make, Model: m.name, Firmware: f.Version(),
			Modality: driver.Finger, Sensors: []driver.Sensor{driver.Single}, Technology: d.config.Technology,
			Abilities: driver.Abilities{Native: []driver.Geometry{d.native()}},
		})
	}
	return infos, nil
}

// native is the picture that the sensor takes.
func (d *Driver) native() driver.Geometry {
	g := driver.Geometry{Width: width, Height: height, DPI: d.config.DPI, Depth: 8}
	if d.config.Turn%180 != 0 {
		g.Width, g.Height = g.Height, g.Width
	}
	return g
}

// Open takes hold of the reader at addr and starts it.
func (d *Driver) Open(ctx context.Context, addr string) (driver.Scanner, error) {
	device, err := d.bus.Open(ctx, addr, claim())
	if err != nil {
		return nil, err
	}
	m := modelOf(device.Info().ID)
	s := &scanner{
		driver: d, model: m, buf: make([]byte, frameSize),
		chip: &chip{Device: device, aes: m.aes, events: listen(device)},
	}
	if err := s.chip.start(ctx); err != nil {
		_ = s.Close() // the reason is err
		return nil, fmt.Errorf("start %s: %w", addr, err)
	}
	s.awake = true
	return s, nil
}
