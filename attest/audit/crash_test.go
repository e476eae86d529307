package audit

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

const writerVariable = "AUDIT_TEST_WRITER"

// writeUntilKilled appends and says on standard output what is on the disk.
func writeUntilKilled(dir string) {
	o := Options{Dir: dir, MaxFile: 3000, MaxFiles: 1000, Log: slog.New(slog.DiscardHandler)}
	l, err := Open(o)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		if err := l.Append(capture(i), capture(i)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(l.Status().Records)
	}
}

// Whenever the process is killed, what it said is on the disk stays there.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	var acknowledged uint64
	for round := range 25 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), writerVariable+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 1 + rand.IntN(30) {
			if !lines.Scan() {
				break
			}
		}
		child.Process.Kill()
		for {
			if _, err := fmt.Sscan(lines.Text(), &acknowledged); err != nil {
				t.Fatalf("round %d: the writer says %q", round, lines.Text())
			}
			if !lines.Scan() {
				break
			}
		}
		if err := child.Wait(); err == nil {
			t.Fatal("the writer ended by itself")
		}
		o, _ := at(dir, nil)
		l := mustOpen(t, o)
		if got := l.Status().Records; got < acknowledged {
			t.Fatalf("round %d: %d records are left of %d", round, got, acknowledged)
		}
		mustClose(t, l)
		verify(t, dir, VerifyOptions{})
	}
}

// A power cut may leave any part of what was written last.
func TestCutAtEveryByte(t *testing.T) {
	// In fake time, as Verify waits for the line to be completed.
	synctest.Test(t, testCutAtEveryByte)
}

func testCutAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	o, _ := at(dir, nil)
	l := mustOpen(t, o)
	mustAppend(t, l, Event{Kind: Start})
	whole := l.Status().Records
	path := filepath.Join(dir, fileName(1))
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, Event{Kind: Rotate, Device: "SLAP00000001"}, Event{Kind: Stop})
	mustClose(t, l)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := len(before); size <= len(text); size++ {
		if err := os.WriteFile(path, text[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		_, verifyErr := Verify(t.Context(), dir, VerifyOptions{})
		torn := text[size-1] != '\n'
		o, messages := at(dir, nil)
		l := mustOpen(t, o)
		mustAppend(t, l, Event{Kind: Start})
		want := whole + uint64(bytes.Count(text[len(before):size], []byte("\n"))) + 1
		if torn {
			want++ // the gap
		}
		if got := l.Status().Records; got != want {
			t.Fatalf("cut at %d: %d records, want %d", size, got, want)
		}
		mustClose(t, l)
		report := verify(t, dir, VerifyOptions{})
		if torn != (len(report.Gaps) == 1) || torn != strings.Contains(messages.String(), "was cut off") || torn != (verifyErr != nil) {
			t.Fatalf("cut at %d: %v, %s, %v", size, report.Gaps, messages, verifyErr)
		}
	}
}

// A crash while the next file is made leaves an incomplete file of another
// name, and one after it leaves files that are to be forgotten.
func TestCrashInRotation(t *testing.T) {
	dir := t.TempDir()
	o, _ := at(dir, nil)
	o.MaxFile, o.MaxFiles = 1, 2
	l := mustOpen(t, o)
	mustAppend(t, l, capture(1))
	oldest, err := os.ReadFile(filepath.Join(dir, fileName(1)))
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, capture(2))
	mustAppend(t, l, capture(3))
	mustClose(t, l)
	for name, text := range map[string][]byte{fileName(1): oldest, fileName(4) + ".tmp": []byte("{"), "notes.txt": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify(t, dir, VerifyOptions{})
	mustClose(t, mustOpen(t, o))
	var left []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if got, want := fmt.Sprint(left), fmt.Sprint([]string{fileName(2), fileName(3), "lock", "notes.txt"}); got != want {
		t.Errorf("left %s, want %s", got, want)
	}
	verify(t, dir, VerifyOptions{})
}

// A file that does not hold stays as it is, and the log goes on in the next.
func TestDamageDoesNotStopTheLog(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"a line in the middle":      func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"the first line":            func(b []byte) []byte { b[10] ^= 1; return b },
		"empty":                     func([]byte) []byte { return nil },
		"zeros":                     func(b []byte) []byte { return make([]byte, len(b)) },
		"one long line":             func([]byte) []byte { return bytes.Repeat([]byte("x"), 2*maxLine) },
		"cut within the first line": func(b []byte) []byte { return b[:20] },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCounter()
			dir := writeLog(t, c)
			numbers, err := list(dir)
			if err != nil {
				t.Fatal(err)
			}
			newest := filepath.Join(dir, fileName(numbers[len(numbers)-1]))
			text, err := os.ReadFile(newest)
			if err != nil {
				t.Fatal(err)
			}
			damaged := damage(bytes.Clone(text))
			if err := os.WriteFile(newest, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			o, messages := at(dir, c.checkpointer())
			l := mustOpen(t, o)
			mustAppend(t, l, Event{Kind: Start})
			mustCheckpoint(t, l)
			mustClose(t, l)
			if now, err := os.ReadFile(newest); err != nil || !bytes.Equal(now, damaged) {
				t.Errorf("the damaged file changed, %v", err)
			}
			if !strings.Contains(messages.String(), "level=ERROR") {
				t.Errorf("no alarm: %s", messages)
			}
			report, err := Verify(t.Context(), dir, c.options())
			if err == nil || len(report.Gaps) == 0 || report.Tail != 0 {
				t.Errorf("%v, %+v", err, report)
			}
			// It goes on from there like any other.
			o, messages = at(dir, c.checkpointer())
			l = mustOpen(t, o)
			mustAppend(t, l, capture(9))
			mustCheckpoint(t, l)
			mustClose(t, l)
			if messages.Len() != 0 {
				t.Errorf("alarm again: %s", messages)
			}
		})
	}
}
