package tpm

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Where the Trusted Computing Group has a TPM keep things: its EK Credential
// Profile 2.x, section 2.2, and its Registry of Reserved TPM 2.0 Handles.
const (
	ekHandle           = 0x81010001 // the RSA-2048 endorsement key, where it is kept
	ekCertificate      = 0x01C00002 // its certificate
	ekChainFirst       = 0x01C00100 // the authorities' certificates, one after the other,
	ekChainLast        = 0x01C001FF // wherever one index ends
	maxEKCertificates  = 16
	maxNVBytes         = 1 << 16 // of all of them together
	smallestNVTransfer = 512     // bytes at once that any TPM reads
)

// An Endorsement is how a manufacturer tells one of its TPMs from all others.
type Endorsement struct {
	// Public is the RSA-2048 endorsement key, a SubjectPublicKeyInfo in DER.
	Public []byte
	// Certificates are what the TPM carries: the endorsement key's first, those
	// of authorities after it, in the TPM's order. Not every TPM has any.
	Certificates []*x509.Certificate
}

// Endorsement returns the endorsement key and its certificates. Nothing is
// checked but that they can be read: whether key and certificate belong
// together, and who issued it, is for the one who asks.
func (s *Store) Endorsement(ctx context.Context) (Endorsement, error) {
	type found struct {
		public              tpm2.TPMTPublic
		certificate, others []byte
	}
	f, err := do(ctx, s, func(t *task) (f found, err error) {
		ek, err := t.endorsementKey()
		if err != nil {
			return f, err
		}
		f.public = ek.public
		if f.certificate, err = t.readNV(ekCertificate); err != nil || f.certificate == nil {
			return f, err
		}
		f.others, err = t.readChain()
		return f, err
	})
	if err != nil {
		return Endorsement{}, fmt.Errorf("read endorsement: %w", err)
	}
	key, err := tpm2.Pub(f.public)
	if err != nil {
		return Endorsement{}, fmt.Errorf("read endorsement key: %w", err)
	}
	e := Endorsement{}
	if e.Public, err = x509.MarshalPKIXPublicKey(key); err != nil {
		return Endorsement{}, fmt.Errorf("read endorsement key: %w", err)
	}
	for _, part := range [][]byte{f.certificate, f.others} {
		certificates, err := parseCertificates(part)
		if err != nil {
			return Endorsement{}, fmt.Errorf("read certificate of the endorsement key: %w", err)
		}
		e.Certificates = append(e.Certificates, certificates...)
	}
	return e, nil
}

// endorsementKey returns the RSA-2048 endorsement key: the copy that
// manufacturers and systems keep, else made from the template.
func (t *task) endorsementKey() (*object, error) {
	rsp, err := tpm2.ReadPublic{ObjectHandle: tpm2.TPMHandle(ekHandle)}.Execute(t.tpm)
	if err == nil {
		if ek, err := newObject(ekHandle, rsp.OutPublic); err == nil && isEndorsementKey(ek.public) {
			return ek, nil
		}
	} else if !isAny(err, staleCodes) {
		return nil, err
	}
	return t.primary(tpm2.TPMRHEndorsement, tpm2.PasswordAuth(nil), tpm2.RSAEKTemplate, nil)
}

// isEndorsementKey says whether a public area is one of the template's making.
func isEndorsementKey(public tpm2.TPMTPublic) bool {
	public.Unique = tpm2.RSAEKTemplate.Unique
	return bytes.Equal(tpm2.Marshal(public), tpm2.Marshal(tpm2.RSAEKTemplate))
}

// readChain returns what is in the indices of the chain.
func (t *task) readChain() ([]byte, error) {
	indices, err := t.handles(ekChainFirst, ekChainLast-ekChainFirst+1)
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, index := range indices {
		if index > ekChainLast {
			break
		}
		data, err := t.readNV(index)
		if err != nil {
			return nil, err
		}
		if all = append(all, data...); len(all) > maxNVBytes {
			return nil, fmt.Errorf("more than %d bytes of certificates", maxNVBytes)
		}
	}
	return all, nil
}

