package tpm

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"sbid/attest"
	"sbid/attest/internal/statedir"
)

// Suffixes of a key's files.
const (
	recordSuffix = ".json"
	keySuffix    = ".pem"
	labelSuffix  = ".label"
	authSuffix   = ".auth"
)

const maxFile = 16 << 10 // bytes; none is longer than 1 KiB

func (s *Store) path(name, suffix string) string { return filepath.Join(s.dir, name+suffix) }

func checkName(name string) error {
	if !attest.ValidName(name) || !filepath.IsLocal(name+recordSuffix) {
		return fmt.Errorf("%q cannot name a key", name)
	}
	return nil
}

func (s *Store) write(name, suffix string, data []byte) error {
	return statedir.WriteFile(s.path(name, suffix), data, 0o600)
}

// read returns a file that its owner alone may read and write.
func (s *Store) read(name, suffix string) ([]byte, error) {
	f, err := os.Open(s.path(name, suffix))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return nil, fmt.Errorf("read %s: mode %04o lets others in, run chmod 600 on it", f.Name(), mode)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("read %s: longer than %d bytes", f.Name(), maxFile)
	}
	return data, err
}

// readSecret reads a file of authSize bytes.
func (s *Store) readSecret(name, suffix string) ([]byte, error) {
	secret, err := s.read(name, suffix)
	if err == nil && len(secret) != authSize {
		return nil, fmt.Errorf("%w: %s has %d bytes, expected %d", ErrDamaged, s.path(name, suffix), len(secret), authSize)
	}
	return secret, err
}

// lockWait is how long to wait for another program that changes files: on a
// chip the making of a key can take a minute.
const lockWait = 2 * time.Minute

// lockFiles keeps others from changing files of the directory, in this program
// and in every other, until unlock is called. Reading and signing take no lock,
// so that a tool may do that beside a service.
func (s *Store) lockFiles(ctx context.Context) (unlock func(), err error) {
	s.files.Lock()
	deadline := time.Now().Add(s.lockWait)
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		lock, err := statedir.Acquire(s.dir)
		if err == nil {
			return func() {
				_ = lock.Release() // closes a file that nothing was written to
				s.files.Unlock()
			}, nil
		}
		if !errors.Is(err, statedir.ErrLocked) {
			s.files.Unlock()
			return nil, err
		}
		if time.Now().After(deadline) || !pause(ctx.Done(), wait) {
			s.files.Unlock()
			return nil, cmp.Or(context.Cause(ctx), ErrLocked)
		}
	}
}

// absent returns attest.ErrKeyExists unless the key has no record.
func (s *Store) absent(name string) error {
	switch _, err := os.Lstat(s.path(name, recordSuffix)); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: %s", attest.ErrKeyExists, s.path(name, recordSuffix))
}

// readKey reads the files of a key and checks that they belong together. The
// TPM is not asked. The public key of a primary key is not in its files.
func (s *Store) readKey(name string) (*key, error) {
	s.files.Lock()
	defer s.files.Unlock()
	return s.readFiles(name)
}

// readFiles is readKey for who locked the files.
func (s *Store) readFiles(name string) (*key, error) {
	k, err := s.readRecord(name)
	if err != nil {
		return nil, err
	}
	if k.auth, err = s.readSecret(name, authSuffix); err != nil {
		return nil, lost(err)
	}
	if k.origin() == OriginEndorsement {
		k.label, err = s.readSecret(name, labelSuffix)
		return k, lost(err)
	}
	text, err := s.read(name, keySuffix)
	if err != nil {
		return nil, lost(err)
	}
	if err := k.setFile(text); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, s.path(name, keySuffix), err)
	}
	return k, nil
}

// lost says that a file that belongs to a key is damaged when it is not there.
func lost(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// setFile takes the key from its TSS2 file, if it is the one of the record.
func (k *key) setFile(text []byte) error {
	file, err := parseKeyFile(text)
	if err != nil {
		return err
	}
	o, err := newObject(0, file.public)
	if err != nil {
		return err
	}
	if !bytes.Equal(o.name.Buffer, k.record.Key) {
		return errors.New("it holds another key than its record says")
	}
	if k.public, err = signingKey(&o.public, k.attributes()); err != nil {
		return err
	}
	k.file = &file
	return nil
}
