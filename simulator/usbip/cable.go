package usbip

import (
	"errors"
	"io"
	"net"
)

// A Cable is what a device is plugged in with.
type Cable struct {
	conn io.ReadWriteCloser
	done chan struct{}
	err  error // set when done is closed
	// leave is called before the cable is pulled, and what it returns after, to
	// wait until the host knows, too; nil: it does at once.
	leave func() (wait func())
	find  func() (string, error)
}

// Socket waits until this machine's kernel has enumerated an attached device,
// and returns where, as in sysfs: 1-2 is bus 1, port 2.
func (c *Cable) Socket() (string, error) {
	if c.find == nil {
		return "", errNotAttached
	}
	return c.find()
}

var errNotAttached = errors.New("the device is not plugged into the kernel")

// plug serves d on a connection that is in the URB phase.
func plug(conn io.ReadWriteCloser, d Device) *Cable {
	c := &Cable{conn: conn, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = serve(conn, d)
	}()
	return c
}

// Pull unplugs the device in whatever is under way, and waits until it and the
// host know.
// It returns an error when the host did not keep to the protocol before.
func (c *Cable) Pull() error {
	if c.leave != nil {
		defer c.leave()()
	}
	c.conn.Close()
	<-c.done
	return c.err
}

// Done is closed when the device is not plugged in any more.
func (c *Cable) Done() <-chan struct{} { return c.done }

// Connect plugs d into a host controller in this process. Pulling the cable is
// what ends both.
func Connect(d Device) (*Host, *Cable) {
	near, far := net.Pipe()
	return newHost(near), plug(far, d)
}
