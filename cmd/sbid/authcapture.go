package main

import (
	"context"
	"fmt"

	"sbid/attest"
	"sbid/cmd/sbid/internal/subtype"
	"sbid/cmd/sbid/internal/verify"
	"sbid/driver"
	"sbid/sbi/client"
)

type authCaptureCmd struct {
	request
	SubID      string   `name:"sub-id" enum:"0,1,2,3" default:"0" placeholder:"N" help:"Sensor of the device (${default})."`
	Count      int      `placeholder:"N" help:"How many. Default: one for each --bio-sub-type."`
	BioSubType []string `placeholder:"NAME" help:"Which finger or eye, like left-index or \"Left IndexFinger\", or UNKNOWN for any. May be repeated. Default: UNKNOWN."`
	DomainURI  string   `name:"domain-uri" placeholder:"URI" help:"Who the capture is for."`
	DecryptKey string   `type:"existingfile" placeholder:"FILE" help:"Private key in PEM that opens the records."`
}

// Run captures from the first Auth device that is ready, judges what came and
// saves it, decrypted if there is a key.
func (cmd *authCaptureCmd) Run(ctx context.Context, c *console) error {
	c.json = cmd.JSON
	positions, err := cmd.positions()
	if err != nil {
		return err
	}
	options, err := cmd.options()
	if err != nil {
		return err
	}
	options.Asked = positions
	if cmd.DecryptKey != "" {
		if options.Key, err = attest.ReadKey(cmd.DecryptKey); err != nil {
			return usageError(err)
		}
	}
	folder, err := openFolder(cmd.Out)
	if err != nil {
		return err
	}
	api := client.New()
	device, err := cmd.find(ctx, api, client.Auth)
	if err != nil {
		return err
	}
	bio := client.Bio{SubID: cmd.SubID, Count: len(positions)}
	if cmd.Type.Modality != driver.Face {
		bio.SubTypes = names(positions)
	}
	request := cmd.wire(device, bio)
	request.DomainURI = cmd.DomainURI
	c.progress("%s", placeHint(cmd.Type.Modality, driver.Single))
	answer, err := api.Capture(ctx, device.Port, request)
	if err != nil {
		return err
	}
	report, err := verify.Bytes(answer.Raw, options)
	if err != nil {
		return fmt.Errorf("the device answered with something else: %w", err)
	}
	if err := folder.save("answer.json", answer.Raw); err != nil {
		return err
	}
	return finish(c, folder, captured{Port: device.Port, Device: device.ID, Transaction: cmd.Transaction}, report)
}

// positions says what to ask for, filled up with unknown ones to the count.
func (cmd *authCaptureCmd) positions() ([]driver.Position, error) {
	m := cmd.Type.Modality
	var positions []driver.Position
	for _, name := range cmd.BioSubType {
		if p, err := subtype.Parse(name); err != nil {
			return nil, usageError(err)
		} else if subtype.Name(p) == subtype.Unknown {
			positions = append(positions, unknownOf(m))
		} else if p.Modality() != m {
			return nil, usagef("--bio-sub-type %v: a scanner of type %v does not take it", p, m)
		} else {
			positions = append(positions, p)
		}
	}
	count := max(cmd.Count, len(positions), 1)
	if cmd.Count != 0 && cmd.Count != count {
		return nil, usagef("--count %d with %d of --bio-sub-type", cmd.Count, len(positions))
	}
	for len(positions) < count {
		positions = append(positions, unknownOf(m))
	}
	return positions, nil
}
