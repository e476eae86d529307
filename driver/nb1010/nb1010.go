// Package nb1010 drives the thermal fingerprint reader NB-1010-U by NEXT
// Biometrics. README.md tells what is known of it, and what is not.
package nb1010

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
	// DPI is the sensor's sampling rate in pixels per inch; 0: 385, as commonly
	// said. Measure it with a printed target.
	DPI int
	// Turn is how far pictures are turned clockwise: 0, 90, 180 or 270 degrees. In
	// what is known of the reader, the finger lies along the long side.
	Turn int
	// Technology is driver.Info.Technology; 0: 16, a thermal semiconductor.
	Technology byte
	Poll       time.Duration // between two looks for a finger; 0: 50 ms
	Answer     time.Duration // patience with one transfer; 0: 500 ms
}

// claim is what a reader has. Relatives 2020 and 2033 may speak otherwise.
var claim = usb.Claim{
	IDs:       []usb.ID{{Vendor: 0x298D, Product: 0x1010}},
	Endpoints: []byte{bulkOut, bulkIn},
}

// A Driver is the family of readers. It is safe for concurrent use.
type Driver struct {
	bus    usb.Bus
	config Config
}

// thermal is a capture device technology of ISO/IEC 19794-4:2011.
const thermal = 16

// New returns the driver of the readers on bus, or says what is wrong with c.
func New(bus usb.Bus, c Config) (*Driver, error) {
	if c.DPI < 0 || !slices.Contains([]int{0, 90, 180, 270}, c.Turn) {
		return nil, fmt.Errorf("nb1010: no picture has %d pixels per inch and is turned by %d degrees", c.DPI, c.Turn)
	}
	if c.DPI == 0 {
		c.DPI = 385
	}
	if c.Technology == 0 {
		c.Technology = thermal
	}
	if c.Poll <= 0 {
		c.Poll = 50 * time.Millisecond
	}
	if c.Answer <= 0 {
		c.Answer = 500 * time.Millisecond
	}
	return &Driver{bus, c}, nil
}

// ID returns nb1010.
func (d *Driver) ID() string { return "nb1010" }

// Probe lists the readers that are plugged in. They have no serial number.
func (d *Driver) Probe(ctx context.Context) ([]driver.Info, error) {
	found, err := d.bus.List(ctx, claim.IDs)
	if err != nil {
		return nil, err
	}
	var infos []driver.Info
	for _, f := range found {
		infos = append(infos, driver.Info{
			Addr: f.Path, Path: f.Path, Serial: f.Serial,
			Make: "NEXT Biometrics", Model: "NB-1010-U", Firmware: f.Version(),
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

// Open takes hold of the reader at addr and asks it for a finger, which shows
// that it answers.
func (d *Driver) Open(ctx context.Context, addr string) (driver.Scanner, error) {
	device, err := d.bus.Open(ctx, addr, claim)
	if err != nil {
		return nil, err
	}
	// What the reader's last user left unread comes first.
	r := &reader{Device: device, answer: d.config.Answer, astray: true}
	if err = r.settle(ctx); err == nil {
		_, err = r.ask(ctx, askContact, codePresence)
	}
	if err != nil {
		_ = r.Close() // the reason is err
		return nil, fmt.Errorf("start %s: %w", addr, err)
	}
	return &scanner{d, r}, nil
}
