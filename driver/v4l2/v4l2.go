// Package v4l2 drives cameras on Linux: those of USB Video Class that see faces,
// and near-infrared ones that see eyes. README.md tells which are known, and
// what is not.
package v4l2

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"sbid/driver"
)

// A Config says which cameras are scanners. The zero value takes every colour
// camera for a scanner of faces.
type Config struct {
	// Cameras: the first that fits a camera decides what it is; a camera that none
	// fits is no scanner. nil: one that fits every colour camera.
	Cameras []Camera
	// Patience is how long a camera may send no good picture; 0: 2 s. After that it
	// is started anew, once.
	Patience time.Duration
}

// A Camera says which camera is meant, and what it is used for. A camera fits
// when all of Path, ID and Serial that are given are its own.
type Camera struct {
	Path   string // the socket it is plugged into, as driver.Info.Path: usb:1-2.3
	ID     string // vendor and product, like 046d:0825
	Serial string // the maker's serial number

	Type string // face or iris; "": face
	Eyes string // how many an iris camera's picture shows: one or both; "": both

	// Format is the four-character code of what the camera sends: MJPG, YUYV, GREY,
	// Y8I, Y10, Y12 or Y16; "": for faces MJPG, else YUYV; for eyes what was least
	// compressed.
	Format string
	// Width and Height in pixels; 0: for faces the largest up to 1920x1080, for eyes
	// the largest, that the camera sends at Rate.
	Width, Height int
	Rate          int // pictures a second, at least; 0: 10 for faces, 3 for eyes

	// Emitter switches the near-infrared light on: the 9 bytes, in hexadecimal, that
	// the camera takes for control 06 (face authentication) of Microsoft's extension
	// unit, such as 010302000000000000. Models differ. While no pictures are asked
	// for, the camera has what it had before. "": left alone.
	Emitter string
	// Alternate: every second picture is taken without light. Those are dropped.
	Alternate bool

	Make, Model string // "": as the camera says
}

// A Driver is the family of cameras. It is safe for concurrent use.
type Driver struct {
	cameras  []Camera
	patience time.Duration

	mu    sync.Mutex
	lanes map[string]*lane   // by address
	seen  map[string]sighted // by the node that was asked
}

// A sighted camera is what asking a node told: a camera that is asked wakes up.
type sighted struct {
	capture bool // else the node carries no pictures
	modes   []mode
}

// New returns the driver, or says what is wrong with c.
func New(c Config) (*Driver, error) {
	d := &Driver{
		cameras: slices.Clone(c.Cameras), patience: c.Patience,
		lanes: map[string]*lane{}, seen: map[string]sighted{},
	}
	if d.patience <= 0 {
		d.patience = 2 * time.Second
	}
	if c.Cameras == nil {
		d.cameras = []Camera{{}}
	}
	for i := range d.cameras {
		if err := d.cameras[i].check(); err != nil {
			return nil, fmt.Errorf("v4l2: camera %d: %w", i+1, err)
		}
	}
	return d, nil
}

var usbID = regexp.MustCompile(`^[0-9a-f]{4}:[0-9a-f]{4}$`)

// check fills in what is left empty.
func (c *Camera) check() error {
	c.ID = strings.ToLower(c.ID)
	if c.ID != "" && !usbID.MatchString(c.ID) {
		return fmt.Errorf("usb id %q is not of the form 046d:0825", c.ID)
	}
	if c.Type == "" {
		c.Type = "face"
	}
	if c.Type != "face" && c.Type != "iris" {
		return fmt.Errorf("type is face or iris, not %q", c.Type)
	}
	if c.Eyes != "" && (c.Type != "iris" || c.Eyes != "one" && c.Eyes != "both") {
		return fmt.Errorf("eyes are one or both, of an iris camera; not %q of type %s", c.Eyes, c.Type)
	}
	if c.Format != "" {
		f := formatNamed(c.Format)
		if f == nil || c.Type == "face" && !f.colour {
			return fmt.Errorf("no pictures of a %s are made of format %q", c.Type, c.Format)
		}
	}
	if c.Width < 0 || c.Height < 0 || (c.Width == 0) != (c.Height == 0) || c.Width > maxSide || c.Height > maxSide {
		return fmt.Errorf("no picture is %dx%d", c.Width, c.Height)
	}
	if c.Rate < 0 {
		return fmt.Errorf("%d pictures a second", c.Rate)
	}
	if c.Rate == 0 {
		c.Rate = 10
		if c.Type == "iris" {
			c.Rate = 3
		}
	}
	if b, err := hex.DecodeString(c.Emitter); err != nil || len(b) != 0 && len(b) != emitterSize {
		return fmt.Errorf("emitter %q is not %d bytes in hexadecimal", c.Emitter, emitterSize)
	}
	return nil
}

// Capture device technologies of ISO/IEC 19794-5 and -6 (2011).
const (
	digitalVideo = 6
	irisSensor   = 1
)

// describe fills in what the camera is used for.
func (c *Camera) describe(info *driver.Info) {
	info.Modality, info.Sensors, info.Technology = driver.Face, []driver.Sensor{driver.Single}, digitalVideo
	if c.Type == "iris" {
		info.Modality, info.Technology = driver.Iris, irisSensor
		if c.Eyes != "one" {
			info.Sensors = []driver.Sensor{driver.Left, driver.Right, driver.Both}
		}
	}
	if c.Make != "" {
		info.Make = c.Make
	}
	if c.Model != "" {
		info.Model = c.Model
	}
	info.Abilities.Streams = true
}

// ID returns v4l2.
func (d *Driver) ID() string { return "v4l2" }
