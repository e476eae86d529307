package client

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Ports is a range of TCP ports, both ends included.
type Ports struct{ First, Last int }

// DefaultPorts are the ports that SBI services listen on.
var DefaultPorts = Ports{4501, 4600}

// ParsePorts reads "4501-4600" or a single port.
func ParsePorts(s string) (Ports, error) {
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	var p Ports
	var err1, err2 error
	p.First, err1 = strconv.Atoi(first)
	p.Last, err2 = strconv.Atoi(last)
	if err1 != nil || err2 != nil || p.First < 1 || p.Last > 65535 || p.First > p.Last {
		return Ports{}, fmt.Errorf("%q is not a range of ports such as 4501-4600", s)
	}
	return p, nil
}

// String returns the range as ParsePorts reads it.
func (p Ports) String() string { return fmt.Sprintf("%d-%d", p.First, p.Last) }

// A Service is what listens on one port.
type Service struct {
	Port    int
	Devices []Device
	// Err says why there are no devices: an *Error that the service sent, or
	// how it failed to be an SBI service.
	Err error
}

// scanners bounds how many ports are asked at once: all of the usual range, so
// that one scan takes no longer than its slowest port.
const scanners = 128

// Scan asks every port for its devices of a type and returns what listens there
// in port order. A port at which nothing listens is left out; a silent one
// costs two seconds. The error is that of ctx.
func (c *Client) Scan(ctx context.Context, ports Ports, deviceType string) ([]Service, error) {
	var mu sync.Mutex
	var found []Service
	var wg sync.WaitGroup
	slots := make(chan struct{}, scanners)
	for port := ports.First; port <= ports.Last; port++ {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, probeTime)
			defer cancel()
			devices, err := c.Discover(ctx, port, deviceType)
			if Absent(err) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			found = append(found, Service{port, devices, err})
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b Service) int { return a.Port - b.Port })
	return found, nil
}
