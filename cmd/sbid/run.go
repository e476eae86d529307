package main

import (
	"context"
	"errors"

	"sbid/cmd/internal/daemon"
)

type runCmd struct {
	configured
	LogFormat string `default:"text" enum:"text,json" help:"How to write the log on stderr: text or json."`
}

// Run serves the scanners of this machine until ctx ends.
func (r *runCmd) Run(ctx context.Context, c *console) error {
	settings, err := r.load()
	if err != nil {
		return err
	}
	options := daemon.Options{
		Ports: settings.Ports, Purpose: settings.Purposes, AllowOrigin: settings.Origins, LogFormat: r.LogFormat,
	}
	s, err := openStation(ctx, settings, options.Logger(c.err))
	if err != nil {
		return err
	}
	return errors.Join(s.Serve(ctx, options, c.out), s.Close())
}
