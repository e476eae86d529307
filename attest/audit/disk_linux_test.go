package audit

import (
	"errors"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk is a place whose room can be taken and given back.
type disk struct {
	dir        string
	fill, free func()
	full       error // what a write says then
}

// smallFiles lets the files of this process grow to a size only, as root or
// not.
func smallFiles(t *testing.T) disk {
	signal.Ignore(unix.SIGXFSZ) // the other way to be told
	t.Cleanup(func() { signal.Reset(unix.SIGXFSZ) })
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	set := func(size uint64) {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: old.Max}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { set(old.Cur) })
	return disk{dir: t.TempDir(), full: unix.EFBIG, fill: func() { set(700) }, free: func() { set(old.Cur) }}
}

// smallDisk mounts a file system of 64 KiB, which takes root.
func smallDisk(t *testing.T) disk {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Skipf("mounting a small disk takes root: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	return disk{
		dir: filepath.Join(dir, "audit"), full: unix.ENOSPC,
		fill: func() {
			if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
				t.Fatalf("the disk is not full: %v", err)
			}
		},
		free: func() {
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
		},
	}
}

var disks = map[string]func(*testing.T) disk{"disk": smallDisk, "file size": smallFiles}

// While there is no room, records wait; when there is, they are written in
// their order, and those that memory did not hold are counted.
func TestFullDisk(t *testing.T) {
	for name, prepare := range disks {
		t.Run(name, func(t *testing.T) {
			d := prepare(t)
			o, messages := at(d.dir, newCounter().checkpointer())
			l := mustOpen(t, o)
			mustAppend(t, l, Event{Kind: Start})
			d.fill()
			// The last page of the file may have room for some.
			var kept int
			for i := range 50 {
				err := l.Append(capture(i))
				if err == nil && kept == 0 {
					continue
				}
				if !errors.Is(err, ErrKept) || !errors.Is(err, d.full) {
					t.Fatal(err)
				}
				kept++
			}
			if s := l.Status(); kept < 10 || s.Waiting != kept || s.Lost != 0 || !errors.Is(s.Trouble, d.full) {
				t.Errorf("%d kept, %+v", kept, s)
			}
			if err := l.Checkpoint(t.Context()); !errors.Is(err, d.full) {
				t.Errorf("a checkpoint on a full disk: %v", err)
			}
			// No half line is left behind.
			verify(t, d.dir, VerifyOptions{})
			if n := strings.Count(messages.String(), "level="); n != 1 || !strings.Contains(messages.String(), "make room on the disk") {
				t.Errorf("%d messages: %s", n, messages)
			}
			d.free()
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
			if s := l.Status(); s.Waiting != 0 || s.Trouble != nil {
				t.Errorf("%+v", s)
			}
			if n := strings.Count(messages.String(), "level="); n != 2 {
				t.Errorf("%d messages: %s", n, messages)
			}
			mustClose(t, l)
			if report := verify(t, d.dir, VerifyOptions{}); report.Tail != 51 || len(report.Gaps) != 0 {
				t.Errorf("%+v", report)
			}
		})
	}
}

func TestMemoryIsFinite(t *testing.T) {
	d := smallFiles(t)
	o, _ := at(d.dir, nil)
	l := mustOpen(t, o)
	mustAppend(t, l, Event{Kind: Start})
	d.fill()
	many := make([]Event, 4000)
	for i := range many {
		many[i] = Event{Kind: Refusal}
	}
	for range 3 {
		if err := l.Append(many...); !errors.Is(err, ErrKept) {
			t.Fatal(err)
		}
	}
	if s := l.Status(); s.Waiting != maxWaiting || s.Lost != 3*4000-maxWaiting {
		t.Errorf("%+v", s)
	}
	d.free()
	mustAppend(t, l, Event{Kind: Stop})
	mustClose(t, l)
	report := verify(t, o.Dir, VerifyOptions{})
	if len(report.Gaps) != 1 || !strings.HasPrefix(report.Gaps[0].Text, "2001 records from 2026-01-02T03:04:05.006Z to ") {
		t.Errorf("%v", report.Gaps)
	}
}

// A service starts and stops on a full disk; what it cannot write is lost, and
// Close says so.
func TestStartOnFullDisk(t *testing.T) {
	d := smallFiles(t)
	o, messages := at(d.dir, nil)
	l := mustOpen(t, o)
	mustAppend(t, l, Event{Kind: Start})
	mustClose(t, l)
	path := filepath.Join(d.dir, fileName(1))
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"n":3,`)
	f.Close()
	unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 10, Max: math.MaxUint64})
	l = mustOpen(t, o)
	if err := l.Append(Event{Kind: Start}); !errors.Is(err, ErrKept) {
		t.Error(err)
	}
	if !strings.Contains(messages.String(), "cannot be written") {
		t.Errorf("%s", messages)
	}
	if err := l.Close(); !errors.Is(err, ErrKept) {
		t.Error(err)
	}
	d.free()
	verify(t, o.Dir, VerifyOptions{})
}
