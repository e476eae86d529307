package audit

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// A copy of the directory is what somebody with all rights can put back.
func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// Who controls the machine, its TPM and its clock, and makes the whole log
// anew, is still without the counts that are spent.
func TestRewrittenHistoryShows(t *testing.T) {
	c := newCounter()
	o, _ := at(t.TempDir(), c.checkpointer())
	l := mustOpen(t, o)
	mustAppend(t, l, Event{Kind: Start})
	mustCheckpoint(t, l)
	mustClose(t, l)
	before := copyDir(t, o.Dir)
	l = mustOpen(t, o)
	mustAppend(t, l, Event{Kind: Tamper, Detail: "housing opened"})
	mustCheckpoint(t, l)
	mustClose(t, l)

	o.Dir = before
	l = mustOpen(t, o)
	mustAppend(t, l, Event{Kind: Start, Detail: "nothing happened"})
	mustCheckpoint(t, l)
	mustClose(t, l)
	if report, err := Verify(t.Context(), before, c.options()); !errors.Is(err, ErrBroken) || len(report.Gaps) != 1 {
		t.Errorf("%v, %+v", err, report)
	}
	// Nor is there a moment in which the last count is there to be had again.
	last, err := c.CertifyCounter(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	st := Statement{Attest: last.Attest, Public: last.Public}
	if count, err := st.certified(Hash{}); err == nil || count != 0 {
		t.Error("a statement about nothing was taken")
	}
	if c.value != l.Last().Count+1 {
		t.Errorf("the counter stands at %d after checkpoint %d", c.value, l.Last().Count)
	}
}

func TestOldCopyShows(t *testing.T) {
	c := newCounter()
	o, _ := at(t.TempDir(), c.checkpointer())
	l := mustOpen(t, o)
	mustAppend(t, l, Event{Kind: Start})
	mustCheckpoint(t, l)
	old := copyDir(t, o.Dir)
	mustAppend(t, l, capture(1))
	mustCheckpoint(t, l)
	mustClose(t, l)
	if _, err := Verify(t.Context(), old, c.options()); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "end of the log is missing") {
		t.Error(err)
	}
}

// A log that was replaced as a whole holds by itself, and does not before one
// who saw the old one.
func TestReplacedLogShows(t *testing.T) {
	c := newCounter()
	dir := writeLog(t, c)
	options := c.options()
	seen := verify(t, dir, options).Last
	options.Earlier = []Checkpoint{*seen}
	verify(t, dir, options)
	o, _ := at(t.TempDir(), c.checkpointer())
	l := mustOpen(t, o)
	// As who replaces it would: it goes on from a past that is gone.
	l.state.mark, l.state.file = mark{ByTPM, c.value - 1, Hash{1}}, fileHeader{Number: 8, First: 9}
	mustAppend(t, l, Event{Kind: Start, Detail: "nothing happened"})
	mustCheckpoint(t, l)
	mustClose(t, l)
	options = c.options()
	verify(t, o.Dir, options)
	options.Earlier = []Checkpoint{*seen}
	if _, err := Verify(t.Context(), o.Dir, options); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "seen before, is not in the log") {
		t.Error(err)
	}
}

// Wherever a checkpoint is interrupted, the next one goes on without a gap.
func TestInterruptedCheckpoint(t *testing.T) {
	down := errors.New("TPM is away")
	for name, interrupt := range map[string]func(*counter){
		"before certifying": func(c *counter) { c.fail(nil, down) },
		"before spending":   func(c *counter) { c.fail(down, nil) },
	} {
		for _, first := range []bool{true, false} {
			c := newCounter()
			o, messages := at(t.TempDir(), c.checkpointer())
			l := mustOpen(t, o)
			mustAppend(t, l, Event{Kind: Start})
			if !first {
				mustCheckpoint(t, l)
			}
			interrupt(c)
			if err := l.Checkpoint(t.Context()); !errors.Is(err, down) {
				t.Fatalf("%s: %v", name, err)
			}
			mustClose(t, l)
			c.fail(nil, nil)
			verify(t, o.Dir, c.options())
			l = mustOpen(t, o)
			mustAppend(t, l, Event{Kind: Start})
			mustCheckpoint(t, l)
			mustClose(t, l)
			if report := verify(t, o.Dir, c.options()); len(report.Gaps) != 0 || report.Tail != 0 || messages.Len() != 0 {
				t.Errorf("%s: %+v, %s", name, report, messages)
			}
		}
	}
}

