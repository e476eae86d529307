package evidence

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"sbid/attest/tpm"
)

// A part that is a statement is a sequence of sized buffers, as TPM2B structures are: two
// bytes of size and the contents: TPMS_ATTEST, TPMT_SIGNATURE and
// what the statement is about, TPMT_PUBLIC, TPMS_NV_PUBLIC, or the values of
// the registers quoted, in ascending order of their numbers.

func marshalStatement(s tpm.Statement, about []byte) []byte {
	var b []byte
	for _, part := range [][]byte{s.Attest, s.Signature, about} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(part)))
		b = append(b, part...)
	}
	return b
}

// A statement is the TPM's word once believe has returned nil.
type statement struct {
	raw       []byte // TPMS_ATTEST
	signature []byte // by RSASSA with SHA-256
	about     []byte

	attest *tpm2.TPMSAttest
}

// rsassa begins a TPMT_SIGNATURE by RSASSA with SHA-256 and an RSA-2048 key:
// TPM_ALG_RSASSA, TPM_ALG_SHA256, and the 256 bytes that follow.
var rsassa = []byte{0x00, 0x14, 0x00, 0x0B, 0x01, 0x00}

func parseStatement(data []byte) (*statement, error) {
	var parts [3][]byte
	for i := range parts {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return nil, errors.New("statement is cut short")
		}
		size := int(binary.BigEndian.Uint16(data))
		parts[i], data = data[2:2+size], data[2+size:]
	}
	if len(data) > 0 {
		return nil, fmt.Errorf("statement has %d bytes too many", len(data))
	}
	signature, ok := bytes.CutPrefix(parts[1], rsassa)
	if !ok || len(signature) != 256 {
		return nil, errors.New("signature is not by RSASSA with SHA-256 and RSA-2048")
	}
	return &statement{raw: parts[0], signature: signature, about: parts[2]}, nil
}

// signedBy checks that the attestation key signed the statement.
func (s *statement) signedBy(ak *rsa.PublicKey) error {
	digest := sha256.Sum256(s.raw)
	if err := rsa.VerifyPKCS1v15(ak, crypto.SHA256, digest[:], s.signature); err != nil {
		return fmt.Errorf("not signed by the attestation key: %w", err)
	}
	return nil
}

// believe checks that the statement, which is signed, is a TPM's, and answers
// this question.
func (s *statement) believe(signer, extraData []byte) (err error) {
	if s.attest, err = exactly[tpm2.TPMSAttest](s.raw); err != nil {
		return fmt.Errorf("TPMS_ATTEST: %w", err)
	}
	switch {
	case s.attest.Magic != tpm2.TPMGeneratedValue:
		return errors.New("not made by a TPM")
	case !bytes.Equal(s.attest.ExtraData.Buffer, extraData):
		return errors.New("made for another question, or for other claims")
	case !bytes.Equal(s.attest.QualifiedSigner.Buffer, signer):
		return errors.New("the attestation key is not a primary of the endorsement hierarchy")
	}
	return nil
}

// exactly parses a structure of the TPM, and nothing after it.
func exactly[T tpm2.Marshallable, P interface {
	*T
	tpm2.Unmarshallable
}](data []byte) (*T, error) {
	v, err := tpm2.Unmarshal[T, P](data)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(tpm2.Marshal(*v), data) {
		return nil, errors.New("not in the form that a TPM writes")
	}
	return v, nil
}

// keyOf returns the RSA-2048 key of a public area that signs by RSASSA with
// SHA-256.
func keyOf(public *tpm2.TPMTPublic) (*rsa.PublicKey, error) {
	if public.Type != tpm2.TPMAlgRSA || public.NameAlg != tpm2.TPMAlgSHA256 {
		return nil, fmt.Errorf("key of type %#x with names by %#x, expected RSA and SHA-256", uint16(public.Type), uint16(public.NameAlg))
	}
	parameters, err := public.Parameters.RSADetail()
	if err != nil {
		return nil, err
	}
	unique, err := public.Unique.RSA()
	if err != nil {
		return nil, err
	}
	scheme, err := parameters.Scheme.Details.RSASSA()
	if err != nil || parameters.Scheme.Scheme != tpm2.TPMAlgRSASSA || scheme.HashAlg != tpm2.TPMAlgSHA256 {
		return nil, errors.New("key does not sign by RSASSA with SHA-256 alone")
	}
	key, err := tpm2.RSAPub(parameters, unique)
	if err != nil {
		return nil, err
	}
	if key.N.BitLen() != 2048 {
		return nil, fmt.Errorf("key of %d bits, expected 2048", key.N.BitLen())
	}
	return key, nil
}
