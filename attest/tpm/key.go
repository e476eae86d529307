package tpm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// signLimit is how long a signature may take in all, waiting for its turn
// included: crypto.Signer has no context.
const signLimit = 30 * time.Second

// A key is a crypto.Signer whose private key is in the TPM. It keeps what it
// read from its files, so that it goes on working when they are deleted. Only
// the holder of the store's turn may look at record and persistent.
type key struct {
	store  *Store
	name   string
	auth   []byte
	record record
	public *rsa.PublicKey

	file  *keyFile // of a child of the SRK
	label []byte   // of a primary key

	persistent tpm2.TPMHandle // of a primary key, 0 when it has to be made again
}

var _ crypto.Signer = (*key)(nil)

// Format keeps the authorisation value and the label out of logs.
func (k *key) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "TPM key %s", k.name) }

// attributes are those that the key has in the TPM.
func (k *key) attributes() tpm2.TPMAObject {
	switch {
	case k.name == attestationName:
		return attestationAttributes
	case k.record.Origin == OriginImported:
		return importedAttributes
	}
	return signingAttributes
}

func (k *key) Public() crypto.PublicKey { return k.public }

// Sign signs a SHA-256 digest by PKCS #1 v1.5, the only thing that the key can
// do.
func (k *key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, pss := opts.(*rsa.PSSOptions); pss || opts == nil || opts.HashFunc() != crypto.SHA256 {
		return nil, fmt.Errorf("sign with TPM key %s: it signs by PKCS #1 v1.5 with SHA-256 only", k.name)
	}
	if len(digest) != crypto.SHA256.Size() {
		return nil, fmt.Errorf("sign with TPM key %s: digest of %d bytes, expected %d", k.name, len(digest), crypto.SHA256.Size())
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), k.store.signLimit, ErrBusy)
	defer cancel()
	signature, err := do(ctx, k.store, func(t *task) ([]byte, error) { return t.sign(k, digest) })
	if err != nil {
		return nil, fmt.Errorf("sign with TPM key %s: %w", k.name, err)
	}
	return signature, nil
}

// sign uses a key whose record says which SRK to expect: nothing secret goes
// to another.
func (t *task) sign(k *key, digest []byte) ([]byte, error) {
	o, err := t.open(k)
	if err != nil {
		return nil, err
	}
	srk, err := t.root()
	if err != nil {
		return nil, err
	}
	rsp, err := tpm2.Sign{
		KeyHandle:  tpm2.AuthHandle{Handle: o.handle, Name: o.name, Auth: inSession(srk, k.auth)},
		Digest:     tpm2.TPM2BDigest{Buffer: digest},
		Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
	}.Execute(t.tpm)
	if err != nil {
		return nil, refused(err, k)
	}
	signature, err := rsp.Signature.Signature.RSASSA()
	if err != nil {
		return nil, err
	}
	return signature.Sig.Buffer, nil
}

// refused explains the failure of a command that used keys. Should the
// persistent copy of one be gone, or another object in its place, it is looked
// for again.
func refused(err error, keys ...*key) error {
	for _, k := range keys {
		k.persistent = 0
	}
	if isAny(err, []tpm2.TPMRC{tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail}) {
		return fmt.Errorf("%w: %w", ErrAuth, err)
	}
	return err
}

// open returns the key as an object of the TPM, or says why it cannot be had
// any more.
func (t *task) open(k *key) (*object, error) {
	if k.file == nil {
		return t.openPrimary(k)
	}
	srk, err := t.root()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(srk.name.Buffer, k.record.SRK) {
		// Lost it is, one way or the other.
		if err := t.sameTPM(k); errors.Is(err, ErrHierarchyAuth) {
			return nil, fmt.Errorf("%w (unless this is another TPM: %w)", ErrCleared, err)
		} else if err != nil {
			return nil, err
		}
		return nil, ErrCleared
	}
	return t.load(srk, k)
}

// sameTPM returns ErrOtherTPM unless the key was made by this TPM, cleared
// since or not, and ErrHierarchyAuth if nobody can tell.
func (t *task) sameTPM(k *key) error {
	ek, err := t.endorsement()
	if err != nil {
		return fmt.Errorf("find out which TPM this is: %w", err)
	}
	if ek == nil || len(k.record.EK) == 0 {
		return fmt.Errorf("find out which TPM this is: %w", ErrHierarchyAuth)
	}
	if !bytes.Equal(ek, k.record.EK) {
		return ErrOtherTPM
	}
	return nil
}

// load loads a device key below the SRK that it was made under.
func (t *task) load(srk *object, k *key) (*object, error) {
	rsp, err := tpm2.Load{
		// Nothing secret is sent: the private area is encrypted.
		ParentHandle: tpm2.AuthHandle{Handle: srk.handle, Name: srk.name, Auth: tpm2.PasswordAuth(nil)},
		InPrivate:    k.file.private,
		InPublic:     k.file.public,
	}.Execute(t.tpm)
	if refused, ok := errors.AsType[tpm2.TPMFmt1Error](err); ok {
		if parameter, _ := refused.Parameter(); parameter {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	if err != nil {
		return nil, err
	}
	t.loaded = append(t.loaded, rsp.ObjectHandle)
	return newObject(rsp.ObjectHandle, k.file.public)
}

// create makes a device key and signs with it once: a TPM also makes keys that
// it will not use.
func (t *task) create(k *key) error {
	srk, err := t.root()
	if err != nil {
		return err
	}
	rsp, err := tpm2.Create{
		ParentHandle: tpm2.AuthHandle{Handle: srk.handle, Name: srk.name, Auth: inSession(srk, nil)},
		InSensitive:  sensitive(k.auth),
		InPublic:     tpm2.New2B(signingTemplate(k.attributes(), nil)),
	}.Execute(t.tpm)
	if err != nil {
		return err
	}
	return t.adopt(k, rsp.OutPublic, rsp.OutPrivate)
}

// adopt completes a key that is a child of the SRK now.
func (t *task) adopt(k *key, public tpm2.TPM2BPublic, private tpm2.TPM2BPrivate) error {
	k.file = &keyFile{public, private}
	made, err := newObject(0, public)
	if err != nil {
		return err
	}
	return t.register(k, made)
}

// register completes a key that was just made: its public key, its record, and
// the proof that it signs.
func (t *task) register(k *key, made *object) error {
	if err := t.identify(k, made); err != nil {
		return err
	}
	digest := make([]byte, crypto.SHA256.Size())
	signature, err := t.sign(k, digest)
	if err != nil {
		return fmt.Errorf("try the new key: %w", err)
	}
	if err := rsa.VerifyPKCS1v15(k.public, crypto.SHA256, digest, signature); err != nil {
		return fmt.Errorf("try the new key: %w", err)
	}
	return nil
}

// identify takes a new key's public part over and records which TPM it is in.
func (t *task) identify(k *key, made *object) (err error) {
	if k.public, err = signingKey(&made.public, k.attributes()); err != nil {
		return fmt.Errorf("the TPM made another key than asked for: %w", err)
	}
	ek, err := t.endorsement()
	if err != nil {
		return err
	}
	srk, err := t.root()
	if err != nil {
		return err
	}
	k.record.Key, k.record.SRK, k.record.EK = made.name.Buffer, srk.name.Buffer, ek
	k.record.Created = time.Now().UTC().Truncate(time.Second)
	return nil
}
