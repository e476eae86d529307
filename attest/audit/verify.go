package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// ErrBroken means that a log is not as it was written.
var ErrBroken = errors.New("audit log does not hold")

// VerifyOptions say what a log is checked against.
type VerifyOptions struct {
	// Keys are those that may have signed checkpoints: the attestation key of
	// the TPM, or the keys given to WithSignature. Without any, those of the
	// certificates in an export count, which are then for the caller to judge;
	// without these, signatures are not checked.
	Keys []crypto.PublicKey
	// Count is where the TPM's counter stands, read before the call; 0 for
	// unknown. It shows that the end of a log was cut off, or that an older copy
	// of it was put back.
	Count uint64
	// Earlier are checkpoints of this log that were seen before, and whose files
	// should still be there. They show that the log was replaced as a whole, by
	// one that says that its beginning was removed in its time: nothing in such
	// a log itself shows that.
	Earlier []Checkpoint
}

// A Report says what was found in a log.
type Report struct {
	Files, Records, Checkpoints int
	From, To                    string // times of the first and the last record
	// Tail is how many records nothing vouches for yet: the last ones could have
	// been left out.
	Tail int
	// Signed says that there are checkpoints and that their signatures were
	// checked; RollbackProof that all of them are by a TPM's counter as well.
	Signed, RollbackProof bool
	Last                  *Checkpoint
	Gaps                  []Finding // what the log says about itself
	Problems              []Finding // what is wrong with it
	Certificates          []*x509.Certificate
}

// A Finding is something that a person should look at.
type Finding struct {
	File string
	Line int
	Time string // of the record, if it is one
	Text string
}

func (f Finding) String() string {
	switch {
	case f.File == "":
		return f.Text
	case f.Line == 0:
		return fmt.Sprintf("%s: %s", f.File, f.Text)
	}
	return fmt.Sprintf("%s line %d: %s", f.File, f.Line, f.Text)
}

// Verify reads a whole log, from its directory or from an export, and checks
// every line and every checkpoint. It changes nothing and may run beside the
// service that writes the log. When something is wrong, the error wraps
// ErrBroken, names the first problem, and the report has all of them.
//
// What no log can show by itself: records after the last checkpoint that were
// left out (see Report.Tail; VerifyOptions.Count shows missing checkpoints), and
// another log in the place of all of it (see VerifyOptions.Earlier).
func Verify(ctx context.Context, path string, o VerifyOptions) (Report, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Report{}, fmt.Errorf("verify audit log: %w", err)
	}
	var report Report
	if info.IsDir() {
		report, err = verifyDir(ctx, path, o)
	} else {
		v := newVerifier(o)
		err = v.export(ctx, path)
		report = v.finish()
	}
	switch {
	case err != nil:
		return report, fmt.Errorf("verify audit log: %w", err)
	case len(report.Problems) > 0:
		return report, fmt.Errorf("%w: %s", ErrBroken, report.Problems[0])
	}
	return report, nil
}

// How often a directory is read again when files go while they are read, or
// when the last line is not complete, because the service is at work in it.
const (
	attempts  = 5
	nextVerse = 20 * time.Millisecond
)

func verifyDir(ctx context.Context, dir string, o VerifyOptions) (Report, error) {
	for attempt := 1; ; attempt++ {
		v := newVerifier(o)
		err := v.dir(ctx, dir)
		moving := errors.Is(err, fs.ErrNotExist) || v.torn
		if !moving || attempt == attempts {
			return v.finish(), err
		}
		select {
		case <-time.After(nextVerse):
		case <-ctx.Done():
			return Report{}, ctx.Err()
		}
	}
}

// A verifier reads the lines of all files one after the other.
type verifier struct {
	opts    VerifyOptions
	state   state
	report  Report
	missing []mark // what was seen earlier and not found yet
	oldest  uint64 // number of the first file
	broken  bool   // the file's other lines say nothing any more
	torn    bool   // the last file ends within a line
	name    string
}

func newVerifier(o VerifyOptions) *verifier {
	v := &verifier{opts: o, report: Report{RollbackProof: true}}
	for _, c := range o.Earlier {
		v.missing = append(v.missing, c.mark())
	}
	return v
}

// see takes note of a checkpoint that is in the log, or remembered by it.
func (v *verifier) see(m mark) {
	v.missing = slices.DeleteFunc(v.missing, func(other mark) bool { return other == m })
}

// dir reads all files.
func (v *verifier) dir(ctx context.Context, dir string) error {
	numbers, err := list(dir)
	if err != nil {
		return err
	}
	lines := newLineReader(nil)
	for _, n := range numbers {
		f, err := os.Open(filepath.Join(dir, fileName(n)))
		if err != nil {
			return err
		}
		v.begin(fileName(n))
		lines.reset(f)
		err = v.read(ctx, lines)
		f.Close()
		if err != nil {
			return err
		}
		if v.state.file.Number != n && !v.broken {
			v.problem(0, "holds another file, or nothing")
		}
	}
	return nil
}

