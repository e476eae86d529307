package usbip

import (
	"context"
	"sync"
)

// A Queue is what the device has to say on one IN endpoint: transfers, each
// ended by a packet shorter than the endpoint's. The zero value is empty.
type Queue struct {
	mu     sync.Mutex
	waits  chan struct{} // closed when there is more; nil: nobody waits
	queued []transfer
}

// A transfer is what is left of one. Where the last packet is a full one, an
// empty one must follow.
type transfer struct {
	data  []byte
	empty bool
}

// Put adds a transfer on an endpoint with packets of the given size in bytes; 0
// is for what needs no end, such as the packets of an interrupt endpoint. The
// queue keeps data.
func (q *Queue) Put(data []byte, packet int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queued = append(q.queued, transfer{data, packet > 0 && len(data)%packet == 0})
	if q.waits != nil {
		close(q.waits)
		q.waits = nil
	}
}

// Clear forgets what was not taken.
func (q *Queue) Clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queued = nil
}

// Take waits for a transfer and returns up to size bytes of it: a piece of size
// bytes unless the transfer ends.
func (q *Queue) Take(ctx context.Context, size int) ([]byte, error) {
	for {
		piece, more := q.next(size)
		if more == nil {
			return piece, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// next returns a piece, or a channel that is closed when there is one.
func (q *Queue) next(size int) ([]byte, <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queued) == 0 {
		if q.waits == nil {
			q.waits = make(chan struct{})
		}
		return nil, q.waits
	}
	first := &q.queued[0]
	n := min(size, len(first.data))
	piece := first.data[:n:n]
	first.data = first.data[n:]
	if len(first.data) == 0 && (n < size || !first.empty) {
		q.queued = q.queued[1:]
	}
	return piece, nil
}
