package tpm

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// The FTM key and the attestation key are primaries of the endorsement
// hierarchy: the TPM makes them again from its endorsement seed and a secret
// label, and so they survive TPM2_Clear.

// FTMKey is the name of the key of the foundational trust module.
const FTMKey = "ftm"

// Where primaries are kept ready, because making an RSA key can take a chip a
// minute. The range is in the block of the endorsement hierarchy. What others
// keep there stays.
const (
	persistentFirst = 0x81010020
	persistentCount = 16
)

// openPrimary returns a primary key: its persistent copy, else made again. The
// public area is missing when k knew its copy before.
func (t *task) openPrimary(k *key) (*object, error) {
	srk, err := t.bindPrimary(k)
	if err != nil {
		return nil, err
	}
	name := tpm2.TPM2BName{Buffer: k.record.Key}
	if k.persistent != 0 {
		return &object{handle: k.persistent, name: name}, nil
	}
	o, err := t.find(name)
	if err != nil {
		return nil, err
	}
	if o != nil {
		k.persistent = o.handle
		return o, nil
	}
	if o, err = t.makePrimary(srk, k); err != nil {
		return nil, err
	}
	if !sameName(o.name, name) {
		return nil, fmt.Errorf("%w: its label makes another key", ErrDamaged)
	}
	return o, nil
}

// bindPrimary returns the SRK, having made sure that this is the TPM of the
// key. After TPM2_Clear there is another SRK; the key and the endorsement key
// are still the same, and the record follows.
func (t *task) bindPrimary(k *key) (*object, error) {
	srk, err := t.root()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(srk.name.Buffer, k.record.SRK) {
		if err := t.sameTPM(k); err != nil {
			return nil, err
		}
		k.record.SRK = srk.name.Buffer
		k.persistent = 0
	}
	return srk, nil
}

// makePrimary makes a primary key from its label. That crosses the bus in
// clear, as a session encrypts the first parameter only: one more reason for
// the persistent copy.
func (t *task) makePrimary(srk *object, k *key) (*object, error) {
	return t.primary(tpm2.TPMRHEndorsement, inSession(srk, nil), signingTemplate(k.attributes(), k.label), k.auth)
}

// createPrimary makes a primary key for the first time, or again on the TPM
// that made it once, when its label was restored.
func (t *task) createPrimary(k *key) error {
	srk, err := t.root()
	if err != nil {
		return err
	}
	o, err := t.makePrimary(srk, k)
	if err != nil {
		return err
	}
	// A copy of an earlier time has another authorisation value.
	if err := t.evict(o.name); err != nil {
		return err
	}
	if k.persistent, err = t.persist(o); err != nil {
		return err
	}
	if k.name == attestationName {
		return t.registerAttestation(k, o)
	}
	if err := t.unload(o); err != nil {
		return err
	}
	return t.register(k, o)
}

// readyPrimary completes a key that was read from its files, and sees to it
// that there is a persistent copy.
func (t *task) readyPrimary(k *key) error {
	k.persistent = 0
	o, err := t.openPrimary(k)
	if err != nil {
		return err
	}
	if k.persistent == 0 {
		if k.persistent, err = t.persist(o); err != nil {
			return err
		}
	}
	if k.public, err = signingKey(&o.public, k.attributes()); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// find returns the persistent object with a name, nil if there is none.
func (t *task) find(name tpm2.TPM2BName) (*object, error) {
	handles, err := t.persistentHandles()
	if err != nil {
		return nil, err
	}
	for _, handle := range handles {
		rsp, err := tpm2.ReadPublic{ObjectHandle: handle}.Execute(t.tpm)
		if err != nil {
			return nil, err
		}
		if o, err := newObject(handle, rsp.OutPublic); err == nil && sameName(o.name, name) {
			return o, nil
		}
	}
	return nil, nil
}

func (t *task) persistentHandles() ([]tpm2.TPMHandle, error) {
	handles, err := t.handles(persistentFirst, persistentCount)
	for i, handle := range handles {
		if handle >= persistentFirst+persistentCount {
			return handles[:i], err
		}
	}
	return handles, err
}

// persist keeps an object at the first free handle. Where the owner does not
// let us, or there is no room, it returns 0: the key works without, slower.
func (t *task) persist(o *object) (tpm2.TPMHandle, error) {
	used, err := t.persistentHandles()
	if err != nil {
		return 0, err
	}
	for handle := tpm2.TPMHandle(persistentFirst); handle < persistentFirst+persistentCount; handle++ {
		if len(used) > 0 && used[0] == handle { // they come in ascending order
			used = used[1:]
			continue
		}
		err := t.evictControl(o, handle)
		var refused tpm2.TPMRC
		switch {
		case err == nil:
			return handle, nil
		case errors.Is(err, tpm2.TPMRCNVDefined): // somebody was faster
		case isAny(err, memoryCodes):
			return 0, err
		case errors.As(err, &refused):
			return 0, nil
		default:
			return 0, err
		}
	}
	return 0, nil
}

// evict removes the persistent copy of a key, if there is one.
func (t *task) evict(name tpm2.TPM2BName) error {
	o, err := t.find(name)
	if err != nil || o == nil {
		return err
	}
	return hierarchyError(t.evictControl(o, o.handle))
}

// evictControl makes an object persistent at a handle, or removes it if it is
// the one that is there.
func (t *task) evictControl(o *object, handle tpm2.TPMHandle) error {
	_, err := tpm2.EvictControl{
		Auth:             tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)},
		ObjectHandle:     tpm2.NamedHandle{Handle: o.handle, Name: o.name},
		PersistentHandle: handle,
	}.Execute(t.tpm)
	return err
}
