package evidence

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sbid/attest/tpm"
)

// profile names this format and its version. It is an object identifier made
// of a UUID, as ITU-T X.667 lets everybody do.
const profile = "2.25.114355912471801589504630730253916089067"

// Claims is what a machine says of itself. The TPM binds it to its statements
// and does not vouch for it. Where RFC 9711 has a name for a claim, that is
// the member's name.
type Claims struct {
	Profile string    `json:"eat_profile"`
	Nonce   Bytes     `json:"eat_nonce"`
	Issued  int64     `json:"iat"` // seconds since 1970, UTC
	Name    string    `json:"swname"`
	Version [1]string `json:"swversion"`
	Program Digest    `json:"program"` // SHA-256 of the program's file as it runs
	Host    Host      `json:"host"`
	TPM     tpm.Info  `json:"tpm"`
	Keys    []Key     `json:"keys"`
	// Checkpoint is the last one of the audit log, as that wrote it.
	Checkpoint Bytes `json:"checkpoint,omitempty"`
	// Parts are the SHA-256 digests of what the TPM does not sign.
	Parts map[string]Digest `json:"parts"`
	// Absent says of a part that could be there why it is not.
	Absent map[string]string `json:"absent,omitempty"`
}

// Time is when the evidence was collected, by the machine's clock.
func (c *Claims) Time() time.Time { return time.Unix(c.Issued, 0).UTC() }

// A Key is a signing key of the machine, a device's or the FTM's.
type Key struct {
	Name        string     `json:"name"`     // in the key store
	Serial      string     `json:"serialNo"` // that its certificate is for
	Origin      tpm.Origin `json:"origin"`
	Certificate Bytes      `json:"certificate,omitempty"` // in DER, if it has one yet
}

// A Host is what the operating system says of how it was started. Empty means
// that it does not say.
type Host struct {
	SecureBoot string `json:"secureBoot,omitempty"` // "enabled" or "disabled"
	Lockdown   string `json:"lockdown,omitempty"`   // "none", "integrity" or "confidentiality"
	IMA        string `json:"ima,omitempty"`        // number of measurements of the kernel's list
}

// Bytes are written in base64url without padding.
type Bytes []byte

// MarshalText writes base64url.
func (b Bytes) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText reads base64url.
func (b *Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = base64.RawURLEncoding.AppendDecode(nil, text)
	return err
}

// A Digest is SHA-256, written in hexadecimal.
type Digest [32]byte

// String is hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText writes hexadecimal.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText reads hexadecimal.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != 2*len(d) {
		return fmt.Errorf("digest of %d characters, expected %d", len(text), 2*len(d))
	}
	_, err := hex.Decode(d[:], text)
	return err
}

// parseClaims reads what json.Marshal writes, and nothing else.
func parseClaims(text []byte) (*Claims, error) {
	var c Claims
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	again, err := json.Marshal(&c)
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if !bytes.Equal(again, text) {
		return nil, errors.New("claims: not in the form that this format prescribes")
	}
	if c.Profile != profile {
		return nil, fmt.Errorf("claims: profile %q, expected %s", c.Profile, profile)
	}
	return &c, nil
}
