package tpm

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"sbid/attest"
)

// attestationName is the name of the attestation key's files. No other key can
// have it: names do not begin with an underscore.
const attestationName = "_ak"

// An AttestationKey is what others need to know of the key that signs the
// TPM's statements: RSA-2048, restricted, RSASSA with SHA-256.
type AttestationKey struct {
	Public []byte // TPMT_PUBLIC
	Name   []byte // hash algorithm and SHA-256 of Public: 34 bytes
	// How the TPM made it, in its own words, signed by the key itself.
	CreateData        []byte // TPMS_CREATION_DATA
	CreateAttestation []byte // TPMS_ATTEST, of TPM2_CertifyCreation
	CreateSignature   []byte // TPMT_SIGNATURE
}

// Key returns the public key.
func (a AttestationKey) Key() (*rsa.PublicKey, error) {
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](a.Public)
	if err != nil {
		return nil, fmt.Errorf("attestation key: %w", err)
	}
	key, err := tpm2.Pub(*area)
	if err != nil {
		return nil, fmt.Errorf("attestation key: %w", err)
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("attestation key is a %T, expected RSA", key)
	}
	return public, nil
}

// AttestationKey returns the store's attestation key. It is made when it is
// first asked for, and later when its files were lost: another then, unless
// the label was left. A chip may take a minute to make it.
func (s *Store) AttestationKey(ctx context.Context) (AttestationKey, error) {
	k, err := s.attestationKey(ctx)
	if err != nil {
		return AttestationKey{}, fmt.Errorf("attestation key: %w", err)
	}
	made := k.record.Creation
	return AttestationKey{
		Public:            k.areaOf(),
		Name:              k.record.Key,
		CreateData:        made.Data,
		CreateAttestation: made.Attest,
		CreateSignature:   made.Signature,
	}, nil
}

// areaOf returns the public area of a key as TPMT_PUBLIC.
func (k *key) areaOf() []byte {
	return tpm2.Marshal(signingTemplate(k.attributes(), k.public.N.Bytes()))
}

// attestationKey opens the attestation key, and makes it where there is none
// that this TPM could use.
func (s *Store) attestationKey(ctx context.Context) (*key, error) {
	if k := s.attestation.Load(); k != nil {
		return k, nil
	}
	k, err := s.openAttestation(ctx)
	if unusable(err) {
		k, err = s.createAttestation(ctx)
	}
	if err != nil {
		return nil, err
	}
	s.attestation.Store(k)
	return k, nil
}

func unusable(err error) bool {
	return errors.Is(err, attest.ErrNoKey) || errors.Is(err, attest.ErrKeyLost)
}

func (s *Store) openAttestation(ctx context.Context) (*key, error) {
	k, err := s.readKey(attestationName)
	if err != nil {
		return nil, err
	}
	if k.record.Creation == nil {
		return nil, fmt.Errorf("%w: no account of its making in %s", ErrDamaged, s.path(attestationName, recordSuffix))
	}
	return s.openPrimary(ctx, k)
}