// The machine stopped after the checkpoint was written: its count is spent
// before another is certified.
func TestUnspentCount(t *testing.T) {
	c := newCounter()
	o, messages := at(t.TempDir(), c.checkpointer())
	l := mustOpen(t, o)
	mustAppend(t, l, Event{Kind: Start})
	mustCheckpoint(t, l)
	c.value-- // as if it had not been
	mustAppend(t, l, capture(1))
	mustCheckpoint(t, l)
	mustClose(t, l)
	if report := verify(t, o.Dir, c.options()); report.Checkpoints != 2 || report.Last.Count != 2 || messages.Len() != 0 {
		t.Errorf("%+v, %s", report, messages)
	}
}

// A counter that stands elsewhere is an alarm, once, and no reason to stop.
func TestCounterMoved(t *testing.T) {
	for name, move := range map[string]func(*counter){
		"on":          func(c *counter) { c.value += 3 },
		"another TPM": func(c *counter) { c.value = 1 },
	} {
		c := newCounter()
		c.value = 10
		o, messages := at(t.TempDir(), c.checkpointer())
		l := mustOpen(t, o)
		mustAppend(t, l, Event{Kind: Start})
		mustCheckpoint(t, l)
		move(c)
		mustAppend(t, l, capture(1))
		mustCheckpoint(t, l)
		mustAppend(t, l, capture(2))
		mustCheckpoint(t, l)
		mustClose(t, l)
		report, err := Verify(t.Context(), o.Dir, c.options())
		if !errors.Is(err, ErrBroken) || len(report.Problems) != 1 || len(report.Gaps) != 1 || strings.Count(messages.String(), "level=ERROR") != 1 {
			t.Errorf("%s: %v, %+v, %s", name, err, report, messages)
		}
	}
}

// What looks like a checkpoint and is none.
func TestForgedStatement(t *testing.T) {
	digest := Hash{1}
	key := &attestationKey().PublicKey
	good := func() (*counter, Statement) {
		c := newCounter()
		c.value = 7
		made, err := c.CertifyCounter(t.Context(), digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return c, Statement{By: ByTPM, Count: 7, Attest: made.Attest, Signature: made.Signature, Public: made.Public}
	}
	_, st := good()
	if err := st.checkTPM(digest, key); err != nil {
		t.Fatal(err)
	}
	for name, forge := range map[string]func(*counter, *Statement){
		"another count": func(_ *counter, st *Statement) { st.Count++ },
		"another digest": func(c *counter, st *Statement) {
			made, _ := c.CertifyCounter(t.Context(), []byte("other"))
			st.Attest, st.Signature = made.Attest, made.Signature
		},
		"an index whose value can be chosen": func(c *counter, st *Statement) {
			c.public.Attributes.NT = tpm2.TPMNTOrdinary
			made, _ := c.CertifyCounter(t.Context(), digest[:])
			st.Attest, st.Signature, st.Public = made.Attest, made.Signature, made.Public
		},
		"another index's name": func(c *counter, st *Statement) {
			c.public.NVIndex++
			st.Public = tpm2.Marshal(c.public)
		},
		"no public area": func(_ *counter, st *Statement) { st.Public = nil },
		"no statement":   func(_ *counter, st *Statement) { st.Attest = nil },
		"no signature":   func(_ *counter, st *Statement) { st.Signature = nil },
		"not by a TPM":   func(_ *counter, st *Statement) { st.Attest = bytes.Clone(st.Attest); st.Attest[0] ^= 1 },
		"a quote": func(_ *counter, st *Statement) {
			st.Attest = tpm2.Marshal(tpm2.TPMSAttest{
				Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestQuote, ExtraData: tpm2.TPM2BData{Buffer: digest[:]},
				Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{}),
			})
		},
	} {
		c, st := good()
		forge(c, &st)
		if err := st.checkTPM(digest, key); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	other := &Checkpoint{Statement: st}
	other.By = "word of honour"
	if err := other.check(key); err == nil {
		t.Error("an unknown means was taken")
	}
}

func TestNoCheckpointer(t *testing.T) {
	o, _ := at(t.TempDir(), nil)
	if err := mustOpen(t, o).Checkpoint(t.Context()); err == nil {
		t.Error("a checkpoint by nobody")
	}
}

// A log that began without a TPM goes on with one.
func TestFromSignaturesToTPM(t *testing.T) {
	o, _ := at(t.TempDir(), WithSignature(attestationKey()))
	l := mustOpen(t, o)
	mustAppend(t, l, Event{Kind: Start})
	mustCheckpoint(t, l)
	mustClose(t, l)
	c := newCounter()
	o.Checkpointer = c.checkpointer()
	l = mustOpen(t, o)
	mustAppend(t, l, Event{Kind: Start})
	mustCheckpoint(t, l)
	mustCheckpoint(t, l)
	mustClose(t, l)
	report, err := Verify(t.Context(), o.Dir, c.options())
	if !errors.Is(err, ErrBroken) || len(report.Problems) != 1 || report.RollbackProof {
		t.Errorf("%v, %+v", err, report)
	}
}

// One checkpoint at the start, one each hour with something new, one at the
// end, and none besides.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCounter()
		o, messages := at(t.TempDir(), c.checkpointer())
		l := mustOpen(t, o)
		mustAppend(t, l, Event{Kind: Start})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); l.Run(ctx) }()
		check := func(after time.Duration, want uint64) {
			t.Helper()
			time.Sleep(after) // fake time
			synctest.Wait()
			if last := l.Last(); last == nil || last.Count != want {
				t.Errorf("%+v, want count %d", last, want)
			}
		}
		check(time.Second, 1)
		check(3*time.Hour, 1)
		mustAppend(t, l, capture(1))
		check(59*time.Minute, 1)
		check(time.Minute, 2)
		c.fail(nil, errors.New("TPM is away"))
		mustAppend(t, l, capture(1))
		check(time.Hour, 2)
		c.fail(nil, nil)
		check(time.Hour, 3)
		mustAppend(t, l, Event{Kind: Stop})
		cancel()
		<-done
		check(0, 4)
		mustClose(t, l)
		if n := strings.Count(messages.String(), "level="); n != 1 || !strings.Contains(messages.String(), "TPM is away") {
			t.Errorf("%d messages: %s", n, messages)
		}
		if report := verify(t, o.Dir, c.options()); report.Tail != 0 {
			t.Errorf("%+v", report)
		}
	})
}

