package usbip

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"
)

// A Host is a host controller in this process with one device plugged in. It
// may be used by several goroutines. Its errors are the kernel's: ENODEV for an
// unplugged device, EPIPE for a stall, EOVERFLOW for babble.
type Host struct {
	conn  io.ReadWriteCloser
	write sync.Mutex

	mu      sync.Mutex
	seq     uint32
	pending map[uint32]*wait
	gone    bool
}

// A wait is a message that was not answered yet.
type wait struct {
	in     bool
	buf    []byte
	victim uint32 // of an unlinking message: what it unlinks
	done   chan struct{}
	n      int
	err    error
}

func newHost(conn io.ReadWriteCloser) *Host {
	h := &Host{conn: conn, pending: map[uint32]*wait{}}
	go h.read()
	return h
}

// read takes answers until the device is gone.
func (h *Host) read() {
	for h.next() == nil {
	}
	h.conn.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = true
	for seq := range h.pending {
		h.end(seq, 0, syscall.ENODEV)
	}
}

func (h *Host) next() error {
	m, err := readMessage(h.conn)
	if err != nil {
		return err
	}
	h.mu.Lock()
	w := h.pending[m.seq]
	h.mu.Unlock()
	if w == nil || int(m.length) > len(w.buf) {
		return errProtocol
	}
	if m.command == retSubmit && w.in {
		if _, err := io.ReadFull(h.conn, w.buf[:m.length]); err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch m.command {
	case retSubmit:
		h.end(m.seq, int(m.length), errnoOf(m.status))
	case retUnlink: // with status 0 the transfer's own answer came before
		h.end(w.victim, 0, errnoOf(m.status))
		h.end(m.seq, 0, nil)
	default:
		return errProtocol
	}
	return nil
}

// end answers a message, unless that was done.
func (h *Host) end(seq uint32, n int, err error) {
	w := h.pending[seq]
	if w == nil {
		return
	}
	delete(h.pending, seq)
	w.n, w.err = n, err
	close(w.done)
}

// Control makes a request on endpoint 0, where the first arguments are
// bmRequestType and bRequest: as many bytes as data has go from or into it. It
// returns how many did.
func (h *Host) Control(ctx context.Context, kind, request byte, value, index uint16, data []byte) (int, error) {
	setup := Setup{kind, request, value, index, uint16(len(data))}
	return h.transfer(ctx, message{in: setup.In(), setup: setup.bytes()}, data)
}

// Transfer fills buf from an IN endpoint (0x81 and up) until the device ends the
// transfer, or sends it on an OUT endpoint. It returns how many bytes were
// carried, and ctx's cause when ctx ended first.
func (h *Host) Transfer(ctx context.Context, endpoint byte, buf []byte) (int, error) {
	return h.transfer(ctx, message{in: endpoint&0x80 != 0, endpoint: uint32(endpoint & 0x0F)}, buf)
}

func (h *Host) transfer(ctx context.Context, m message, buf []byte) (int, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	m.command, m.length = cmdSubmit, uint32(len(buf))
	w := &wait{in: m.in, buf: buf, done: make(chan struct{})}
	seq, err := h.send(m, w)
	if err != nil {
		return 0, err
	}
	select {
	case <-w.done:
		return w.n, w.err
	case <-ctx.Done():
	}
	if _, err := h.send(message{command: cmdUnlink, victim: seq}, &wait{victim: seq, done: make(chan struct{})}); err != nil {
		return 0, err
	}
	<-w.done
	if errors.Is(w.err, syscall.ECONNRESET) {
		return 0, context.Cause(ctx)
	}
	return w.n, w.err
}

// send numbers a message and puts it on the wire.
func (h *Host) send(m message, w *wait) (seq uint32, err error) {
	h.mu.Lock()
	if h.gone {
		h.mu.Unlock()
		return 0, syscall.ENODEV
	}
	h.seq++
	m.seq = h.seq
	h.pending[m.seq] = w
	h.mu.Unlock()

	b := m.append(nil)
	if m.command == cmdSubmit && !m.in {
		b = append(b, w.buf...)
	}
	h.write.Lock()
	defer h.write.Unlock()
	if _, err := h.conn.Write(b); err != nil {
		return 0, syscall.ENODEV
	}
	return m.seq, nil
}
