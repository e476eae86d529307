package main

import (
	"context"

	"sbid/cmd/internal/daemon"
	"sbid/driver/all"
)

type runCmd struct {
	daemon.Options
}

// Run serves the scanners of this machine until ctx ends.
func (r *runCmd) Run(ctx context.Context, c *console) error {
	log := r.Logger(c.err)
	drivers, err := all.Drivers(all.Config{})
	if err != nil {
		return err
	}
	if len(drivers) == 0 {
		log.Warn("this build has no driver: clients are told that no scanner is connected")
	}
	d, err := r.New(ctx, nil, false, nil, log, c.out)
	if err != nil {
		return err
	}
	return d.Run(ctx, drivers)
}