// Run looks into the files that Open does not.
func TestRunFindsOldDamage(t *testing.T) {
	c := newCounter()
	dir := writeLog(t, c)
	edit(t, dir, func(l []string) []string { return l[1:] })
	o, messages := at(dir, nil)
	l := mustOpen(t, o)
	if messages.Len() != 0 {
		t.Errorf("Open reads old files: %s", messages)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.Run(ctx) // does not look any more
	if messages.Len() != 0 {
		t.Errorf("%s", messages)
	}
	l.audit(t.Context())
	if !strings.Contains(messages.String(), "damaged or changed") || l.Status().Records == 0 {
		t.Errorf("%s", messages)
	}
	mustClose(t, l)
	if report, _ := Verify(t.Context(), dir, VerifyOptions{}); len(report.Gaps) != 1 {
		t.Errorf("%+v", report.Gaps)
	}
}

func selfSigned(t *testing.T, key *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "AK"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestExport(t *testing.T) {
	c := newCounter()
	dir := writeLog(t, c)
	path := filepath.Join(t.TempDir(), "export.jsonl")
	export := func(certs ...*x509.Certificate) {
		t.Helper()
		var text bytes.Buffer
		if err := Export(t.Context(), dir, &text, certs...); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ak := selfSigned(t, attestationKey())
	export(ak)
	whole := verify(t, dir, c.options())
	report := verify(t, path, VerifyOptions{Count: c.value})
	if !report.RollbackProof || report.Records != whole.Records || report.Files != whole.Files ||
		len(report.Certificates) != 1 || !report.Certificates[0].Equal(ak) {
		t.Errorf("%+v", report)
	}
	export()
	if report := verify(t, path, VerifyOptions{}); report.Signed {
		t.Errorf("signed by nobody: %+v", report)
	}
	if report := verify(t, path, c.options()); !report.Signed {
		t.Errorf("%+v", report)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	export(selfSigned(t, other))
	if _, err := Verify(t.Context(), path, VerifyOptions{}); !errors.Is(err, ErrBroken) {
		t.Errorf("an export with another's certificate: %v", err)
	}
	if _, err := Verify(t.Context(), path, VerifyOptions{Keys: []crypto.PublicKey{attestationKey().Public()}}); err != nil {
		t.Errorf("the caller's keys come first: %v", err)
	}
	// A line less, in one file of many.
	export(ak)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	for i := 1; i < len(lines)-1; i++ {
		short := strings.Join(append(append([]string{}, lines[:i]...), lines[i+1:]...), "")
		if err := os.WriteFile(path, []byte(short), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(t.Context(), path, c.options()); !errors.Is(err, ErrBroken) {
			t.Errorf("without line %d: %v", i+1, err)
		}
	}
	if err := Export(t.Context(), filepath.Join(dir, "absent"), &bytes.Buffer{}); err == nil {
		t.Error("exported what is not there")
	}
}
