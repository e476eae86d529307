package main

import (
	"context"
	"io"
	"net/url"
	"strconv"
	"time"

	"sbid/cmd/internal/daemon"
	"sbid/cmd/sbid/internal/config"
	"sbid/cmd/sbid/internal/doctor"
	"sbid/cmd/sbid/internal/station"
)

type doctorCmd struct {
	configured
	JSON bool `name:"json" help:"Print one JSON document."`
}

// Run says what is there, what is wrong and what to do about it.
func (cmd *doctorCmd) Run(ctx context.Context, c *console) error {
	c.json = cmd.JSON
	findings := cmd.examine(ctx)
	worst := doctor.Worst(findings)
	doc := struct {
		Worst    doctor.Severity  `json:"worst"`
		Findings []doctor.Finding `json:"findings"`
	}{worst, findings}
	if err := c.result(doc, func(w io.Writer) { _ = doctor.Print(w, findings) }); err != nil {
		return err
	}
	if worst == doctor.Fault {
		return &failure{exitFailed, errFaults, "Begin with the first line that says FAULT."}
	}
	return nil
}

func (cmd *doctorCmd) examine(ctx context.Context) []doctor.Finding {
	settings, err := config.Load(cmd.Config)
	if err != nil {
		return []doctor.Finding{{
			Severity: doctor.Fault, Subject: "config", Text: err.Error(), Advice: "mend the file; nothing starts with half a configuration",
		}}
	}
	var findings []doctor.Finding
	status, err := cmd.status(ctx, settings)
	if err != nil {
		findings = append(findings, doctor.Finding{Severity: doctor.Fault, Subject: "service", Text: err.Error()})
	} else {
		findings = doctor.Examine(status, time.Now())
	}
	first, last, err := daemon.Options{Ports: settings.Ports}.PortRange()
	if err != nil {
		return append(findings, doctor.Finding{Severity: doctor.Fault, Subject: "config", Text: err.Error()})
	}
	var own []int
	for _, origin := range status.Endpoints {
		if u, err := url.Parse(origin); err == nil {
			if port, err := strconv.Atoi(u.Port()); err == nil {
				own = append(own, port)
			}
		}
	}
	return append(findings, doctor.Host(ctx, settings.State, first, last, own, time.Now())...)
}

// status asks the sbid that runs, or looks for itself.
func (cmd *doctorCmd) status(ctx context.Context, settings config.Config) (station.Status, error) {
	return onStation(ctx, settings, station.OpStatus, struct{}{}, (*station.Station).Status)
}