func (s *Store) createAttestation(ctx context.Context) (*key, error) {
	unlock, err := s.lockFiles(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	// Another program may have made it meanwhile.
	if k, err := s.readFiles(attestationName); err == nil {
		ready, err := do(ctx, s, func(t *task) (*key, error) { return k, t.readyPrimary(k) })
		if !unusable(err) {
			return ready, err
		}
	}
	return s.createPrimary(ctx, attestationName)
}

// registerAttestation completes the attestation key while it is loaded as o.
// What it can sign at first is how it was made.
func (t *task) registerAttestation(k *key, o *object) error {
	if err := t.identify(k, o); err != nil {
		return err
	}
	srk, err := t.root()
	if err != nil {
		return err
	}
	rsp, err := tpm2.CertifyCreation{
		SignHandle:     tpm2.AuthHandle{Handle: o.handle, Name: o.name, Auth: inSession(srk, k.auth)},
		ObjectHandle:   tpm2.NamedHandle{Handle: o.handle, Name: o.name},
		CreationHash:   o.made.CreationHash,
		InScheme:       tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
		CreationTicket: o.made.CreationTicket,
	}.Execute(t.tpm)
	if err != nil {
		return fmt.Errorf("certify the making of the key: %w", err)
	}
	statement, err := k.statement(rsp.CertifyInfo, rsp.Signature)
	if err != nil {
		return fmt.Errorf("try the new key: %w", err)
	}
	data, err := o.made.CreationData.Contents()
	if err != nil {
		return fmt.Errorf("creation data: %w", err)
	}
	k.record.Creation = &creation{Data: tpm2.Marshal(data), Attest: statement.Attest, Signature: statement.Signature}
	return t.unload(o)
}

// A Statement is something that the TPM says, signed by the attestation key.
type Statement struct {
	Attest    []byte // TPMS_ATTEST
	Signature []byte // TPMT_SIGNATURE over it
	Public    []byte // of what it is about: TPMT_PUBLIC or TPMS_NV_PUBLIC
}

// statement takes a statement as a command returned it, and checks that it is
// the key's: what others would refuse shall not leave here.
func (k *key) statement(info tpm2.TPM2BAttest, signature tpm2.TPMTSignature) (Statement, error) {
	s := Statement{Attest: info.Bytes(), Signature: tpm2.Marshal(signature)}
	rsassa, err := signature.Signature.RSASSA()
	if err != nil {
		return Statement{}, fmt.Errorf("signature: %w", err)
	}
	digest := sha256.Sum256(s.Attest)
	if err := rsa.VerifyPKCS1v15(k.public, crypto.SHA256, digest[:], rsassa.Sig.Buffer); err != nil {
		return Statement{}, fmt.Errorf("signature of the attestation key: %w", err)
	}
	return s, nil
}

// Certify returns the TPM's word that the key called name is in it, with the
// attributes of the public area. Qualifying, at most 32 bytes, comes back as
// the statement's extraData.
func (s *Store) Certify(ctx context.Context, name string, qualifying []byte) (Statement, error) {
	statement, err := s.certify(ctx, name, qualifying)
	if err != nil {
		return Statement{}, fmt.Errorf("certify key %s: %w", name, err)
	}
	return statement, nil
}

func (s *Store) certify(ctx context.Context, name string, qualifying []byte) (Statement, error) {
	if err := checkQualifying(qualifying); err != nil {
		return Statement{}, err
	}
	k, err := s.stored(ctx, name)
	if err != nil {
		return Statement{}, err
	}
	return stated(ctx, s, func(t *task, ak *key, by *object) (Statement, error) {
		srk, err := t.root()
		if err != nil {
			return Statement{}, err
		}
		o, err := t.open(k)
		if err != nil {
			return Statement{}, err
		}
		rsp, err := tpm2.Certify{
			ObjectHandle:   tpm2.AuthHandle{Handle: o.handle, Name: o.name, Auth: proof(srk, k.auth)},
			SignHandle:     tpm2.AuthHandle{Handle: by.handle, Name: by.name, Auth: proof(srk, ak.auth)},
			QualifyingData: tpm2.TPM2BData{Buffer: qualifying},
			InScheme:       tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
		}.Execute(t.tpm)
		if err != nil {
			return Statement{}, refused(err, k, ak)
		}
		statement, err := ak.statement(rsp.CertifyInfo, rsp.Signature)
		statement.Public = k.areaOf()
		return statement, err
	})
}

// checkQualifying keeps to what every TPM admits: the size of a name, two
// bytes more than of a SHA-256 digest, which is all that anybody needs.
func checkQualifying(qualifying []byte) error {
	if len(qualifying) > sha256.Size {
		return fmt.Errorf("qualifying data of %d bytes, expected at most %d", len(qualifying), sha256.Size)
	}
	return nil
}

// stated has the attestation key, loaded as by, sign something.
func stated[T any](ctx context.Context, s *Store, op func(t *task, ak *key, by *object) (T, error)) (T, error) {
	ak, err := s.attestationKey(ctx)
	if err != nil {
		var none T
		return none, fmt.Errorf("attestation key: %w", err)
	}
	value, err := do(ctx, s, func(t *task) (T, error) {
		by, err := t.open(ak)
		if err != nil {
			var none T
			return none, fmt.Errorf("attestation key: %w", err)
		}
		return op(t, ak, by)
	})
	if unusable(err) {
		// The TPM is another one now: the next time it is made there.
		s.attestation.CompareAndSwap(ak, nil)
	}
	return value, err
}
