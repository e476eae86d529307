package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"sbid/attest/evidence"
	"sbid/cmd/sbid/internal/station"
)

type attestCmd struct {
	configured
	Nonce string `required:"" placeholder:"HEX" help:"What the verifier sent: 8 to 64 bytes, in hex."`
	Out   string `type:"path" placeholder:"FILE" help:"Write to this file. Default: to stdout."`
	CBOR  bool   `name:"cbor" help:"Write CBOR. Default: JSON."`
}

// Run makes evidence of this machine and its keys. It names the TPM for ever, so
// it is for the provider alone.
func (cmd *attestCmd) Run(ctx context.Context, c *console) error {
	nonce, err := hex.DecodeString(cmd.Nonce)
	if err != nil {
		return usagef("--nonce: %w", err)
	}
	settings, err := cmd.load()
	if err != nil {
		return err
	}
	made, err := onStation(ctx, settings, station.OpAttest, station.Challenge{Nonce: nonce}, (*station.Station).Attest)
	if err != nil {
		return err
	}
	document := made.Document
	if cmd.CBOR {
		if document, err = evidence.ToCBOR(document); err != nil {
			return err
		}
	}
	if cmd.Out == "" {
		_, err := io.Copy(os.Stdout, bytes.NewReader(document)) // as it is: the console would change bytes of CBOR
		return err
	}
	if err := os.WriteFile(cmd.Out, document, 0o600); err != nil {
		return fmt.Errorf("write evidence: %w", err)
	}
	c.progress("Evidence of %d bytes is in %s.", len(document), cmd.Out)
	return nil
}
