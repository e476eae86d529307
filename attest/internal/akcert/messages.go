// Package akcert is what an attestation CA and a device that asks it for the
// certificate of its attestation key have in common: the messages between
// them, and the names in the certificate.
//
// The messages are those of Smallstep's client for attestation CAs, so that
// either side also works with software of others. In JSON, bytes are standard
// base64.
package akcert

// Paths of the two calls, below the address of the CA. Both are POSTs of JSON.
const (
	AttestPath = "/attest" // AttestRequest, AttestResponse
	SecretPath = "/secret" // SecretRequest, SecretResponse
)

// An AttestRequest shows a TPM's endorsement key and attestation key.
type AttestRequest struct {
	TPM TPM `json:"tpmInfo"`
	// EK is the endorsement key, a SubjectPublicKeyInfo in DER.
	EK []byte `json:"ek"`
	// EKCertificates are what the TPM carries for EK, in DER: its certificate,
	// and perhaps those of authorities.
	EKCertificates [][]byte   `json:"ekCerts,omitempty"`
	Parameters     Parameters `json:"params"`
}

// TPM says which product a TPM is.
type TPM struct {
	Version      int    `json:"version,omitempty"`      // 2
	Manufacturer string `json:"manufacturer,omitempty"` // the vendor identifier as a decimal number
	Model        string `json:"model,omitempty"`
	Firmware     string `json:"firmwareVersion,omitempty"`
}

// Parameters are an attestation key and the TPM's account of its making.
type Parameters struct {
	Public            []byte `json:"public"`            // TPMT_PUBLIC
	CreateData        []byte `json:"createData"`        // TPMS_CREATION_DATA
	CreateAttestation []byte `json:"createAttestation"` // TPMS_ATTEST of TPM2_CertifyCreation
	CreateSignature   []byte `json:"createSignature"`   // TPMT_SIGNATURE over that
}

// An AttestResponse carries a secret that only the TPM with both keys of the
// request can open, by TPM2_ActivateCredential.
type AttestResponse struct {
	Credential []byte `json:"credential"` // TPM2B_ID_OBJECT, with its size
	Secret     []byte `json:"secret"`     // TPM2B_ENCRYPTED_SECRET, with its size
}

// A SecretRequest shows that the secret was opened.
type SecretRequest struct {
	Secret []byte `json:"secret"`
}

// A SecretResponse has the certificate of the attestation key and those of its
// authorities, in DER, each issued by the next.
type SecretResponse struct {
	Chain [][]byte `json:"chain"`
}

// ProblemType is the media type of a Problem.
const ProblemType = "application/problem+json"

// A Problem is why a call failed (RFC 9457).
type Problem struct {
	Title  string `json:"title,omitempty"`
	Status int    `json:"status,omitempty"`
	Detail string `json:"detail,omitempty"` // for a person
}
