package tpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// A record says which key of which TPM the files beside it are, so that a
// cleared TPM, another TPM and a damaged file can be told apart.
type record struct {
	Key     hexBytes  `json:"key"`     // TPM name of the key
	SRK     hexBytes  `json:"srk"`     // TPM name of the storage root key when the key was made
	EK      hexBytes  `json:"ek"`      // SHA-256 of the endorsement key's public area
	Created time.Time `json:"created"` // UTC, whole seconds
	// Sum is SHA-256 of the members above. It guards against accidents only.
	Sum hexBytes `json:"sum"`
}

const nameSize = 2 + sha256.Size // algorithm identifier and digest

func (r record) sum() []byte {
	h := sha256.New()
	for _, part := range [][]byte{r.Key, r.SRK, r.EK, []byte(r.Created.Format(time.RFC3339))} {
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
	if len(r.Key) != nameSize || len(r.SRK) != nameSize || len(r.EK) != sha256.Size {
		return record{}, errors.New("read key record: names are incomplete")
	}
	if !bytes.Equal(r.Sum, r.sum()) {
		return record{}, errors.New("read key record: its check sum is wrong")
	}
	return r, nil
}

// newRecord describes a key that was made just now.
func newRecord(key, srk tpm2.TPM2BName, ek []byte) record {
	return record{Key: key.Buffer, SRK: srk.Buffer, EK: ek, Created: time.Now().UTC().Truncate(time.Second)}
}

// hexBytes are written in hexadecimal.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%x", []byte(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.AppendDecode(nil, text)
	return err
}
