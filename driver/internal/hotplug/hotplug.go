// Package hotplug tells drivers when something was plugged in or out, by the
// events that the kernel sends. It needs neither libusb nor udev.
package hotplug

import (
	"context"
	"time"
)

const (
	// quiet is how long no event may come until a burst is over. A device brings
	// an event for each of its parts, and udev sets its node's owner after them.
	quiet = 200 * time.Millisecond
	// longest is how long a burst can keep its news back: a machine on which
	// something always comes and goes still gets them.
	longest = time.Second
)

// settle calls changed once after each burst of events, until there will be no
// more.
func settle(ctx context.Context, events <-chan struct{}, changed func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-events:
			if !ok {
				return
			}
		}
		over := time.After(longest)
		for burst := true; burst; {
			select {
			case <-ctx.Done():
				return
			case _, burst = <-events:
			case <-time.After(quiet):
				burst = false
			case <-over:
				burst = false
			}
		}
		changed()
	}
}
