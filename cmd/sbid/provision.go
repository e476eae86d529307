package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"sbid/attest/provision"
	"sbid/cmd/sbid/internal/station"
)

type provisionCmd struct {
	configured
	Requests     string   `type:"path" placeholder:"FOLDER" help:"Write certificate requests into this new folder, for a provider that is not on the network."`
	Import       string   `type:"path" placeholder:"FILE" help:"Put certificates to use that come back: a file, or a folder of them."`
	PKCS12       string   `name:"pkcs12" type:"existingfile" placeholder:"FILE" help:"Give one device the key and certificate of this file. Such keys are level L0."`
	PasswordFile string   `type:"existingfile" placeholder:"FILE" help:"File with the password of the PKCS #12 file."`
	JSON         bool     `name:"json" help:"Print one JSON document."`
	Devices      []string `arg:"" optional:"" help:"Names or serial numbers of devices. Default: all that are plugged in."`
}

// Run gets keys and certificates for the devices of this machine.
func (cmd *provisionCmd) Run(ctx context.Context, c *console) error {
	c.json = cmd.JSON
	settings, err := cmd.load()
	if err != nil {
		return err
	}
	which := station.Which{Devices: cmd.Devices}
	switch {
	case cmd.Requests != "":
		requests, err := onStation(ctx, settings, station.OpRequest, which, (*station.Station).Request)
		if err != nil {
			return err
		}
		return cmd.save(c, requests)
	case cmd.Import != "" || cmd.PKCS12 != "":
		in, err := cmd.imported()
		if err != nil {
			return err
		}
		outcomes, err := onStation(ctx, settings, station.OpImport, in, (*station.Station).Import)
		if err != nil {
			return err
		}
		return report(c, outcomes)
	}
	outcomes, err := onStation(ctx, settings, station.OpProvision, which, (*station.Station).Provision)
	if err != nil {
		return err
	}
	return report(c, outcomes)
}

// save writes requests into a new folder.
func (cmd *provisionCmd) save(c *console, requests station.Requests) error {
	if err := os.Mkdir(cmd.Requests, 0o755); err != nil { //nolint:gosec // requests are public
		return fmt.Errorf("write requests: %w", err)
	}
	for name, data := range requests.Files {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("write requests: %q is no file name", name)
		}
		if err := os.WriteFile(filepath.Join(cmd.Requests, name), data, 0o644); err != nil { //nolint:gosec // as above
			return fmt.Errorf("write requests: %w", err)
		}
	}
	doc := struct {
		Folder  string   `json:"folder"`
		Devices []string `json:"devices"`
	}{cmd.Requests, requests.Devices}
	return c.result(doc, func(w io.Writer) {
		fmt.Fprintf(w, "Requests for %s are in %s.\n", strings.Join(requests.Devices, ", "), cmd.Requests)
		fmt.Fprintln(w, "Take the folder to the provider, and what comes back here: sbid provision --import FILE")
	})
}

// imported reads what a person brings.
func (cmd *provisionCmd) imported() (in station.Imported, err error) {
	if cmd.PKCS12 != "" {
		if len(cmd.Devices) != 1 {
			return in, usagef("--pkcs12 is for one device: name it (sbid doctor lists them)")
		}
		in.Device = cmd.Devices[0]
		if in.PKCS12, err = os.ReadFile(cmd.PKCS12); err != nil {
			return in, err
		}
		if cmd.PasswordFile != "" {
			password, err := os.ReadFile(cmd.PasswordFile)
			if err != nil {
				return in, err
			}
			in.Password = strings.TrimRight(string(password), "\r\n")
		}
		return in, nil
	}
	certs, err := provision.ReadCertificates(cmd.Import)
	for _, cert := range certs {
		in.Certificates = append(in.Certificates, cert.Raw)
	}
	return in, err
}

type rotateCmd struct {
	configured
	JSON    bool     `name:"json" help:"Print one JSON document."`
	Devices []string `arg:"" optional:"" help:"Names or serial numbers of devices. Default: all that are plugged in."`
}

// Run gives devices new keys and certificates.
func (cmd *rotateCmd) Run(ctx context.Context, c *console) error {
	c.json = cmd.JSON
	settings, err := cmd.load()
	if err != nil {
		return err
	}
	outcomes, err := onStation(ctx, settings, station.OpRotate, station.Which{Devices: cmd.Devices}, (*station.Station).Rotate)
	if err != nil {
		return err
	}
	return report(c, outcomes)
}

var errSomeFailed = errors.New("not every device has a good certificate")

// report says what became of each device.
func report(c *console, outcomes []station.Outcome) error {
	var failed error
	for _, o := range outcomes {
		if o.Error != "" {
			failed = errSomeFailed
		}
	}
	err := c.result(outcomes, func(w io.Writer) {
		for _, o := range outcomes {
			switch {
			case o.Error != "":
				fmt.Fprintf(w, "failed\t%s\t%s\t%s\n", o.Serial, o.Name, o.Error)
			case o.Done:
				fmt.Fprintf(w, "new\t%s\t%s\tuntil %s\n", o.Serial, o.Name, o.Expires)
			default:
				fmt.Fprintf(w, "unchanged\t%s\t%s\tuntil %s\n", o.Serial, o.Name, o.Expires)
			}
		}
	})
	return errors.Join(err, failed)
}
