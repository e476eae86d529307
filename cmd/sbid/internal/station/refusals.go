package station

import (
	"sync"
	"time"
)

// mostRefusals is how many a minute are written down: whoever sends nonsense all
// day must not push the days before out of the log.
const mostRefusals = 20

// refusals counts those of the present minute. The zero value is ready.
type refusals struct {
	mu     sync.Mutex
	minute time.Time
	count  int
}

// allow says whether one more is to be written down, and how many of an earlier
// minute were not.
func (r *refusals) allow(now time.Time) (ok bool, left int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.minute) >= time.Minute || now.Before(r.minute) {
		left = max(0, r.count-mostRefusals)
		r.minute, r.count = now, 0
	}
	r.count++
	return r.count <= mostRefusals, left
}
