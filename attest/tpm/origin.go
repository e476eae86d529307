package tpm

import (
	"errors"
	"fmt"
	"io/fs"

	"sbid/attest"
)

// An Origin says where a private key comes from, and what becomes of it when
// the TPM is cleared.
type Origin string

// The origins of keys.
const (
	// OriginEndorsement: made in the TPM, in the endorsement hierarchy. It
	// survives TPM2_Clear.
	OriginEndorsement Origin = "endorsement"
	// OriginStorage: made in the TPM, below the storage root key. TPM2_Clear
	// takes it away.
	OriginStorage Origin = "storage"
	// OriginImported: made elsewhere, where copies of it may be. It can prove
	// nothing about this TPM.
	OriginImported Origin = "imported"
)

// Origin returns where the key called name comes from, by its record. It fails
// as Signer does when that cannot be read; the TPM is not asked.
func (s *Store) Origin(name string) (Origin, error) {
	k, err := s.originOf(name)
	if err != nil {
		return "", fmt.Errorf("origin of key %s: %w", name, err)
	}
	return k.origin(), nil
}

func (s *Store) originOf(name string) (*key, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	s.files.Lock()
	defer s.files.Unlock()
	return s.readRecord(name)
}

// readRecord returns the key called name with its record and nothing else.
func (s *Store) readRecord(name string) (*key, error) {
	text, err := s.read(name, recordSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", attest.ErrNoKey, err)
	}
	if err != nil {
		return nil, err
	}
	k := &key{store: s, name: name}
	if k.record, err = parseRecord(text); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, s.path(name, recordSuffix), err)
	}
	return k, nil
}

// origin is the one of the record or else what the key's name implies.
func (k *key) origin() Origin {
	switch {
	case k.record.Origin != "":
		return k.record.Origin
	case k.name == FTMKey || k.name == attestationName:
		return OriginEndorsement
	}
	return OriginStorage
}
