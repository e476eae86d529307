package audit

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const exportStart = `{"export":`

// An exportLine is the first line of an export.
type exportLine struct {
	Export struct {
		Certificates [][]byte `json:"certificates"` // DER
	} `json:"export"`
}

// Export writes all files of a log as one: a line with certificates, such as
// that of the TPM's attestation key and those of its authorities, then the
// lines of all files in their order. Verify reads it. It may run beside the
// service that writes the log.
func Export(ctx context.Context, dir string, w io.Writer, certificates ...*x509.Certificate) error {
	if err := export(ctx, dir, w, certificates); err != nil {
		return fmt.Errorf("export audit log: %w", err)
	}
	return nil
}

func export(ctx context.Context, dir string, w io.Writer, certificates []*x509.Certificate) error {
	files, err := openAll(dir)
	for _, f := range files {
		defer f.Close()
	}
	if err != nil {
		return err
	}
	var head exportLine
	head.Export.Certificates = [][]byte{}
	for _, c := range certificates {
		head.Export.Certificates = append(head.Export.Certificates, c.Raw)
	}
	text, err := json.Marshal(head)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	if _, err := out.Write(append(text, '\n')); err != nil {
		return err
	}
	for _, f := range files {
		if err := copyLines(ctx, out, f); err != nil {
			return err
		}
	}
	return out.Flush()
}

// openAll opens all files at once, so that none goes while another is read.
func openAll(dir string) (files []*os.File, err error) {
	numbers, err := list(dir)
	for _, n := range numbers {
		f, openErr := os.Open(filepath.Join(dir, fileName(n)))
		if errors.Is(openErr, fs.ErrNotExist) && len(files) == 0 {
			continue // the oldest are removed while newer ones are written
		}
		if openErr != nil {
			return files, openErr
		}
		files = append(files, f)
	}
	return files, err
}

// copyLines copies the whole lines of a file: one that is being written is left
// out.
func copyLines(ctx context.Context, out *bufio.Writer, f *os.File) error {
	for lines := newLineReader(f); ; {
		line, err := lines.next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
		if lines.line%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// readExportLine reads the line before the records.
func readExportLine(r *bufio.Reader) ([]*x509.Certificate, error) {
	text, err := r.ReadSlice('\n') // bounded by the reader's buffer
	if err != nil {
		return nil, fmt.Errorf("certificates of the export: %w", err)
	}
	var head exportLine
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("certificates of the export: %w", err)
	}
	certs := make([]*x509.Certificate, len(head.Export.Certificates))
	for i, der := range head.Export.Certificates {
		if certs[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("certificates of the export: %w", err)
		}
	}
	return certs, nil
}
