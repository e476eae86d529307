package uru4000

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"sbid/driver"
	"sbid/driver/internal/usb"
)

// Registers of the reader's chip.
const (
	regStatus    = 0x0007
	regKeyIndex  = 0x0033 // number of a key and a seed: five bytes
	regKey       = 0x0034 // the key, covered with the seed: four bytes
	regMode      = 0x004E
	regInfo      = 0x00F0 // sixteen bytes about firmware and hardware
	regResponse  = 0x2000
	regChallenge = 0x2010
)

// Bits of regStatus.
const (
	statusControlled = 0x01 // power can be switched
	statusFault      = 0x04
	statusAsleep     = 0x80
)

// Values of regMode.
const (
	modeAwaitOn  = 0x10
	modeAwaitOff = 0x12
	modeCapture  = 0x20
	modeOff      = 0x70
)

// A chip is the conversation with one reader.
type chip struct {
	usb.Device

	aes    bool // it wants the handshake
	events *events
}

// registerRequest is bRequest of all there is on endpoint 0.
const registerRequest = 0x04

// read reads consecutive registers.
func (c *chip) read(ctx context.Context, register uint16, b []byte) error {
	n, err := c.Control(ctx, 0xC0, registerRequest, register, 0, b)
	if err == nil && n != len(b) {
		err = fmt.Errorf("%w: %d bytes of register %04x, not %d", driver.ErrBroken, n, register, len(b))
	}
	return err
}

// write writes consecutive registers.
func (c *chip) write(ctx context.Context, register uint16, b ...byte) error {
	_, err := c.Control(ctx, 0x40, registerRequest, register, 0, b)
	return err
}

func (c *chip) status(ctx context.Context) (byte, error) {
	var b [1]byte
	err := c.read(ctx, regStatus, b[:])
	return b[0], err
}

// Bounds of starting up.
const (
	startTries = 3
	powerTries = 100
	powerPause = 10 * time.Millisecond
	powerWait  = 300 * time.Millisecond // for the news that the scan power is on
)

var errNoPower = fmt.Errorf("%w: its scan power does not come on", driver.ErrNotReady)

// start powers the reader up, from whatever state it is in.
func (c *chip) start(ctx context.Context) error {
	for try := 1; ; try++ {
		err := c.powerUp(ctx)
		if err == nil || try == startTries || ctx.Err() != nil || !errors.Is(err, driver.ErrNotReady) {
			return err
		}
	}
}

func (c *chip) powerUp(ctx context.Context) error {
	c.events.drain()
	status, err := c.status(ctx)
	if err != nil {
		return err
	}
	if status&(statusAsleep|statusFault) == statusAsleep|statusFault {
		if status, err = c.recover(ctx, status); err != nil {
			return err
		}
	}
	if status&statusAsleep == 0 {
		if err := c.write(ctx, regStatus, status|statusAsleep); err != nil {
			return err
		}
	}
	if err := c.wake(ctx, status&0x0F); err != nil {
		return err
	}
	wait, stop := context.WithTimeoutCause(ctx, powerWait, errNoPower)
	defer stop()
	if err := c.events.await(wait, powerOn); err != nil {
		return err
	}
	var info [16]byte
	return c.read(ctx, regInfo, info[:])
}

// recover brings a reader out of the state that hangs keyboards.
func (c *chip) recover(ctx context.Context, status byte) (byte, error) {
	if err := c.write(ctx, regStatus, status&0x0F); err != nil {
		return 0, err
	}
	for range powerTries {
		status, err := c.status(ctx)
		if err != nil || status&statusControlled != 0 {
			return status, err
		}
		if err := pause(ctx, powerPause); err != nil {
			return 0, err
		}
	}
	return 0, errNoPower
}

// wake clears the bit that says asleep, until it stays clear.
func (c *chip) wake(ctx context.Context, status byte) error {
	for range powerTries {
		if err := c.write(ctx, regStatus, status); err != nil {
			return err
		}
		now, err := c.status(ctx)
		if err != nil || now&statusAsleep == 0 {
			return err
		}
		if err := pause(ctx, powerPause); err != nil {
			return err
		}
		if err := c.authenticate(ctx); err != nil && (c.aes || !errors.Is(err, usb.ErrStall)) {
			return err
		}
	}
	return errNoPower
}

// authenticate answers the reader's challenge. Where a reader is not known to
// ask for that and refuses, it does not.
func (c *chip) authenticate(ctx context.Context) error {
	var challenge [16]byte
	if err := c.read(ctx, regChallenge, challenge[:]); err != nil {
		return err
	}
	response, err := respond(challenge)
	if err != nil {
		return err
	}
	return c.write(ctx, regResponse, response[:]...)
}

func (c *chip) setMode(ctx context.Context, mode byte) error { return c.write(ctx, regMode, mode) }

// key asks for a key. Its way over the bus is covered with a seed.
func (c *chip) key(ctx context.Context, number byte) (uint32, error) {
	index := [5]byte{number}
	if _, err := rand.Read(index[1:]); err != nil {
		return 0, err
	}
	if err := c.write(ctx, regKeyIndex, index[:]...); err != nil {
		return 0, err
	}
	var b [4]byte
	if err := c.read(ctx, regKey, b[:]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b[:]) ^ binary.LittleEndian.Uint32(index[1:]), nil
}

// pause waits, or returns the cause of ctx's end.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
