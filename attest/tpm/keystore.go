package tpm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"sbid/attest"
	"sbid/attest/internal/statedir"

	"github.com/google/go-tpm/tpm2"
)

// Signer returns the key called name after loading it into the TPM for a try.
// It fails with attest.ErrNoKey if the key was never made, and with
// ErrDamaged, ErrCleared or ErrOtherTPM if it was but cannot be used any more.
// Its Sign takes SHA-256 digests for PKCS #1 v1.5.
func (s *Store) Signer(ctx context.Context, name string) (crypto.Signer, error) {
	k, err := s.signer(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open key %s: %w", name, err)
	}
	return k, nil
}

func (s *Store) signer(ctx context.Context, name string) (*key, error) {
	k, err := s.stored(ctx, name)
	if err != nil || k.file == nil {
		return k, err
	}
	return do(ctx, s, func(t *task) (*key, error) {
		_, err := t.open(k)
		return k, err
	})
}

// stored returns a key with its public part: of a child of the SRK that is in
// its files, of a primary in the TPM alone.
func (s *Store) stored(ctx context.Context, name string) (*key, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	k, err := s.readKey(name)
	if err != nil || k.file != nil {
		return k, err
	}
	return s.openPrimary(ctx, k)
}

// openPrimary makes a primary key ready, and its record anew if the TPM was
// cleared.
func (s *Store) openPrimary(ctx context.Context, k *key) (*key, error) {
	before := k.record.SRK
	after, err := do(ctx, s, func(t *task) (hexBytes, error) {
		err := t.readyPrimary(k)
		return k.record.SRK, err
	})
	if err != nil || bytes.Equal(before, after) {
		return k, err
	}
	text, err := k.record.marshal()
	if err != nil {
		return nil, err
	}
	unlock, err := s.lockFiles(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return k, s.write(k.name, recordSuffix, text)
}

// FTM returns the FTM key, and makes it if it was never made.
func (s *Store) FTM(ctx context.Context) (crypto.Signer, error) {
	signer, err := s.Signer(ctx, FTMKey)
	if !errors.Is(err, attest.ErrNoKey) {
		return signer, err
	}
	signer, err = s.Create(ctx, FTMKey)
	if errors.Is(err, attest.ErrKeyExists) {
		// Another program was faster.
		return s.Signer(ctx, FTMKey)
	}
	return signer, err
}

// Create makes an RSA-2048 key in the TPM, tries it, and writes its files. A
// chip may take a minute. Where there is a label already, as after restoring
// it from a copy, FTMKey becomes the key of that label. Where there is none and
// the endorsement hierarchy is closed to us, FTMKey becomes a child of the
// storage root key, which TPM2_Clear takes away: Origin tells.
func (s *Store) Create(ctx context.Context, name string) (crypto.Signer, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	create := s.createDevice
	if name == FTMKey {
		create = s.createFTM
	}
	k, err := create(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("make key %s: %w", name, err)
	}
	return k, nil
}

func (s *Store) createDevice(ctx context.Context, name string) (*key, error) {
	if err := s.absent(name); err != nil {
		return nil, err
	}
	auth, err := newAuth()
	if err != nil {
		return nil, err
	}
	k, err := do(ctx, s, func(t *task) (*key, error) {
		k := &key{store: s, name: name, auth: auth}
		return k, t.create(k)
	})
	if err != nil {
		return nil, err
	}
	return k, s.add(ctx, k)
}

// add writes the files of a new child of the SRK, unless another key of its
// name came first meanwhile.
func (s *Store) add(ctx context.Context, k *key) error {
	unlock, err := s.lockFiles(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.absent(k.name); err != nil {
		return err
	}
	return s.commit(k)
}

func (s *Store) createFTM(ctx context.Context, name string) (*key, error) {
	unlock, err := s.lockFiles(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.absent(name); err != nil {
		return nil, err
	}
	_, err = os.Lstat(s.path(name, labelSuffix))
	restored := err == nil
	k, err := s.createPrimary(ctx, name)
	if restored || !errors.Is(err, ErrHierarchyAuth) && !errors.Is(err, ErrDisabled) {
		return k, err
	}
	auth, err := newAuth()
	if err != nil {
		return nil, err
	}
	k, err = do(ctx, s, func(t *task) (*key, error) {
		k := &key{store: s, name: name, auth: auth, record: record{Origin: OriginStorage}}
		return k, t.create(k)
	})
	if err != nil {
		return nil, err
	}
	return k, errors.Join(s.commit(k), statedir.Remove(s.path(name, labelSuffix)))
}

// createPrimary makes a primary key and writes its files. The files are locked
// from the label to the record: two at once must not give the persistent key
// the one's authorisation value and the file the other's.
func (s *Store) createPrimary(ctx context.Context, name string) (*key, error) {
	label, err := s.label(name)
	if err != nil {
		return nil, err
	}
	auth, err := newAuth()
	if err != nil {
		return nil, err
	}
	k, err := do(ctx, s, func(t *task) (*key, error) {
		k := &key{store: s, name: name, auth: auth, label: label}
		return k, t.createPrimary(k)
	})
	if err != nil {
		return nil, err
	}
	return k, s.commit(k)
}

// label reads the label of a primary key, or draws one and writes it. A
// damaged one is an error for the FTM key, which cannot be made without.
func (s *Store) label(name string) ([]byte, error) {
	label, err := s.readSecret(name, labelSuffix)
	replace := errors.Is(err, fs.ErrNotExist) || name == attestationName && errors.Is(err, ErrDamaged)
	if !replace {
		return label, err
	}
	label = make([]byte, authSize)
	if _, err := rand.Read(label); err != nil {
		return nil, fmt.Errorf("draw label: %w", err)
	}
	return label, s.write(name, labelSuffix, label)
}

// commit writes the files of a new key, but for its label.
func (s *Store) commit(k *key) error {
	text, err := k.record.marshal()
	if err != nil {
		return err
	}
	if k.file != nil {
		file, err := k.file.marshal()
		if err != nil {
			return err
		}
		if err := s.write(k.name, keySuffix, file); err != nil {
			return err
		}
	}
	if err := s.write(k.name, authSuffix, k.auth); err != nil {
		return err
	}
	return s.write(k.name, recordSuffix, text)
}

// Delete removes the files of the key called name, and of the FTM key what the
// TPM keeps of it. Signers that were handed out go on working.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := s.remove(ctx, name); err != nil {
		return fmt.Errorf("delete key %s: %w", name, err)
	}
	return nil
}

func (s *Store) remove(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	unlock, err := s.lockFiles(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if name == FTMKey {
		if err := s.evict(ctx, name); err != nil {
			return err
		}
	}
	// The record first: without it the others are no key.
	for _, suffix := range []string{recordSuffix, keySuffix, labelSuffix, authSuffix} {
		if err := statedir.Remove(s.path(name, suffix)); err != nil {
			return err
		}
	}
	return nil
}

// evict removes the persistent copy of the key that a record names. A record
// that cannot be read names none.
func (s *Store) evict(ctx context.Context, name string) error {
	text, err := s.read(name, recordSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r, err := parseRecord(text)
	if err != nil {
		return nil //nolint:nilerr // a damaged record must not keep the key from being deleted
	}
	_, err = do(ctx, s, func(t *task) (struct{}, error) {
		return struct{}{}, t.evict(tpm2.TPM2BName{Buffer: r.Key})
	})
	return err
}

// List returns the names of the keys that have a record, whatever state they
// are in.
func (s *Store) List(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), recordSuffix)
		if ok && attest.ValidName(name) && e.Type().IsRegular() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
