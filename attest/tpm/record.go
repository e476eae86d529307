package tpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A record says which key of which TPM the files beside it are, so that a
// cleared TPM, another TPM and a damaged file can be told apart.
type record struct {
	Key     hexBytes  `json:"key"`     // TPM name of the key
	SRK     hexBytes  `json:"srk"`     // TPM name of the storage root key when the key was made
	EK      hexBytes  `json:"ek"`      // SHA-256 of the endorsement key's public area; empty if it was not to be had
	Created time.Time `json:"created"` // UTC, whole seconds
	// Origin is left out where it is what the name of the key implies.
	Origin   Origin    `json:"origin,omitempty"`
	Creation *creation `json:"creation,omitempty"` // of the attestation key
	// Sum is SHA-256 of the members above. It guards against accidents only.
	Sum hexBytes `json:"sum"`
}

// A creation is the TPM's own account of how a key was made.
type creation struct {
	Data      hexBytes `json:"data"`      // TPMS_CREATION_DATA
	Attest    hexBytes `json:"attest"`    // TPMS_ATTEST of TPM2_CertifyCreation
	Signature hexBytes `json:"signature"` // TPMT_SIGNATURE
}

const nameSize = 2 + sha256.Size // algorithm identifier and digest

func (r record) sum() []byte {
	h := sha256.New()
	parts := [][]byte{r.Key, r.SRK, r.EK, []byte(r.Created.Format(time.RFC3339))}
	if r.Origin != "" {
		parts = append(parts, []byte(r.Origin))
	}
	if c := r.Creation; c != nil {
		parts = append(parts, c.Data, c.Attest, c.Signature)
	}
	for _, part := range parts {
		h.Write([]byte{byte(len(part))})
		h.Write(part)
	}
	return h.Sum(nil)
}

func (r record) marshal() ([]byte, error) {
	r.Sum = r.sum()
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("write key record: %w", err)
	}
	return append(text, '\n'), nil
}

func parseRecord(text []byte) (record, error) {
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, fmt.Errorf("read key record: %w", err)
	}
	if len(r.Key) != nameSize || len(r.SRK) != nameSize || len(r.EK) != 0 && len(r.EK) != sha256.Size {
		return record{}, errors.New("read key record: names are incomplete")
	}
	if r.Origin != "" && r.Origin != OriginEndorsement && r.Origin != OriginStorage && r.Origin != OriginImported {
		return record{}, fmt.Errorf("read key record: unknown origin %q", r.Origin)
	}
	if !bytes.Equal(r.Sum, r.sum()) {
		return record{}, errors.New("read key record: its check sum is wrong")
	}
	return r, nil
}

// hexBytes are written in hexadecimal.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%x", []byte(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.AppendDecode(nil, text)
	return err
}
