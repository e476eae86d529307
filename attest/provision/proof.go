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

// A Module says which TPM holds the keys of the requests. That endorsement and
// attestation key are in one TPM, only a challenge can show (TPM2_MakeCredential):
// whoever certifies the requests knows this attestation key already, or lets
// the machine answer one.
type Module struct {
	Endorsement    []byte             `json:"endorsement"`            // SubjectPublicKeyInfo in DER
	Certificates   [][]byte           `json:"certificates,omitempty"` // of the endorsement key and its authorities, DER
	AttestationKey tpm.AttestationKey `json:"attestationKey"`
}

// module describes the TPM of a prover.
func module(ctx context.Context, p Prover) (*Module, error) {
	e, err := p.Endorsement(ctx)
	if err != nil {
		return nil, err
	}
	m := &Module{Endorsement: e.Public}
	for _, c := range e.Certificates {
		m.Certificates = append(m.Certificates, c.Raw)
	}
	m.AttestationKey, err = p.AttestationKey(ctx)
	return m, err
}
