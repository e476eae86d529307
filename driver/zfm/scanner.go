package zfm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"sbid/driver"
	"sbid/driver/internal/serialport"
)

const (
	// grace is how long a cancelled capture waits for what it asked for, so that
	// the next command finds a quiet line.
	grace = 500 * time.Millisecond
	// parting is how long Close waits for the same, to leave the module as it was.
	parting = 2 * time.Second
	// largePacket is the packet size that wastes least.
	largePacket = 256
)

// A scanner is an open module.
//
//	quiet → asking for a finger → finger there → reading the image → quiet
//	              └──────────── cancelled ──────────────┴──→ late → quiet
//
// Late means that the module still sends an answer that nobody waits for. It is
// read to its end before the next command.
type scanner struct {
	driver      *Driver
	module      *module
	path        string
	product     product // zero if the module does not tell
	foundBaud   int     // as they were, for Close
	foundPacket int
	release     func()
}

// prepare reads the module's settings, tests its sensor and makes it fast. A
// module that cannot be made faster is used as it is.
func (s *scanner) prepare(ctx context.Context) error {
	m := s.module
	switch size, err := m.packetSize(ctx); {
	case err == nil:
		m.packet, s.foundPacket = size, size
	case lost(ctx, err):
		return err
	default:
		return nil // some models know neither this command nor how to change
	}
	if s.grow() {
		if _, err := m.command(ctx, checkSensor); errors.Is(err, codeSensorFault) || lost(ctx, err) {
			return err
		}
	}
	if m.packet != largePacket {
		if err := m.setPacketSize(ctx, largePacket); lost(ctx, err) {
			return err
		}
	}
	if fast := s.driver.config.FastRate; fast > 0 && fast != m.baud {
		if err := m.setBaud(ctx, fast, s.driver.config.Password); lost(ctx, err) || errors.Is(err, serialport.ErrSilent) {
			return err
		}
	}
	return nil
}

// grow reports whether the module is of the R503's kind, by GROW.
func (s *scanner) grow() bool { return s.product.width > 0 }

// lost reports whether err ends the conversation, and not just one command.
func lost(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, driver.ErrRemoved) || errors.Is(err, serialport.ErrNoise))
}

// Frames yields an image whenever a finger is there. The module takes one when
// asked, so that between fingers it is asked again and again.
func (s *scanner) Frames(ctx context.Context, _ driver.Target) iter.Seq2[driver.Frame, error] {
	return func(yield func(driver.Frame, error) bool) {
		err := s.scan(ctx, yield)
		s.quiet(ctx)
		if err != nil && ctx.Err() == nil {
			yield(driver.Frame{}, fmt.Errorf("scan at %s: %w", s.path, err))
		}
	}
}

// scan returns nil when the consumer wants no more.
func (s *scanner) scan(ctx context.Context, yield func(driver.Frame, error) bool) error {
	m, c := s.module, s.driver.config
	if err := m.settle(ctx); err != nil {
		return err
	}
	if err := s.light(ctx, true); lost(ctx, err) {
		return err
	}
	for {
		_, err := m.command(ctx, genImg)
		var answer code
		switch {
		case err == nil:
			frame, err := s.frame(ctx)
			if err != nil {
				return err
			}
			if !yield(frame, nil) {
				return nil
			}
			continue
		case !errors.As(err, &answer) || !answer.again():
			return notReady(err)
		}
		if err := serialport.Pause(ctx, c.Poll); err != nil {
			return err
		}
	}
}

func (s *scanner) frame(ctx context.Context) (driver.Frame, error) {
	pixels, err := s.module.upload(ctx)
	if err != nil {
		return driver.Frame{}, notReady(err)
	}
	c := s.driver.config
	configured := geometry{c.Width, c.Height, c.DPI}
	claimed := geometry{width: s.product.width, height: s.product.height}
	return frameOf(pixels, configured, claimed, s.driver.ridges)
}

// notReady marks a module that fell silent: it is there and may come back.
func notReady(err error) error {
	if errors.Is(err, serialport.ErrSilent) {
		return fmt.Errorf("%w: %w", driver.ErrNotReady, err)
	}
	return err
}

// quiet ends a scan: what was asked is waited for briefly, and the light goes
// out. What fails here fails again where it matters.
func (s *scanner) quiet(ctx context.Context) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer stop()
	if s.module.settle(ctx) != nil || !s.module.late.IsZero() {
		return
	}
	_ = s.light(ctx, false)
}

// Aura: a ring that breathes blue while a finger is awaited.
var (
	auraOn  = []byte{auraLED, 1, 0x80, 2, 0}
	auraOff = []byte{auraLED, 4, 0, 1, 0}
)

func (s *scanner) light(ctx context.Context, on bool) error {
	kind := s.driver.config.Light
	if kind == "" && s.grow() {
		kind = "aura"
	}
	command := map[string][2][]byte{"aura": {auraOff, auraOn}, "led": {{ledOff}, {ledOn}}}[kind]
	payload := command[0]
	if on {
		payload = command[1]
	}
	if payload == nil {
		return nil
	}
	_, err := s.module.ask(ctx, grace/2, 0, payload)
	return err
}

// Close restores the module's settings, if it can be reached soon, and closes
// the port.
func (s *scanner) Close() error {
	defer s.release()
	ctx, stop := context.WithTimeout(context.Background(), parting)
	defer stop()
	m := s.module
	if cut := !m.late.IsZero(); m.settle(ctx) == nil {
		if cut && s.grow() {
			_, _ = m.ask(ctx, greet, 0, []byte{cancel})
		}
		s.restore(ctx)
	}
	s.driver.remember(s.path, memory{baud: m.baud, late: m.late, product: s.product})
	return m.line.Close()
}

// restore is best effort: a module that cannot be reached now is found at any
// rate later, and any packet size is right.
func (s *scanner) restore(ctx context.Context) {
	m := s.module
	if m.packet != s.foundPacket && m.setPacketSize(ctx, s.foundPacket) != nil {
		return
	}
	if m.baud != s.foundBaud {
		_ = m.setBaud(ctx, s.foundBaud, s.driver.config.Password)
	}
}
