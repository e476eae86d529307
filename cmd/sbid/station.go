package main

import (
	"context"
	"errors"
	"log/slog"

	"sbid/cmd/sbid/internal/config"
	"sbid/cmd/sbid/internal/control"
	"sbid/cmd/sbid/internal/station"
)

// configured is what the commands have in common that work on this machine's
// own service.
type configured struct {
	Config string `type:"path" placeholder:"FILE" help:"Configuration. Default: ${config}, if it is there."`
}

func (c configured) load() (config.Config, error) {
	loaded, err := config.Load(c.Config)
	if err != nil {
		return loaded, misconfigured(c.Config, err)
	}
	return loaded, nil
}

// onStation does something with the station of this machine: through the sbid
// that runs, or else in this process, after a look at the scanners.
func onStation[Req, Res any](
	ctx context.Context, c config.Config, operation string, req Req, do func(*station.Station, context.Context, Req) (Res, error),
) (Res, error) {
	client, err := control.Dial(ctx, c.State)
	if err == nil {
		return control.Call[Req, Res](ctx, client, operation, req)
	}
	var none Res
	if !errors.Is(err, control.ErrNotRunning) {
		return none, err
	}
	s, err := openStation(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		return none, err
	}
	s.Look(ctx)
	res, err := do(s, ctx, req)
	return res, errors.Join(err, s.Close())
}

func openStation(ctx context.Context, c config.Config, log *slog.Logger) (*station.Station, error) {
	registry, err := drivers(c)
	if err != nil {
		return nil, &failure{exitUsage, err, "Mend the scanners in the configuration."}
	}
	s, err := station.Open(ctx, c, registry, log)
	if errors.Is(err, station.ErrInUse) {
		return nil, &failure{exitFailed, err, "Another sbid is at work there. Wait until it is done, or stop it."}
	}
	return s, err
}
