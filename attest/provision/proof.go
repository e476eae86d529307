package provision

import (
	"context"

	"sbid/attest/tpm"
)

// A Prover is a key store in a TPM, which can prove that it holds its keys.
type Prover interface {
	Endorsement(ctx context.Context) (tpm.Endorsement, error)
	AttestationKey(ctx context.Context) (tpm.AttestationKey, error)
	Certify(ctx context.Context, key string, qualifying []byte) (tpm.Statement, error)
}

var _ Prover = (*tpm.Store)(nil)

// A Proof is the TPM's word for where a key is, signed by its attestation key.
type Proof struct {
	Attest    []byte `json:"attest"`    // TPMS_ATTEST of TPM2_Certify
	Signature []byte `json:"signature"` // TPMT_SIGNATURE
	Public    []byte `json:"public"`    // TPMT_PUBLIC of the key
}

// A Module says which TPM holds the keys of the requests. That endorsement and
// attestation key are in one TPM, only a challenge can show (TPM2_MakeCredential):
// whoever certifies the requests knows this attestation key already, or lets
// the machine answer one.
type Module struct {
	Endorsement    []byte         `json:"endorsement"`            // SubjectPublicKeyInfo in DER
	Certificates   [][]byte       `json:"certificates,omitempty"` // of the endorsement key and its authorities, DER
	AttestationKey AttestationKey `json:"attestationKey"`
}

// An AttestationKey is that of a TPM, and how it was made.
type AttestationKey struct {
	Public            []byte `json:"public"`            // TPMT_PUBLIC
	Name              []byte `json:"name"`              // 34 bytes
	CreateData        []byte `json:"createData"`        // TPMS_CREATION_DATA
	CreateAttestation []byte `json:"createAttestation"` // TPMS_ATTEST of TPM2_CertifyCreation
	CreateSignature   []byte `json:"createSignature"`   // TPMT_SIGNATURE
}

// module describes the TPM of a prover.
func module(ctx context.Context, p Prover) (*Module, error) {
	e, err := p.Endorsement(ctx)
	if err != nil {
		return nil, err
	}
	ak, err := p.AttestationKey(ctx)
	if err != nil {
		return nil, err
	}
	m := &Module{Endorsement: e.Public, AttestationKey: AttestationKey(ak)}
	for _, c := range e.Certificates {
		m.Certificates = append(m.Certificates, c.Raw)
	}
	return m, nil
}
