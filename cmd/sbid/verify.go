package main

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sbid/attest"
	"sbid/attest/evidence"
	"sbid/cmd/sbid/internal/verify"
)

type verifyCmd struct {
	Path         string `arg:"" type:"path" help:"A file, or a folder of them."`
	Trust        string `type:"existingdir" placeholder:"DIR" help:"Trust the certificates in this folder: device-*.pem, ftm-*.pem."`
	Organisation string `placeholder:"O" help:"Organisation that device certificates must name."`
	DecryptKey   string `type:"existingfile" placeholder:"FILE" help:"Private key in PEM that opens captures for authentication."`
	PreviousHash string `placeholder:"HASH" help:"Hash that the answer's chain goes on from. Default: it begins one."`
	Nonce        string `placeholder:"HEX" help:"Evidence: the nonce that it was asked with."`
	EKRoots      string `name:"ek-roots" type:"existingfile" placeholder:"FILE" help:"Evidence: root certificates of TPM manufacturers."`
	EK           string `name:"ek" placeholder:"HEX" help:"Evidence: SHA-256 of the endorsement key, where it has no certificate."`
	AKRoots      string `name:"ak-roots" type:"existingfile" placeholder:"FILE" help:"Evidence: root certificates of the attestation authority."`
	Images       string `type:"path" placeholder:"DIR" help:"Save the images as PNG in this folder."`
	JSON         bool   `name:"json" help:"Print one JSON document."`
}

// maxFile bounds what is read: the largest answers are a few megabytes.
const maxFile = 256 << 20

// judged is the document of the verify command.
type judged struct {
	Files      []judgedFile `json:"files"`
	OK         int          `json:"ok"`
	Failed     int          `json:"failed"`
	NotChecked int          `json:"notChecked"`
	Images     string       `json:"images,omitempty"`
}

type judgedFile struct {
	File string `json:"file"`
	verify.Report
}

// Run judges a file, or all that can be judged in a folder.
func (cmd *verifyCmd) Run(ctx context.Context, c *console) error {
	c.json = cmd.JSON
	options, err := cmd.options()
	if err != nil {
		return err
	}
	files, err := listFiles(cmd.Path)
	if err != nil {
		return err
	}
	images, err := openFolder(cmd.Images)
	if err != nil {
		return err
	}
	doc := judged{Files: []judgedFile{}, Images: cmd.Images}
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		report, err := judgeFile(file, options)
		if errors.Is(err, verify.ErrUnknown) && file != cmd.Path {
			continue // pictures and notes beside the rest
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		doc.Files = append(doc.Files, judgedFile{file, report})
		doc.OK += report.Count(verify.OK)
		doc.Failed += report.Count(verify.Failed)
		doc.NotChecked += report.Count(verify.NotChecked)
		if err := saveImages(images, file, report); err != nil {
			return err
		}
	}
	if len(doc.Files) == 0 {
		return fmt.Errorf("%s: nothing in it is %w", cmd.Path, verify.ErrUnknown)
	}
	if err := c.result(doc, doc.print); err != nil {
		return err
	}
	if doc.Failed > 0 {
		return unverified(doc.Failed, doc.OK+doc.Failed)
	}
	return nil
}

func (cmd *verifyCmd) options() (o verify.Options, err error) {
	o.Organisation, o.Previous = cmd.Organisation, cmd.PreviousHash
	if _, err := attest.ParsePreviousHash(o.Previous); err != nil {
		return o, usagef("--previous-hash: %w", err)
	}
	if cmd.Trust != "" {
		if o.Trust, err = attest.ReadTrust(cmd.Trust); err != nil {
			return o, usageError(err)
		}
	}
	if cmd.DecryptKey != "" {
		if o.Key, err = attest.ReadKey(cmd.DecryptKey); err != nil {
			return o, usageError(err)
		}
	}
	o.Evidence, err = cmd.evidence()
	return o, err
}

// evidence returns what evidence of a machine is judged by.
func (cmd *verifyCmd) evidence() (o evidence.Options, err error) {
	if o.Nonce, err = hex.DecodeString(cmd.Nonce); err != nil {
		return o, usagef("--nonce: %w", err)
	}
	for file, roots := range map[string]*[]*x509.Certificate{cmd.EKRoots: &o.EKRoots, cmd.AKRoots: &o.AKRoots} {
		if file == "" {
			continue
		}
		if *roots, err = attest.ReadCertificates(file); err != nil {
			return o, usageError(err)
		}
	}
	if cmd.EK != "" {
		var digest evidence.Digest
		if err := digest.UnmarshalText([]byte(cmd.EK)); err != nil {
			return o, usagef("--ek: %w", err)
		}
		o.EKDigests = append(o.EKDigests, digest)
	}
	return o, nil
}

// listFiles returns path, or the files in it and below if it is a folder, in
// the order of their names.
func listFiles(path string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.Type().IsRegular() || file == path && !entry.IsDir() {
			files = append(files, file)
		}
		return nil
	})
	return files, err
}

func judgeFile(path string, o verify.Options) (verify.Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return verify.Report{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return verify.Report{}, err
	}
	if len(b) > maxFile {
		return verify.Report{}, fmt.Errorf("larger than %d bytes", maxFile)
	}
	return verify.Bytes(b, o)
}

// saveImages saves the images of a report under names that say which file they
// are from.
func saveImages(f folder, file string, report verify.Report) error {
	base := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	for n, item := range report.Items {
		picture, err := encodePNG(item.Image)
		if err != nil {
			return err
		}
		if picture == nil {
			continue
		}
		name := fmt.Sprintf("%s-%d-%v.png", base, n+1, item.Position)
		if len(report.Items) == 1 {
			name = fmt.Sprintf("%s.png", base)
		}
		if err := f.save(name, picture); err != nil {
			return err
		}
	}
	return nil
}

// print writes the document for people.
func (doc judged) print(w io.Writer) {
	for _, file := range doc.Files {
		fmt.Fprintf(w, "%s: %s\n", file.File, file.Kind)
		for _, item := range file.Items {
			fmt.Fprintf(w, "  %s\n", item.Name)
			for _, check := range item.Checks {
				fmt.Fprintf(w, "    %s\t%s\t%s\n", check.Outcome, check.Name, check.Detail)
			}
		}
	}
	fmt.Fprintln(w)
	if doc.Images != "" {
		fmt.Fprintf(w, "Images saved in %s: biometrics, which only you can read.\n", doc.Images)
	}
	printCounts(w, doc.OK, doc.Failed, doc.NotChecked)
}
