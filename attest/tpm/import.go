package tpm

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"sbid/attest"
)

// publicExponent is the one that every TPM has, written as 0 in a template.
const publicExponent = 65537

// Import puts a key that was made elsewhere, such as one of a PKCS #12 file,
// into the TPM under a name, tries it, and writes its files. It must be
// RSA-2048 of two primes with the exponent 65537: attest.ErrWeakKey is for any
// other. The key signs as others do, but copies of it may be anywhere, and the
// TPM would give it to another: its origin is OriginImported for ever. FTMKey
// cannot be imported.
func (s *Store) Import(ctx context.Context, name string, key *rsa.PrivateKey) (crypto.Signer, error) {
	k, err := s.importKey(ctx, name, key)
	if err != nil {
		return nil, fmt.Errorf("import key %s: %w", name, err)
	}
	return k, nil
}

func (s *Store) importKey(ctx context.Context, name string, private *rsa.PrivateKey) (*key, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if name == FTMKey {
		return nil, errors.New("the FTM key has to be made in the TPM")
	}
	if err := importable(private); err != nil {
		return nil, err
	}
	if err := s.absent(name); err != nil {
		return nil, err
	}
	auth, err := newAuth()
	if err != nil {
		return nil, err
	}
	k, err := do(ctx, s, func(t *task) (*key, error) {
		k := &key{store: s, name: name, auth: auth, record: record{Origin: OriginImported}}
		return k, t.importKey(k, private)
	})
	if err != nil {
		return nil, err
	}
	return k, s.add(ctx, k)
}

// importable says why a key cannot be had in a TPM.
func importable(private *rsa.PrivateKey) error {
	switch {
	case private == nil || private.N == nil:
		return errors.New("no key given")
	case private.N.BitLen() != keyBits || private.E != publicExponent || len(private.Primes) != 2:
		return fmt.Errorf("%w: RSA-%d with exponent %d and %d primes, a TPM takes RSA-%d with exponent %d and 2 primes",
			attest.ErrWeakKey, private.N.BitLen(), private.E, len(private.Primes), keyBits, publicExponent)
	}
	if err := private.Validate(); err != nil {
		return fmt.Errorf("private and public part: %w", err)
	}
	return nil
}

// importKey encrypts the key for the SRK, so that it does not cross the bus in
// clear, and has the TPM encrypt it again as its own.
func (t *task) importKey(k *key, private *rsa.PrivateKey) error {
	srk, err := t.root()
	if err != nil {
		return err
	}
	public := signingTemplate(k.attributes(), private.N.Bytes())
	name, err := tpm2.ObjectName(&public)
	if err != nil {
		return err
	}
	parent, err := tpm2.ImportEncapsulationKey(&srk.public)
	if err != nil {
		return fmt.Errorf("storage root key: %w", err)
	}
	duplicate, seed, err := tpm2.CreateDuplicate(rand.Reader, parent, name.Buffer, tpm2.Marshal(tpm2.TPMTSensitive{
		SensitiveType: tpm2.TPMAlgRSA,
		AuthValue:     tpm2.TPM2BAuth{Buffer: k.auth},
		Sensitive:     tpm2.NewTPMUSensitiveComposite(tpm2.TPMAlgRSA, &tpm2.TPM2BPrivateKeyRSA{Buffer: private.Primes[0].Bytes()}),
	}))
	if err != nil {
		return fmt.Errorf("encrypt it for the storage root key: %w", err)
	}
	rsp, err := tpm2.Import{
		ParentHandle: tpm2.AuthHandle{Handle: srk.handle, Name: srk.name, Auth: proof(srk, nil)},
		ObjectPublic: tpm2.New2B(public),
		Duplicate:    tpm2.TPM2BPrivate{Buffer: duplicate},
		InSymSeed:    tpm2.TPM2BEncryptedSecret{Buffer: seed},
		Symmetric:    tpm2.TPMTSymDef{Algorithm: tpm2.TPMAlgNull},
	}.Execute(t.tpm)
	if err != nil {
		return err
	}
	return t.adopt(k, tpm2.New2B(public), rsp.OutPrivate)
}