func (v *verifier) begin(name string) { v.name, v.broken, v.torn = name, false, false }

// read checks all lines of a file.
func (v *verifier) read(ctx context.Context, lines *lineReader) error {
	for {
		line, err := lines.next()
		switch {
		case errors.Is(err, io.EOF):
			return ctx.Err()
		case errors.Is(err, errTorn):
			v.torn = true
			v.problem(lines.line+1, "is not complete; the next start of the service cuts it off")
			return ctx.Err()
		case errors.Is(err, errLong):
			v.problem(lines.line+1, "is too long for a record")
			return ctx.Err()
		case err != nil:
			return err
		}
		v.line(lines.line, line)
		if lines.line%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// line checks one line. After one that does not hold, the rest of the file
// cannot be judged; the next file begins anew.
func (v *verifier) line(number int, line []byte) {
	header := isHeader(line)
	if v.broken && !header {
		return
	}
	r, err := v.state.take(line)
	if err != nil && header {
		// Once more without what came before, to find more than one problem.
		fresh := state{}
		if again, freshErr := fresh.take(line); freshErr == nil {
			v.problem(number, err.Error())
			v.state, r, err = fresh, again, nil
		}
	}
	if err != nil {
		v.problem(number, err.Error())
	}
	if v.broken = err != nil && !errors.Is(err, errCheckpoint); v.broken {
		return
	}
	if header {
		v.report.Files++
		v.see(v.state.mark)
		v.oldest = cmp.Or(v.oldest, v.state.file.Number)
	}
	v.report.Records++
	if v.report.From == "" {
		v.report.From = r.Time
	}
	v.report.To = r.Time
	switch r.Kind {
	case Gap:
		v.report.Gaps = append(v.report.Gaps, Finding{v.name, number, r.Time, r.Detail})
	case kindCheckpoint:
		v.checkpoint(number, r.Checkpoint)
		return
	case kindFile, kindIntent:
		return
	}
	v.report.Tail++
}

// checkpoint checks what vouches for the lines before.
func (v *verifier) checkpoint(line int, c *Checkpoint) {
	if c == nil {
		return // a problem already
	}
	v.report.Checkpoints++
	v.report.Tail = 0
	v.report.Last = c
	keys := v.keys()
	if len(keys) == 0 {
		keys = []crypto.PublicKey{(*rsa.PublicKey)(nil)}
	} else {
		v.report.Signed = true
	}
	var problem error
	for _, key := range keys {
		if problem = c.check(key); problem == nil {
			break
		}
	}
	if problem != nil {
		v.problem(line, "checkpoint: "+problem.Error())
	}
	v.see(c.mark())
	v.report.RollbackProof = v.report.RollbackProof && c.By == ByTPM
}

// keys returns those that the caller knows, else those of the export.
func (v *verifier) keys() []crypto.PublicKey {
	if len(v.opts.Keys) > 0 {
		return v.opts.Keys
	}
	var keys []crypto.PublicKey
	for _, c := range v.report.Certificates {
		keys = append(keys, c.PublicKey)
	}
	return keys
}

// check checks the statement of a checkpoint. With a nil *rsa.PublicKey only
// what it says is checked.
func (c *Checkpoint) check(key crypto.PublicKey) error {
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("key is a %T, not RSA", key)
	}
	switch c.By {
	case ByTPM:
		return c.checkTPM(c.Digest(), public)
	case BySignature:
		return c.checkSignature(c.Digest(), public)
	}
	return fmt.Errorf("made by %.20q", c.By)
}

// finish says what the files show together.
func (v *verifier) finish() Report {
	r := &v.report
	if first := v.state.file.First; v.oldest > first {
		r.Problems = append(r.Problems, Finding{Text: fmt.Sprintf("files %d to %d are missing", first, v.oldest-1)})
	}
	for _, e := range v.missing {
		r.Problems = append(r.Problems, Finding{Text: fmt.Sprintf("checkpoint %d, which was seen before, is not in the log", e.Count)})
	}
	if count := v.opts.Count; count > v.state.mark.Count+1 {
		r.Problems = append(r.Problems, Finding{Text: fmt.Sprintf(
			"the counter stands at %d, the last checkpoint is %d: the end of the log is missing", count, v.state.mark.Count)})
	}
	r.Signed = r.Signed && r.Checkpoints > 0
	r.RollbackProof = r.RollbackProof && r.Signed
	return *r
}

func (v *verifier) problem(line int, text string) {
	v.report.Problems = append(v.report.Problems, Finding{File: v.name, Line: line, Text: text})
}

// export reads a file that Export made.
func (v *verifier) export(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	v.begin(filepath.Base(path))
	r := bufio.NewReaderSize(f, maxLine)
	head, err := r.Peek(len(exportStart))
	if err == nil && bytes.Equal(head, []byte(exportStart)) {
		if v.report.Certificates, err = readExportLine(r); err != nil {
			v.problem(1, err.Error())
			return nil
		}
	}
	return v.read(ctx, newLineReader(r))
}
