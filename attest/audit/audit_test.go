package audit

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"go.uber.org/goleak"

	"sbid/attest/tpm"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerVariable); dir != "" {
		writeUntilKilled(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

var attestationKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// A counter behaves as that of a TPM, and signs what a TPM would sign.
type counter struct {
	mu     sync.Mutex
	value  uint64 // 0 before the first increment
	public tpm2.TPMSNVPublic
	// What the commands fail with.
	incrementFault, certifyFault error
}

func newCounter() *counter {
	return &counter{public: tpm2.TPMSNVPublic{
		NVIndex: 0x01500001, NameAlg: tpm2.TPMAlgSHA256, DataSize: 8,
		Attributes: tpm2.TPMANV{NT: tpm2.TPMNTCounter, Written: true, NoDA: true, AuthRead: true, AuthWrite: true},
	}}
}

// IncrementCounter is TPM2_NV_Increment.
func (c *counter) IncrementCounter(context.Context) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.incrementFault != nil {
		return 0, c.incrementFault
	}
	c.value++
	return c.value, nil
}

// CertifyCounter is TPM2_NV_Certify.
func (c *counter) CertifyCounter(_ context.Context, qualifying []byte) (tpm.Statement, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.certifyFault != nil {
		return tpm.Statement{}, c.certifyFault
	}
	c.value = max(c.value, 1)
	name, err := tpm2.NVName(&c.public)
	if err != nil {
		return tpm.Statement{}, err
	}
	attest := tpm2.Marshal(tpm2.TPMSAttest{
		Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestNV,
		ExtraData: tpm2.TPM2BData{Buffer: qualifying},
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestNV, &tpm2.TPMSNVCertifyInfo{
			IndexName: *name, NVContents: tpm2.TPM2BData{Buffer: binary.BigEndian.AppendUint64(nil, c.value)},
		}),
	})
	sum := sha256.Sum256(attest)
	raw, err := rsa.SignPKCS1v15(rand.Reader, attestationKey(), crypto.SHA256, sum[:])
	if err != nil {
		return tpm.Statement{}, err
	}
	signature := tpm2.Marshal(tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgRSASSA, Signature: tpm2.NewTPMUSignature(
		tpm2.TPMAlgRSASSA, &tpm2.TPMSSignatureRSA{Hash: tpm2.TPMAlgSHA256, Sig: tpm2.TPM2BPublicKeyRSA{Buffer: raw}})})
	return tpm.Statement{Attest: attest, Signature: signature, Public: tpm2.Marshal(c.public)}, nil
}

// fail makes the commands fail from now on, or not.
func (c *counter) fail(increment, certify error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.incrementFault, c.certifyFault = increment, certify
}

func (c *counter) checkpointer() Checkpointer { return WithTPM(c) }

func (c *counter) options() VerifyOptions {
	return VerifyOptions{Keys: []crypto.PublicKey{attestationKey().Public()}, Count: c.value}
}

// testTime is when all records are made.
var testTime = time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)

// at returns options for a log in dir whose messages go to the returned text.
func at(dir string, by Checkpointer) (Options, *strings.Builder) {
	var text strings.Builder
	return Options{
		Dir: dir, Checkpointer: by, Now: func() time.Time { return testTime },
		Log: slog.New(slog.NewTextHandler(&text, nil)),
	}, &text
}

