package simulator

import (
	"context"
	"fmt"
	"image"
	"sync"
	"time"

	"sbid/driver"
)

// Addresses of the virtual scanners.
const (
	AddrSlap       = "slap"        // four fingers of a hand, or both thumbs
	AddrIrisDouble = "iris-double" // both eyes or one of them
	AddrCamera     = "camera"      // a face, or the exception photo
	AddrFinger     = "finger"      // one finger
	AddrIris       = "iris"        // one eye
	AddrCameraAuth = "camera-auth" // a face
)

// A Config says who is in front of which scanners.
type Config struct {
	// Seed makes the person.
	Seed uint64
	// SerialOf returns the serial number of the scanner at an address, always
	// the same for the same address. Without it serial numbers follow from Seed.
	SerialOf func(addr string) string
	// Interval is the time between frames, 66 ms if it is 0.
	Interval time.Duration
	// Images are shown in place of the person, if there are any; their names are
	// those that KnownImage accepts. A scanner that has none for a capture sees
	// nothing.
	Images map[string]image.Image
}

// A Simulator is a driver of virtual scanners. It implements driver.Driver and
// driver.Watcher; its other methods are what happens in front of the scanners
// and to their cables. All of it is safe for concurrent use.
type Simulator struct {
	person   *Person
	images   map[string]image.Image
	interval time.Duration
	units    []*unit

	mu      sync.Mutex
	plugged chan struct{} // closed, and replaced, when something is plugged in or out
}

var (
	_ driver.Driver  = (*Simulator)(nil)
	_ driver.Watcher = (*Simulator)(nil)
)

// Capture device technologies of ISO/IEC 19794-4, -6 and -5 (2011).
const (
	monochromeTIR = 4 // optical, total internal reflection of one visible colour
	irisSensor    = 1 // CMOS or CCD
	digitalVideo  = 6 // video frame from a digital camera
)

// New returns the scanners, all of them plugged in, with the person before
// them. It draws nothing yet.
func New(c Config) *Simulator {
	s := &Simulator{
		person:   NewPerson(c.Seed),
		images:   playable(c.Images),
		interval: c.Interval,
		plugged:  make(chan struct{}),
	}
	if s.interval <= 0 {
		s.interval = 66 * time.Millisecond
	}
	three := []driver.Sensor{driver.Left, driver.Right, driver.Both}
	one := []driver.Sensor{driver.Single}
	for i, info := range []driver.Info{
		{Addr: AddrSlap, Model: "Virtual Slap 500", Modality: driver.Finger, Sensors: three, Technology: monochromeTIR},
		{Addr: AddrIrisDouble, Model: "Virtual Iris Duo", Modality: driver.Iris, Sensors: three, Technology: irisSensor},
		{Addr: AddrCamera, Model: "Virtual Camera 960", Modality: driver.Face, Sensors: one, Technology: digitalVideo},
		{Addr: AddrFinger, Model: "Virtual Finger 500", Modality: driver.Finger, Sensors: one, Technology: monochromeTIR},
		{Addr: AddrIris, Model: "Virtual Iris", Modality: driver.Iris, Sensors: one, Technology: irisSensor},
		{Addr: AddrCameraAuth, Model: "Virtual Camera 960", Modality: driver.Face, Sensors: one, Technology: digitalVideo},
	} {
		info.Make, info.Firmware = "sbid", "1.0.0"
		info.Abilities.Streams = true
		if c.SerialOf != nil {
			info.Serial = c.SerialOf(info.Addr)
		} else {
			info.Serial = fmt.Sprintf("SIM%012X", s.person.random(streamSerial, i, 0).Uint64()>>16)
		}
		s.units = append(s.units, &unit{
			info: info, number: i, changed: make(chan struct{}),
			state: state{plugged: true, present: true},
		})
	}
	return s
}

// Person returns who is in front of the scanners.
func (s *Simulator) Person() *Person { return s.person }

// ID returns "simulator".
func (s *Simulator) ID() string { return "simulator" }

// Probe lists the scanners that are plugged in.
func (s *Simulator) Probe(ctx context.Context) ([]driver.Info, error) {
	var infos []driver.Info
	for _, u := range s.units {
		if now, _ := u.now(); now.plugged {
			infos = append(infos, u.info)
		}
	}
	return infos, ctx.Err()
}

// Open takes hold of a scanner.
func (s *Simulator) Open(ctx context.Context, addr string) (driver.Scanner, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open %s: %w", addr, err)
	}
	if u := s.unit(addr); u != nil {
		if now, _ := u.now(); now.plugged {
			return &scanner{s, u, now.generation}, nil
		}
	}
	return nil, fmt.Errorf("open %s: %w", addr, driver.ErrRemoved)
}

// Watch calls changed after scanners are plugged in or out, until ctx ends.
func (s *Simulator) Watch(ctx context.Context, changed func()) {
	next := s.nextPlugging()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next:
			// Ask before telling, so that nothing is missed meanwhile.
			next = s.nextPlugging()
			changed()
		}
	}
}

func (s *Simulator) nextPlugging() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plugged
}

func (s *Simulator) unit(addr string) *unit {
	for _, u := range s.units {
		if u.info.Addr == addr {
			return u
		}
	}
	return nil
}
