package statedir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrLocked means that another process works in the directory.
var ErrLocked = errors.New("in use by another process")

// A Lock keeps other processes out of a directory. The system gives it back
// when the process ends, however it ends.
type Lock struct{ f *os.File }

// Acquire takes the lock of dir without waiting, or returns ErrLocked. The
// directory gets a file called lock, which stays.
func Acquire(dir string) (*Lock, error) {
	//nolint:gosec // whoever runs the program says where its state is
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock directory: %w", err)
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Lock{f}, nil
}

// Release gives the lock back.
func (l *Lock) Release() error { return errors.Join(unlock(l.f), l.f.Close()) }
