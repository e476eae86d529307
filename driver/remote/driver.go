package remote

import (
	"context"
	"fmt"
	"iter"

	"sbid/driver"
	"sbid/driver/internal/hotplug"
)

// Driver returns the helper's driver with an id. Whether the helper has it is
// seen when it is asked.
func (h *Helper) Driver(id string) driver.Driver { return &remoteDriver{h, id} }

type remoteDriver struct {
	helper *Helper
	id     string
}

func (d *remoteDriver) ID() string { return d.id }

func (d *remoteDriver) Probe(ctx context.Context) ([]driver.Info, error) {
	c, err := d.helper.connect(ctx)
	if err != nil {
		return nil, err
	}
	m, err := c.ask(ctx, head{Verb: verbProbe, Driver: d.id}, probeTime)
	if err != nil {
		return nil, err
	}
	return m.Infos, nil
}

func (d *remoteDriver) Open(ctx context.Context, addr string) (driver.Scanner, error) {
	c, err := d.helper.connect(ctx)
	if err != nil {
		return nil, err
	}
	m, err := c.ask(ctx, head{Verb: verbOpen, Driver: d.id, Addr: addr}, openTime)
	if err != nil {
		return nil, err
	}
	return &remoteScanner{c, m.Scanner}, nil
}

// Watch looks at the kernel's events itself: that needs no libusb. A helper that
// ended is a change, too.
func (d *remoteDriver) Watch(ctx context.Context, changed func()) {
	defer d.helper.watch(changed)()
	_ = hotplug.Watch(ctx, []string{"usb"}, changed) // without it the driver is polled
}

// A remoteScanner is one that the helper has open.
type remoteScanner struct {
	conn   *conn
	number uint64
}

func (s *remoteScanner) Frames(ctx context.Context, want driver.Target) iter.Seq2[driver.Frame, error] {
	return func(yield func(driver.Frame, error) bool) {
		err := s.frames(ctx, want, func(f driver.Frame) bool { return yield(f, nil) })
		if err != nil && ctx.Err() == nil {
			yield(driver.Frame{}, err)
		}
	}
}

// frames returns nil when the consumer wants no more.
func (s *remoteScanner) frames(ctx context.Context, want driver.Target, show func(driver.Frame) bool) error {
	k, err := s.conn.begin(head{Verb: verbFrames, Scanner: s.number, Target: &want})
	if err != nil {
		return err
	}
	defer k.cancel()
	for {
		m, err := k.next(ctx)
		if err != nil || k.over {
			return err
		}
		f, err := m.Frame.unpack(m.pixels)
		if err != nil {
			return fmt.Errorf("%w: %w", driver.ErrNotReady, err)
		}
		if !show(f) {
			return nil
		}
		if err := s.conn.send(message{head: head{Verb: verbMore, Call: k.number}}); err != nil {
			return err
		}
	}
}

// Close gives the scanner back. With a helper that has ended it was given back
// then.
func (s *remoteScanner) Close() error {
	k, err := s.conn.begin(head{Verb: verbClose, Scanner: s.number})
	if err == nil {
		ctx, stop := context.WithTimeout(context.Background(), grace)
		defer stop()
		_, err = k.next(ctx)
		if !k.over {
			k.abandon()
		}
	}
	select {
	case <-s.conn.done:
		return nil
	default:
		return err
	}
}
