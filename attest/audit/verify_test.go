package audit

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// Whatever single byte changes, it shows.
func TestEveryByteCounts(t *testing.T) {
	synctest.Test(t, testEveryByteCounts) // in fake time: see testCutAtEveryByte
}

func testEveryByteCounts(t *testing.T) {
	c := newCounter()
	o, _ := at(t.TempDir(), c.checkpointer())
	l := mustOpen(t, o)
	mustAppend(t, l, Event{Kind: Start})
	mustCheckpoint(t, l)
	mustClose(t, l)
	o.MaxFile = 1
	l = mustOpen(t, o)
	mustAppend(t, l, capture(1), Event{Kind: Stop})
	mustClose(t, l)
	for _, n := range []uint64{1, 2} {
		f, err := os.OpenFile(filepath.Join(o.Dir, fileName(n)), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		text, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range text {
			flips := []byte{1 << (i % 8)}
			if strings.ContainsRune("abcdefABCDEF", rune(b)) {
				flips = append(flips, 0x20) // the case of hex
			}
			for _, flip := range flips {
				f.WriteAt([]byte{b ^ flip}, int64(i))
				if _, err := Verify(t.Context(), o.Dir, VerifyOptions{}); !errors.Is(err, ErrBroken) {
					t.Errorf("file %d: byte %d flipped by %#x: %v", n, i, flip, err)
				}
			}
			f.WriteAt([]byte{b}, int64(i))
		}
	}
	verify(t, o.Dir, c.options())
}

// edit rewrites the lines of the log's first file.
func edit(t *testing.T, dir string, f func([]string) []string) {
	t.Helper()
	path := filepath.Join(dir, fileName(1))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := f(slices.Collect(strings.Lines(string(text))))
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// oneFile makes a log of a single file, whose last line is a checkpoint.
func oneFile(t *testing.T, c *counter) (dir string, lines int) {
	t.Helper()
	o, _ := at(t.TempDir(), c.checkpointer())
	l := mustOpen(t, o)
	for i := range 3 {
		mustAppend(t, l, capture(i), capture(i))
		mustCheckpoint(t, l)
	}
	mustClose(t, l)
	return o.Dir, int(l.Status().Records)
}

func TestLinesThatAreMissingOrMoved(t *testing.T) {
	c := newCounter()
	dir, n := oneFile(t, c)
	path := filepath.Join(dir, fileName(1))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, f func([]string) []string) {
		t.Helper()
		edit(t, dir, f)
		if _, err := Verify(t.Context(), dir, c.options()); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: %v", what, err)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		check("removed", func(l []string) []string { return slices.Delete(l, i, i+1) })
		check("repeated", func(l []string) []string { return slices.Insert(l, i, l[i]) })
		check("cut off", func(l []string) []string { return l[:i] })
		for j := range i {
			check("swapped", func(l []string) []string { l[i], l[j] = l[j], l[i]; return l })
		}
	}
	verify(t, dir, c.options())
}

func TestFilesThatAreMissing(t *testing.T) {
	for _, missing := range [][]uint64{{1}, {2}, {3}, {1, 2}, {2, 3}, {1, 2, 3, 4, 5, 6}} {
		c := newCounter()
		o, _ := at(t.TempDir(), c.checkpointer())
		o.MaxFile = 1
		l := mustOpen(t, o)
		for i := range 3 {
			mustAppend(t, l, capture(i))
			mustAppend(t, l, capture(i))
			mustCheckpoint(t, l)
		}
		mustClose(t, l)
		if report := verify(t, o.Dir, c.options()); report.Files != 6 {
			t.Fatalf("%d files", report.Files)
		}
		for _, n := range missing {
			if err := os.Remove(filepath.Join(o.Dir, fileName(n))); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Verify(t.Context(), o.Dir, c.options()); !errors.Is(err, ErrBroken) {
			t.Errorf("without files %v: %v", missing, err)
		}
	}
}

func TestRenamedFile(t *testing.T) {
	c := newCounter()
	dir := writeLog(t, c)
	if err := os.Rename(filepath.Join(dir, fileName(1)), filepath.Join(dir, fileName(7))); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(t.Context(), dir, c.options()); !errors.Is(err, ErrBroken) {
		t.Error(err)
	}
}

// Rotation keeps as many files as it should, and what is left holds.
func TestRotation(t *testing.T) {
	c := newCounter()
	o, _ := at(t.TempDir(), c.checkpointer())
	o.MaxFile, o.MaxFiles = 2000, 3
	for round := range 4 {
		l := mustOpen(t, o) // the state goes on over restarts, too
		for i := range 10 {
			mustAppend(t, l, capture(i))
		}
		mustCheckpoint(t, l)
		mustClose(t, l)
		numbers, err := list(o.Dir)
		if err != nil || len(numbers) > 3 || round == 3 && (len(numbers) != 3 || numbers[0] == 1) {
			t.Errorf("round %d: files %v, %v", round, numbers, err)
		}
		if report := verify(t, o.Dir, c.options()); len(report.Gaps) != 0 {
			t.Errorf("round %d: %v", round, report.Gaps)
		}
	}
	// The oldest of those that should be there.
	numbers, err := list(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(o.Dir, fileName(numbers[0]))); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(t.Context(), o.Dir, VerifyOptions{}); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "are missing") {
		t.Error(err)
	}
}

func TestVerifyKnowsTheKeys(t *testing.T) {
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, by := range map[string]Checkpointer{"TPM": newCounter().checkpointer(), "signature": WithSignature(attestationKey())} {
		o, _ := at(t.TempDir(), by)
		l := mustOpen(t, o)
		for range 3 {
			mustAppend(t, l, capture(1))
			mustCheckpoint(t, l)
		}
		mustClose(t, l)
		report := verify(t, o.Dir, VerifyOptions{Keys: []crypto.PublicKey{other.Public(), attestationKey().Public()}})
		if !report.Signed || report.RollbackProof != (name == "TPM") || report.Checkpoints != 3 {
			t.Errorf("%s: %+v", name, report)
		}
		if report := verify(t, o.Dir, VerifyOptions{}); report.Signed || report.RollbackProof {
			t.Errorf("%s: without a key: %+v", name, report)
		}
		for _, key := range []crypto.PublicKey{other.Public(), "no key"} {
			if _, err := Verify(t.Context(), o.Dir, VerifyOptions{Keys: []crypto.PublicKey{key}}); !errors.Is(err, ErrBroken) {
				t.Errorf("%s: by a key of another: %v", name, err)
			}
		}
	}
}

func TestVerifyNothing(t *testing.T) {
	if _, err := Verify(t.Context(), filepath.Join(t.TempDir(), "absent"), VerifyOptions{}); err == nil || errors.Is(err, ErrBroken) {
		t.Error(err)
	}
	if report := verify(t, t.TempDir(), VerifyOptions{}); report.Files != 0 || report.Signed || report.RollbackProof {
		t.Errorf("%+v", report)
	}
	// The TPM remembers that there were checkpoints.
	if _, err := Verify(t.Context(), t.TempDir(), VerifyOptions{Count: 7}); !errors.Is(err, ErrBroken) {
		t.Error(err)
	}
}

// What Verify reads is foreign: it never panics, and text that it accepts is
// what a log wrote.
func FuzzVerify(f *testing.F) {
	c := newCounter()
	dir := writeLog(f, c)
	f.Add([]byte(readAll(f, dir)))
	f.Add([]byte(`{"export":{"certificates":[]}}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "export")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := Verify(t.Context(), path, VerifyOptions{Keys: []crypto.PublicKey{attestationKey().Public()}})
		if err != nil && len(report.Problems) == 0 {
			t.Errorf("%v without a problem", err)
		}
		if lines := bytes.Count(text, []byte("\n")); report.Records > lines {
			t.Errorf("%d records in %d lines", report.Records, lines)
		}
	})
}

// A statement of a TPM is foreign, too.
func FuzzStatement(f *testing.F) {
	c := newCounter()
	if _, err := c.IncrementCounter(f.Context()); err != nil {
		f.Fatal(err)
	}
	digest := Hash{1}
	good, err := c.CertifyCounter(f.Context(), digest[:])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Attest, good.Signature, good.Public)
	key := &attestationKey().PublicKey
	f.Fuzz(func(t *testing.T, a, s, p []byte) {
		st := Statement{By: ByTPM, Count: 1, Attest: a, Signature: s, Public: p}
		if st.checkTPM(digest, key) == nil && !(bytes.Equal(a, good.Attest) && bytes.Equal(p, good.Public)) {
			t.Errorf("accepted attest %x, public %x", a, p)
		}
	})
}
