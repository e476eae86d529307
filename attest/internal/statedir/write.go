// Package statedir is what keeps files of a state directory whole: writes that
// leave the old content or the new one whenever the machine stops, and a lock
// against a second process.
package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// temporary ends the names of files that are not complete yet.
const temporary = ".tmp"

// WriteFile puts data into the file at path with the given permissions. After
// a crash at any moment the file has its old content, or is still absent, or
// has the new content and survives a power cut. Calls for one path must not
// overlap.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	// A fixed name: what a crash leaves behind, the next try replaces.
	tmp := path + temporary
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := writeNew(tmp, data, perm); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), removeIfThere(tmp))
	}
	if err := os.Rename(tmp, path); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), removeIfThere(tmp))
	}
	return syncDir(filepath.Dir(path))
}

func writeNew(path string, data []byte, perm fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Remove deletes the file at path so that it stays away after a power cut.
// That there is none is no error.
func Remove(path string) error {
	if err := removeIfThere(path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// CreateFile makes the file at path, with data and readable by its owner alone,
// whole or not at all. A file that is there stays, and the error is
// fs.ErrExist: of many who call it at once, one succeeds.
func CreateFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*"+temporary)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	// Unlike a rename, a link replaces nothing.
	if err := os.Link(f.Name(), path); err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}