func mustOpen(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func mustClose(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustAppend(t testing.TB, l *Log, events ...Event) {
	t.Helper()
	if err := l.Append(events...); err != nil {
		t.Fatal(err)
	}
}

func mustCheckpoint(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// verify returns the report of a log that holds.
func verify(t testing.TB, path string, o VerifyOptions) Report {
	t.Helper()
	report, err := Verify(t.Context(), path, o)
	if err != nil {
		t.Fatalf("%v; all problems: %v", err, report.Problems)
	}
	return report
}

func capture(n int) Event {
	return Event{
		Kind: Capture, Device: "SLAP00000001", Transaction: fmt.Sprintf("transaction-%d", n),
		Positions: []string{"Left IndexFinger", "Left MiddleFinger"}, Scores: []float64{71.5, float64(n % 100)}, Outcome: "0",
	}
}

// writeLog makes a log of two files with checkpoints and returns its directory.
func writeLog(t testing.TB, c *counter) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "audit")
	o, _ := at(dir, c.checkpointer())
	l := mustOpen(t, o)
	mustAppend(t, l, Event{Kind: Start})
	mustCheckpoint(t, l)
	mustAppend(t, l, capture(1), capture(2))
	mustCheckpoint(t, l)
	mustClose(t, l)
	o.MaxFile = 1
	l = mustOpen(t, o)
	mustAppend(t, l, capture(3))
	mustAppend(t, l, Event{Kind: Stop})
	mustCheckpoint(t, l)
	mustClose(t, l)
	return dir
}

func TestLogHoldsWhatWasAppended(t *testing.T) {
	c := newCounter()
	dir := writeLog(t, c)
	report := verify(t, dir, c.options())
	// Records: 5 events, 3 intents, 3 checkpoints, a header in each file.
	if report.Checkpoints != 3 || report.Records != 5+3+3+report.Files || report.Tail != 0 ||
		!report.Signed || !report.RollbackProof || len(report.Gaps) != 0 || report.Last.Count != c.value-1 {
		t.Errorf("%+v", report)
	}
	if report.From != "2026-01-02T03:04:05.006Z" || report.To != report.From {
		t.Errorf("from %s to %s", report.From, report.To)
	}
	text := readAll(t, dir)
	for _, want := range []string{
		`"kind":"capture","device":"SLAP00000001","transaction":"transaction-1","positions":["Left IndexFinger","Left MiddleFinger"],"scores":[71.5,1],"outcome":"0","salt":"`,
		`"kind":"start"`, `"kind":"stop"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, fileName(1))); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// readAll returns the lines of all files.
func readAll(t testing.TB, dir string) string {
	t.Helper()
	var text strings.Builder
	numbers, err := list(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range numbers {
		b, err := os.ReadFile(filepath.Join(dir, fileName(n)))
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
	}
	return text.String()
}

func TestAppendRefusesWhatIsNoEvent(t *testing.T) {
	o, _ := at(t.TempDir(), nil)
	l := mustOpen(t, o)
	nan := 0.0
	for name, e := range map[string]Event{
		"no kind":        {},
		"unknown kind":   {Kind: "coffee"},
		"the log's own":  {Kind: Gap},
		"a file":         {Kind: kindFile},
		"a checkpoint":   {Kind: kindCheckpoint},
		"not a number":   {Kind: Capture, Scores: []float64{nan / nan}},
		"many positions": {Kind: Capture, Positions: make([]string, maxList+1)},
		"many scores":    {Kind: Capture, Scores: make([]float64, maxList+1)},
	} {
		// Nothing of a call is recorded when one event of it cannot be.
		if err := l.Append(Event{Kind: Start}, e); err == nil || errors.Is(err, ErrKept) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := l.Status(); s.Records != 0 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

// Texts of a request are foreign: whatever they hold, a line is a line and can
// be read again.
func TestAppendCutsTexts(t *testing.T) {
	o, _ := at(t.TempDir(), nil)
	l := mustOpen(t, o)
	for _, text := range []string{
		strings.Repeat("\x00", 10000), strings.Repeat("<", 10000), strings.Repeat("\x80", 10000), strings.Repeat("ä", 10000),
		"\n\",\"hash\":\"" + strings.Repeat("0", 64) + "\"}\n", `"kind":"file"`, "",
	} {
		positions := make([]string, maxList)
		for i := range positions {
			positions[i] = text
		}
		scores := make([]float64, maxList)
		for i := range scores {
			scores[i] = 100. / 3
		}
		mustAppend(t, l, Event{Kind: Refusal, Device: text, Transaction: text, Positions: positions, Scores: scores, Outcome: text, Detail: text})
	}
	if report := verify(t, o.Dir, VerifyOptions{}); report.Tail != 7 {
		t.Errorf("%+v", report)
	}
	for line := range strings.Lines(readAll(t, o.Dir)) {
		if len(line) > maxLine {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

func TestOneWriter(t *testing.T) {
	o, _ := at(t.TempDir(), nil)
	l := mustOpen(t, o)
	mustAppend(t, l, Event{Kind: Start})
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("opened twice: %v", err)
	}
	// A reader is no writer.
	verify(t, o.Dir, VerifyOptions{})
	mustAppend(t, l, Event{Kind: Stop})
	mustClose(t, l)
	mustClose(t, l)
	if err := l.Append(Event{Kind: Stop}); !errors.Is(err, errClosed) {
		t.Errorf("appended to a closed log: %v", err)
	}
	mustClose(t, mustOpen(t, o))
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"one file":      {Dir: t.TempDir(), MaxFiles: 1},
		"negative size": {Dir: t.TempDir(), MaxFile: -1},
		"a file":        {Dir: file},
	} {
		if l, err := Open(o); err == nil {
			l.Close()
			t.Errorf("%s: opened", name)
		}
	}
}

// Two appends at once, a checkpoint and a reader beside them.
func TestConcurrentUse(t *testing.T) {
	c := newCounter()
	o, _ := at(t.TempDir(), c.checkpointer())
	o.MaxFile, o.MaxFiles = 4000, 100
	l := mustOpen(t, o)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for i := range 20 {
				if err := l.Append(capture(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 5 {
			if err := l.Checkpoint(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for range 5 {
			if _, err := Verify(t.Context(), o.Dir, VerifyOptions{}); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	mustCheckpoint(t, l)
	report := verify(t, o.Dir, c.options())
	if report.Tail != 0 || report.Checkpoints != 6 {
		t.Errorf("%+v", report)
	}
}
