package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"sbid/attest"
	"sbid/attest/audit"
	"sbid/attest/provision"
	"sbid/cmd/sbid/internal/config"
	"sbid/cmd/sbid/internal/station"
)

type auditCmd struct {
	Verify auditVerifyCmd `cmd:"" help:"Check that nothing was changed, removed or added."`
	Export auditExportCmd `cmd:"" help:"Write the whole log into one file."`
}

type auditVerifyCmd struct {
	configured
	Path  string `arg:"" optional:"" type:"path" help:"A log's folder, or an export. Default: the log of this machine."`
	Keys  string `type:"existingfile" placeholder:"FILE" help:"Certificates of the keys that may have signed checkpoints. Default: this machine's key, or those of an export."`
	Count uint64 `placeholder:"N" help:"Where the TPM's counter stands: shows that the end was cut off."`
	JSON  bool   `name:"json" help:"Print one JSON document."`
}

// Run checks a log.
func (cmd *auditVerifyCmd) Run(ctx context.Context, c *console) error {
	c.json = cmd.JSON
	options := audit.VerifyOptions{Count: cmd.Count}
	path := cmd.Path
	if path == "" {
		settings, err := cmd.load()
		if err != nil {
			return err
		}
		path = filepath.Join(settings.State, "audit")
		if cmd.Keys == "" {
			keys, count, err := ownKeys(ctx, settings)
			if err != nil {
				fmt.Fprintln(c.err, "The keys that sign checkpoints are not to be had:", err)
			}
			options.Keys, options.Count = keys, max(options.Count, count)
		}
	}
	if cmd.Keys != "" {
		certs, err := provision.ReadCertificates(cmd.Keys)
		if err != nil {
			return usageError(err)
		}
		for _, cert := range certs {
			options.Keys = append(options.Keys, crypto.PublicKey(cert.PublicKey))
		}
	}
	report, broken := audit.Verify(ctx, path, options)
	if broken != nil && !errors.Is(broken, audit.ErrBroken) {
		return broken
	}
	if report.Signed && len(options.Keys) == 0 {
		fmt.Fprintln(c.err, "Signatures were checked with the certificates in the export itself; name those that you trust with --keys.")
	}
	doc := auditJudged{
		Files: report.Files, Records: report.Records, Checkpoints: report.Checkpoints, From: report.From, To: report.To,
		Tail: report.Tail, Signed: report.Signed, RollbackProof: report.RollbackProof,
		Gaps: texts(report.Gaps), Problems: texts(report.Problems),
	}
	if err := c.result(doc, doc.print); err != nil {
		return err
	}
	if broken != nil {
		return &failure{exitVerification, broken, "Keep a copy of the log as it is, and report it."}
	}
	if !report.Signed {
		return &failure{exitVerification, errUnsigned, hintUnsigned}
	}
	return nil
}

var errUnsigned = errors.New("who wrote the audit log was not checked")

const hintUnsigned = "Name the certificates of the keys that sign its checkpoints: sbid audit verify --keys FILE; " +
	"a log without checkpoints gets its first when the service runs."

// ownKeys asks this machine which keys sign its checkpoints, and where the TPM's
// counter stands, 0 without one.
func ownKeys(ctx context.Context, settings config.Config) (keys []crypto.PublicKey, count uint64, err error) {
	vouched, err := onStation(ctx, settings, station.OpVouch, struct{}{}, (*station.Station).Vouch)
	if err != nil {
		return nil, 0, err
	}
	for _, der := range vouched.Keys {
		key, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return nil, 0, err
		}
		keys = append(keys, key)
	}
	return keys, vouched.Count, nil
}

// auditJudged is the document of audit verify.
type auditJudged struct {
	Files         int      `json:"files"`
	Records       int      `json:"records"`
	Checkpoints   int      `json:"checkpoints"`
	From          string   `json:"from,omitempty"`
	To            string   `json:"to,omitempty"`
	Tail          int      `json:"tail"`
	Signed        bool     `json:"signed"`
	RollbackProof bool     `json:"rollbackProof"`
	Gaps          []string `json:"gaps"`
	Problems      []string `json:"problems"`
}

func texts(findings []audit.Finding) []string {
	list := []string{}
	for _, f := range findings {
		list = append(list, f.String())
	}
	return list
}

func (doc auditJudged) print(w io.Writer) {
	fmt.Fprintf(w, "%d records in %d files, from %s to %s\n", doc.Records, doc.Files, doc.From, doc.To)
	switch {
	case doc.RollbackProof:
		fmt.Fprintf(w, "%d checkpoints, by a counter in the TPM that never goes back\n", doc.Checkpoints)
	case doc.Signed:
		fmt.Fprintf(w, "%d checkpoints, by a signature: whoever has its key could write the log anew\n", doc.Checkpoints)
	case doc.Checkpoints > 0:
		fmt.Fprintf(w, "%d checkpoints, whose signatures were not checked\n", doc.Checkpoints)
	default:
		fmt.Fprintln(w, "no checkpoints")
	}
	fmt.Fprintf(w, "%d records at the end have no checkpoint yet\n", doc.Tail)
	for _, gap := range doc.Gaps {
		fmt.Fprintf(w, "gap: %s\n", gap)
	}
	for _, problem := range doc.Problems {
		fmt.Fprintf(w, "BROKEN: %s\n", problem)
	}
	switch {
	case len(doc.Problems) > 0:
	case doc.Signed:
		fmt.Fprintln(w, "Nothing was changed, removed or added.")
	default:
		fmt.Fprintln(w, "The log is consistent in itself; who wrote it was not checked.")
	}
}

type auditExportCmd struct {
	configured
	Out string `arg:"" type:"path" help:"The new file."`
}

// Run writes the log of this machine into one file.
func (cmd *auditExportCmd) Run(ctx context.Context) error {
	settings, err := cmd.load()
	if err != nil {
		return err
	}
	certs, err := attest.ReadCertificates(station.AttestationFile(settings.State))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(cmd.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	err = audit.Export(ctx, filepath.Join(settings.State, "audit"), f, certs...)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("export: %w", errors.Join(err, os.Remove(cmd.Out)))
	}
	return nil
}