// readNV returns the contents of an index that everybody may read, nil if it
// was never defined or written.
func (t *task) readNV(index tpm2.TPMHandle) ([]byte, error) {
	rsp, err := tpm2.NVReadPublic{NVIndex: index}.Execute(t.tpm)
	if isAny(err, staleCodes) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	public, err := rsp.NVPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("index %#x: %w", index, err)
	}
	if !public.Attributes.Written {
		return nil, nil
	}
	reader := tpm2.AuthHandle{Handle: index, Name: rsp.NVName, Auth: tpm2.PasswordAuth(nil)}
	if !public.Attributes.AuthRead {
		reader = tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	}
	most, err := t.property(tpm2.TPMPTNVBufferMax)
	if err != nil {
		return nil, err
	}
	most = max(most, smallestNVTransfer)
	var data []byte
	for size := uint32(public.DataSize); uint32(len(data)) < size; {
		read, err := tpm2.NVRead{
			AuthHandle: reader,
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: rsp.NVName},
			Size:       uint16(min(most, size-uint32(len(data)))),
			Offset:     uint16(len(data)),
		}.Execute(t.tpm)
		if err != nil {
			return nil, fmt.Errorf("index %#x: %w", index, err)
		}
		if len(read.Data.Buffer) == 0 {
			return nil, fmt.Errorf("index %#x: the TPM stops after %d of %d bytes", index, len(data), size)
		}
		data = append(data, read.Data.Buffer...)
	}
	return data, nil
}

// parseCertificates reads certificates in DER that follow each other, and
// leaves out what an index is filled up with after them.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for len(bytes.Trim(data, "\x00\xFF")) > 0 {
		if len(certificates) == maxEKCertificates {
			return nil, fmt.Errorf("more than %d certificates", maxEKCertificates)
		}
		var der asn1.RawValue
		rest, err := asn1.Unmarshal(data, &der)
		if err != nil {
			return nil, err
		}
		certificate, err := x509.ParseCertificate(der.FullBytes)
		if err != nil {
			return nil, err
		}
		certificates, data = append(certificates, certificate), rest
	}
	return certificates, nil
}

// Activate proves that the attestation key is in the TPM of the endorsement
// key: it opens, by TPM2_ActivateCredential, what somebody encrypted for both.
// Credential and secret are the contents of TPM2B_ID_OBJECT and of
// TPM2B_ENCRYPTED_SECRET, without the two bytes of size. ErrCredential is for
// what was made for other keys.
func (s *Store) Activate(ctx context.Context, credential, secret []byte) ([]byte, error) {
	opened, err := stated(ctx, s, func(t *task, ak *key, by *object) ([]byte, error) {
		srk, err := t.root()
		if err != nil {
			return nil, err
		}
		ek, err := t.endorsementKey()
		if err != nil {
			return nil, err
		}
		rsp, err := tpm2.ActivateCredential{
			// What comes back is for us alone.
			ActivateHandle: tpm2.AuthHandle{Handle: by.handle, Name: by.name, Auth: proof(srk, ak.auth, tpm2.AESEncryption(aesBits, tpm2.EncryptOut))},
			KeyHandle:      tpm2.AuthHandle{Handle: ek.handle, Name: ek.name, Auth: tpm2.Policy(tpm2.TPMAlgSHA256, nonceSize, endorsementPolicy)},
			CredentialBlob: tpm2.TPM2BIDObject{Buffer: credential},
			Secret:         tpm2.TPM2BEncryptedSecret{Buffer: secret},
		}.Execute(t.tpm)
		if refused, ok := errors.AsType[tpm2.TPMFmt1Error](err); ok {
			if parameter, _ := refused.Parameter(); parameter {
				return nil, fmt.Errorf("%w: %w", ErrCredential, err)
			}
		}
		if err != nil {
			return nil, refused(err, ak)
		}
		return rsp.CertInfo.Buffer, nil
	})
	if err != nil {
		return nil, fmt.Errorf("activate credential: %w", err)
	}
	return opened, nil
}

// endorsementPolicy fulfils the policy of the endorsement key's template:
// TPM2_PolicySecret with the (empty) password of the hierarchy.
func endorsementPolicy(tpm transport.TPM, session tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
	_, err := tpm2.PolicySecret{
		AuthHandle:    tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		PolicySession: session,
		NonceTPM:      nonce,
	}.Execute(tpm)
	return hierarchyError(err)
}
