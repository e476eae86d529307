package audit

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"sbid/attest/tpm"
)

// A Counter is a counter in a TPM's NV memory that only goes up, and whose
// value an attestation key certifies. tpm.Store is one.
type Counter interface {
	// IncrementCounter is TPM2_NV_Increment; it makes the counter when there is
	// none.
	IncrementCounter(ctx context.Context) (uint64, error)
	// CertifyCounter is TPM2_NV_Certify over the whole counter, which gets a
	// value first if it has none. The statement's Public is the counter's
	// TPMS_NV_PUBLIC.
	CertifyCounter(ctx context.Context, qualifying []byte) (tpm.Statement, error)
}

type counted struct{ counter Counter }

// WithTPM returns the checkpointer of a TPM.
func WithTPM(counter Counter) Checkpointer { return counted{counter} }

func (c counted) Certify(ctx context.Context, digest Hash, _ uint64) (Statement, error) {
	made, err := c.counter.CertifyCounter(ctx, digest[:])
	if err != nil {
		return Statement{}, err
	}
	st := Statement{By: ByTPM, Attest: made.Attest, Signature: made.Signature, Public: made.Public}
	if st.Count, err = st.certified(digest); err != nil {
		return Statement{}, fmt.Errorf("statement of the TPM: %w", err)
	}
	return st, nil
}

func (c counted) Spend(ctx context.Context) error {
	_, err := c.counter.IncrementCounter(ctx)
	return err
}

// Count returns where a counter stands, for VerifyOptions.
func Count(ctx context.Context, counter Counter) (uint64, error) {
	var digest Hash // nothing: nobody is to trust the statement
	st, err := WithTPM(counter).Certify(ctx, digest, 0)
	if err != nil {
		return 0, fmt.Errorf("read the audit counter: %w", err)
	}
	return st.Count, nil
}

// certified returns the count that a TPM's statement is about. It holds if the
// statement's signature does.
func (st *Statement) certified(digest Hash) (uint64, error) {
	public, err := tpm2.Unmarshal[tpm2.TPMSNVPublic](st.Public)
	if err != nil {
		return 0, fmt.Errorf("public area of the counter: %w", err)
	}
	// Of an index of any other type, the owner chooses the value.
	if public.Attributes.NT != tpm2.TPMNTCounter || !public.Attributes.Written {
		return 0, errors.New("the NV index is no counter")
	}
	name, err := tpm2.NVName(public)
	if err != nil {
		return 0, fmt.Errorf("name of the counter: %w", err)
	}
	attest, err := tpm2.Unmarshal[tpm2.TPMSAttest](st.Attest)
	if err != nil {
		return 0, fmt.Errorf("TPMS_ATTEST: %w", err)
	}
	if attest.Magic != tpm2.TPMGeneratedValue {
		return 0, errors.New("TPMS_ATTEST was not made by a TPM")
	}
	nv, err := attest.Attested.NV()
	if err != nil {
		return 0, fmt.Errorf("TPMS_ATTEST: %w", err)
	}
	switch value := nv.NVContents.Buffer; {
	case !bytes.Equal(nv.IndexName.Buffer, name.Buffer):
		return 0, errors.New("TPMS_ATTEST is about another NV index")
	case !bytes.Equal(attest.ExtraData.Buffer, digest[:]):
		return 0, errors.New("TPMS_ATTEST is about another state")
	case nv.Offset != 0 || len(value) != 8:
		return 0, fmt.Errorf("TPMS_ATTEST has %d bytes of the counter from %d on, expected all 8", len(value), nv.Offset)
	default:
		return binary.BigEndian.Uint64(value), nil
	}
}

// checkTPM checks a statement made by WithTPM. Without the attestation key only
// what it says is checked.
func (st *Statement) checkTPM(digest Hash, key *rsa.PublicKey) error {
	count, err := st.certified(digest)
	if err != nil {
		return err
	}
	if count != st.Count {
		return fmt.Errorf("the TPM certified count %d, the log says %d", count, st.Count)
	}
	if key == nil {
		return nil
	}
	signature, err := tpm2.Unmarshal[tpm2.TPMTSignature](st.Signature)
	if err != nil {
		return fmt.Errorf("TPMT_SIGNATURE: %w", err)
	}
	rsassa, err := signature.Signature.RSASSA()
	if err != nil {
		return fmt.Errorf("TPMT_SIGNATURE: %w", err)
	}
	if rsassa.Hash != tpm2.TPMAlgSHA256 {
		return fmt.Errorf("TPMT_SIGNATURE with hash %#x, expected SHA-256", uint16(rsassa.Hash))
	}
	sum := sha256.Sum256(st.Attest)
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], rsassa.Sig.Buffer)
}
