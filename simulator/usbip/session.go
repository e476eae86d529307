package usbip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// maxPending bounds what a host may have under way on one endpoint.
const maxPending = 256

// A session is one plugging of a device: the URB phase of a connection.
//
// Each endpoint has a queue and a goroutine of its own: answers of one come in
// order, and an interrupt endpoint with nothing to say blocks no other.
type session struct {
	device      Device
	descriptors Descriptors
	conn        io.ReadWriteCloser
	workers     sync.WaitGroup
	queues      map[byte]chan *urb // by endpoint address; used by the reading goroutine alone

	mu      sync.Mutex // also for writing, so that answers leave in the order in which they were decided
	pending map[uint32]*urb
	halted  map[byte]bool
	config  byte
}

// A urb is one transfer that the host asked for.
type urb struct {
	message

	data   []byte          // what the host sent
	ctx    context.Context //nolint:containedctx // it is the transfer's: it ends when the host takes the buffer back
	cancel context.CancelCauseFunc
}

var (
	errUnlinked  = errors.New("the host took its buffer back")
	errUnplugged = errors.New("unplugged")
)

// serve speaks for the device until the connection ends, and closes it.
func serve(conn io.ReadWriteCloser, d Device) error {
	s := &session{
		device: d, descriptors: d.Descriptors(), conn: conn,
		queues: map[byte]chan *urb{}, pending: map[uint32]*urb{}, halted: map[byte]bool{},
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	err := s.read(ctx)
	cancel(errUnplugged)
	conn.Close() // a worker may be writing to a host that does not read
	for _, q := range s.queues {
		close(q)
	}
	s.workers.Wait()
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}

func (s *session) read(ctx context.Context) error {
	for {
		m, err := readMessage(s.conn)
		if err != nil {
			return err
		}
		switch m.command {
		case cmdSubmit:
			err = s.submit(ctx, m)
		case cmdUnlink:
			err = s.unlink(m)
		default:
			err = fmt.Errorf("%w: command %d from a host", errProtocol, m.command)
		}
		if err != nil {
			return err
		}
	}
}

func (s *session) submit(ctx context.Context, m message) error {
	u := &urb{message: m}
	if !m.in {
		u.data = make([]byte, m.length)
		if _, err := io.ReadFull(s.conn, u.data); err != nil {
			return err
		}
	}
	u.ctx, u.cancel = context.WithCancelCause(ctx)
	s.mu.Lock()
	if s.pending[m.seq] != nil {
		s.mu.Unlock()
		u.cancel(nil)
		return fmt.Errorf("%w: message %d twice", errProtocol, m.seq)
	}
	s.pending[m.seq] = u
	s.mu.Unlock()

	address := m.address()
	queue := s.queues[address]
	if queue == nil {
		queue = make(chan *urb, maxPending)
		s.queues[address] = queue
		s.workers.Go(func() { s.work(queue) })
	}
	select {
	case queue <- u:
		return nil
	default:
		return fmt.Errorf("%w: %d transfers at once", errProtocol, maxPending)
	}
}

// unlink answers a transfer in place of its own answer, or says that this was
// given already.
func (s *session) unlink(m message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := message{command: retUnlink, seq: m.seq}
	if u := s.pending[m.victim]; u != nil {
		u.cancel(errUnlinked)
		delete(s.pending, m.victim)
		answer.status = statusCancelled
	}
	_, err := s.conn.Write(answer.append(nil))
	return err
}

// work serves one endpoint.
func (s *session) work(queue <-chan *urb) {
	for u := range queue {
		if u.ctx.Err() == nil {
			data, err := s.carry(u)
			s.answer(u, data, err)
		}
		u.cancel(nil)
	}
}

// carry does a transfer.
func (s *session) carry(u *urb) ([]byte, error) {
	address := u.address()
	switch {
	case address == 0:
		setup := parseSetup(u.setup)
		data, err := s.control(u.ctx, setup, u.data)
		return data[:min(len(data), int(setup.Length))], err
	case s.isHalted(address):
		return nil, ErrStall
	}
	var data []byte
	var err error
	if u.in {
		data, err = s.device.In(u.ctx, address, int(u.length))
	} else {
		err = s.device.Out(u.ctx, address, u.data)
	}
	if errors.Is(err, ErrStall) {
		s.halt(address, true)
	}
	return data, err
}

func (s *session) isHalted(address byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.halted[address]
}

func (s *session) halt(address byte, halted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halted[address] = halted
}

// answer tells the host, unless it does not wait any more.
func (s *session) answer(u *urb, data []byte, err error) {
	m := message{command: retSubmit, seq: u.seq}
	switch {
	case errors.Is(err, ErrStall):
		m.status, data = statusStall, nil
	case err != nil:
		m.status, data = statusProtocol, nil
	case u.in && len(data) > int(u.length):
		m.status, data = statusBabble, data[:u.length]
	}
	m.length = uint32(len(data))
	if !u.in && err == nil {
		m.length, data = u.length, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending[u.seq] != u {
		return
	}
	delete(s.pending, u.seq)
	// Where writing fails reading does, too, and ends the session.
	_, _ = s.conn.Write(append(m.append(make([]byte, 0, headerSize+len(data))), data...))
}
