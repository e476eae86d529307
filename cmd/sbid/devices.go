package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"sbid/sbi/client"
)

type devicesCmd struct {
	Ports portsFlag `default:"4501-4600" placeholder:"FIRST-LAST" help:"Ports to ask (${default})."`
	JSON  bool      `name:"json" help:"Print one JSON document."`
}

// portsFlag is a range of ports as people write it.
type portsFlag struct{ client.Ports }

// UnmarshalText reads "4501-4600" or a single port.
func (p *portsFlag) UnmarshalText(b []byte) (err error) {
	p.Ports, err = client.ParsePorts(string(b))
	return err
}

// deviceList is the document of the devices command.
type deviceList struct {
	Devices  []listedDevice  `json:"devices"`
	Problems []listedProblem `json:"problems"`
}

type listedDevice struct {
	Port           int      `json:"port"`
	ID             string   `json:"deviceId"`
	Type           string   `json:"type"`
	SubType        string   `json:"subType"`
	Status         string   `json:"status"`
	Purpose        string   `json:"purpose"`
	Level          string   `json:"level"`
	Serial         string   `json:"serial"`
	Make           string   `json:"make"`
	Model          string   `json:"model"`
	SubIDs         []string `json:"subIds"`
	SpecVersions   []string `json:"specVersions"`
	ServiceVersion string   `json:"serviceVersion"`
	Firmware       string   `json:"firmware,omitempty"`
	Env            string   `json:"env,omitempty"`
}

// A listedProblem is about a port or, with an id, about a device there.
type listedProblem struct {
	Port   int    `json:"port"`
	Device string `json:"deviceId,omitempty"`
	problem
}

// Run lists the devices of every service.
func (cmd *devicesCmd) Run(ctx context.Context, c *console) error {
	c.json = cmd.JSON
	c.progress("Asking %s.", describePorts(cmd.Ports.Ports))
	api := client.New()
	services, err := api.Scan(ctx, cmd.Ports.Ports, client.AnyType)
	if err != nil {
		return err
	}
	list := deviceList{Devices: []listedDevice{}, Problems: []listedProblem{}}
	for _, s := range services {
		list.add(ctx, api, s)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.result(list, list.print); err != nil {
		return err
	}
	if len(list.Devices) == 0 {
		return noDevice("Start the service, or plug a scanner in.", "no device on %s", describePorts(cmd.Ports.Ports))
	}
	return nil
}

// add lists what one service has, with what only its info tells.
func (l *deviceList) add(ctx context.Context, api *client.Client, s client.Service) {
	if s.Err != nil {
		l.problem(s.Port, "", s.Err)
		return
	}
	infos, err := api.Info(ctx, s.Port)
	if err != nil {
		l.problem(s.Port, "", err)
	}
	for _, d := range s.Devices {
		listed := listedDevice{
			Port: d.Port, ID: d.ID, Type: d.DigitalID.Type, SubType: d.DigitalID.SubType, Status: d.Status, Purpose: d.Purpose,
			Level: d.Level, Serial: d.DigitalID.SerialNo, Make: d.DigitalID.Make, Model: d.DigitalID.Model,
			SubIDs: append([]string{}, d.SubIDs...), SpecVersions: append([]string{}, d.SpecVersions...), ServiceVersion: d.ServiceVersion,
		}
		reported := d.Err
		for _, info := range infos {
			if info.ID == d.ID {
				listed.Firmware, listed.Env = info.Firmware, info.Env
				if reported == nil {
					reported = info.Err
				}
			}
		}
		l.Devices = append(l.Devices, listed)
		if reported != nil {
			l.problem(d.Port, d.ID, reported)
		}
	}
}

func (l *deviceList) problem(port int, device string, err error) {
	p := listedProblem{Port: port, Device: device, problem: describe(err)}
	if p.Code == 0 && device == "" && p.Hint == "" {
		p.Hint = "Something else may use this port. Nothing to do, unless a scanner is missing."
	}
	l.Problems = append(l.Problems, p)
}

// print writes the list for people.
func (l *deviceList) print(w io.Writer) {
	if len(l.Devices) > 0 {
		fmt.Fprintln(w, "TYPE\tSUBTYPE\tSTATUS\tPURPOSE\tLEVEL\tSERIAL\tPORT\tDEVICE")
	}
	for _, d := range l.Devices {
		columns := []string{d.Type, d.SubType, d.Status, d.Purpose, d.Level, d.Serial, fmt.Sprint(d.Port), d.ID}
		for i, column := range columns {
			if column == "" {
				columns[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(columns, "\t"))
	}
	for _, p := range l.Problems {
		where := fmt.Sprintf("port %d", p.Port)
		if p.Device != "" {
			where += ", device " + p.Device
		}
		fmt.Fprintf(w, "\n%s: %s\n", where, p.Text)
		if p.Hint != "" {
			fmt.Fprintln(w, p.Hint)
		}
	}
}
