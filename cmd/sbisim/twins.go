package main

import (
	"context"
	"errors"
	"image"
	"time"

	"sbid/driver"
	"sbid/simulator"
)

// A rhythm says who lays what on the twins of scanners, and how often, so that
// captures work with nobody there.
type rhythm struct {
	Seed   uint64        `default:"1" help:"Which virtual person uses the scanners."`
	Finger string        `default:"right-index" help:"Which finger is laid on: left-thumb, right-little ..."`
	Hold   time.Duration `default:"3s" help:"How long it stays."`
	Pause  time.Duration `default:"2s" help:"How long nothing is there then."`
}

// Validate is called by kong.
func (r *rhythm) Validate() error {
	if _, err := r.position(); err != nil {
		return err
	}
	if r.Hold <= 0 || r.Pause <= 0 {
		return errors.New("hold and pause are times above 0, like 3s")
	}
	return nil
}

func (r *rhythm) position() (driver.Position, error) {
	p, err := driver.ParsePosition(r.Finger)
	if err == nil && (p.Modality() != driver.Finger || p == driver.UnknownFinger) {
		err = errors.New(r.Finger + " is no finger that could be laid on")
	}
	return p, err
}

// A window is where a twin sees what is shown to it; nil takes it away.
type window interface{ Show(picture image.Image) }

// play shows the person's finger to some windows and the face to others, again
// and again, until ctx ends. Each time it is another capture of the same person.
func (r *rhythm) play(ctx context.Context, fingers, faces []window) {
	position, err := r.position()
	if err != nil {
		return // refused by Validate
	}
	person := simulator.NewPerson(r.Seed)
	for capture := uint64(0); ; capture++ {
		if len(fingers) > 0 {
			show(fingers, person.Finger(position, simulator.Impression{Capture: capture}))
		}
		if len(faces) > 0 {
			face, _ := person.Face(simulator.Shot{Capture: capture})
			show(faces, face)
		}
		if !wait(ctx, r.Hold) {
			return
		}
		show(fingers, nil)
		show(faces, nil)
		if !wait(ctx, r.Pause) {
			return
		}
	}
}

func show(windows []window, picture image.Image) {
	for _, w := range windows {
		w.Show(picture)
	}
}

// wait reports whether d passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
