package usbtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"sbid/driver/internal/usb"
)

// A Socket is a bus on which one socket alone can be seen: several twins in one
// kernel do not disturb each other. It is empty until Await.
type Socket struct {
	usb.Bus

	mu   sync.Mutex
	path string
}

// List returns what is in the socket.
func (s *Socket) List(ctx context.Context, ids []usb.ID) ([]usb.Info, error) {
	all, err := s.Bus.List(ctx, ids)
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(all, func(i usb.Info) bool { return i.Path != s.path }), err
}

// patient is how long a kernel on an emulated processor may take to tell.
const patient = 20 * time.Second

// Await waits until a device with one of the ids is seen at path, or none is.
func (s *Socket) Await(ctx context.Context, path string, ids []usb.ID, there bool) error {
	s.mu.Lock()
	s.path = path
	s.mu.Unlock()
	ctx, stop := context.WithTimeout(ctx, patient)
	defer stop()
	for {
		found, err := s.List(ctx, ids)
		if err != nil {
			return err
		}
		if (len(found) == 1) == there {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d devices of %v at %s: %w", len(found), ids, path, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
