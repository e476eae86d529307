package attest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// A Hash is a link of the hash chain over the records of a transaction.
type Hash [sha256.Size]byte

// String returns the hash as SBI writes it: 64 characters of upper-case hex.
func (h Hash) String() string { return upperHex(h) }

// ChainHash returns the link of a record: SHA-256 over the previous link and
// the SHA-256 of the record, both as bytes. The record counts as it is before
// encryption.
func ChainHash(previous Hash, record []byte) Hash {
	digest := sha256.Sum256(record)
	return sha256.Sum256(slices.Concat(previous[:], digest[:]))
}

// ParsePreviousHash reads the link that a request hands on, in hex of either
// case. An empty or blank text begins a chain: SHA-256 of nothing.
func ParsePreviousHash(text string) (Hash, error) {
	if strings.TrimSpace(text) == "" {
		return sha256.Sum256(nil), nil
	}
	var h Hash
	if len(text) != 2*len(h) {
		return Hash{}, fmt.Errorf("previous hash has %d characters, expected %d of hex", len(text), 2*len(h))
	}
	if _, err := hex.Decode(h[:], []byte(text)); err != nil {
		return Hash{}, fmt.Errorf("previous hash: %w", err)
	}
	return h, nil
}
