package tpm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	headerSize  = 10   // tag, size, code: of commands and of responses
	maxResponse = 4096 // more than any command here returns

	// commandLimit ends a command on a socket. On a chip an RSA key can take a
	// minute; a device node needs no limit, its driver has one.
	commandLimit = 2 * time.Minute
)

// A wire carries one command at a time to a TPM and its response back.
type wire interface {
	send(command []byte) ([]byte, error)
	// interrupt makes a send that is under way, and all later ones, fail if
	// the wire can do that.
	interrupt()
	close() error
}

// dial prepares the way to the TPM at device. Nothing is sent yet.
func dial(device string) (*chip, error) {
	if path, ok := strings.CutPrefix(device, "unix:"); ok {
		return &chip{wire: &socket{network: "unix", address: path}, raw: true}, nil
	}
	if address, ok := strings.CutPrefix(device, "tcp:"); ok {
		return &chip{wire: &socket{network: "tcp", address: address}, raw: true}, nil
	}
	return dialSystem(device)
}

// A socket is the data channel of swtpm. It dials for each command: swtpm
// serves one connection at a time, and others shall have their turn. Objects
// and sessions survive the end of a connection.
type socket struct {
	network, address string

	mu          sync.Mutex
	cancel      context.CancelFunc // of the command under way
	interrupted bool
}

func (s *socket) send(command []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	if !s.begin(cancel) {
		return nil, net.ErrClosed
	}
	conn, err := new(net.Dialer).DialContext(ctx, s.network, s.address)
	if err != nil {
		return nil, unreachable(err)
	}
	defer conn.Close()
	// A deadline that is over ends reads and writes at once; it cannot be set
	// only when they have ended.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()

	if _, err := conn.Write(command); err != nil {
		return nil, unreachable(err)
	}
	response := make([]byte, headerSize, maxResponse)
	if _, err := io.ReadFull(conn, response); err != nil {
		return nil, unreachable(err)
	}
	size := binary.BigEndian.Uint32(response[2:])
	if size < headerSize || size > maxResponse {
		return nil, fmt.Errorf("TPM announces a response of %d bytes, expected %d to %d", size, headerSize, maxResponse)
	}
	response = response[:size]
	if _, err := io.ReadFull(conn, response[headerSize:]); err != nil {
		return nil, unreachable(err)
	}
	return response, nil
}

func (s *socket) begin(cancel context.CancelFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = cancel
	return !s.interrupted
}

func (s *socket) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interrupted = true
	if s.cancel != nil {
		s.cancel()
	}
}

func (s *socket) close() error { return nil }

// unreachable says what it means that a device cannot be opened, written or
// read.
func unreachable(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", ErrPermission, err)
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%w: %w", ErrInUse, err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return fmt.Errorf("%w: %w", ErrNoTPM, err)
}
