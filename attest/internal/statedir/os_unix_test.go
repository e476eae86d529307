//go:build !windows

package statedir

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A process that is being started has every open file of its parent, until it
// runs its own program.
func TestReleaseWhileStartingAProcess(t *testing.T) {
	dir := t.TempDir()
	l, err := Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	inherited, err := unix.Dup(int(l.f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(inherited)
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := Acquire(dir)
	if err != nil {
		t.Fatalf("the lock was released: %v", err)
	}
	if err := again.Release(); err != nil {
		t.Error(err)
	}
}
