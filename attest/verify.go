package attest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// maxChain bounds the certificates of a token. MOSIP's chains have two to five.
const maxChain = 16

// A Verified token is one whose signature was made by the key of its first
// certificate. Whether that certificate is valid and trusted is another
// question: see CheckValidity and Trust.
type Verified struct {
	Payload []byte
	Chain   []*x509.Certificate // x5c in its order, at least one
}

// Leaf returns the certificate of the key that signed.
func (v *Verified) Leaf() *x509.Certificate { return v.Chain[0] }

// Covers says whether every certificate of inner is also in v. MOSIP's
// registration processor demands it of a record and the digital ID inside.
func (v *Verified) Covers(inner *Verified) bool {
	for _, c := range inner.Chain {
		if !slices.ContainsFunc(v.Chain, c.Equal) {
			return false
		}
	}
	return true
}

// Verify checks a JWS in compact serialization against the first certificate
// of its own x5c. It accepts what MOSIP's Compliance Toolkit accepts: RS256
// alone, a key of at least 2048 bits, x5c as an array of standard base64. It
// returns ErrMalformed, ErrWeakKey or ErrSignature.
func Verify(token string) (*Verified, error) {
	header, _, _ := strings.Cut(token, ".")
	chain, err := parseHeader(header)
	if err != nil {
		return nil, err
	}
	public, err := rsaPublic(chain[0].PublicKey)
	if err != nil {
		return nil, err
	}
	payload, err := verifyWith(public, token)
	if err != nil {
		return nil, fmt.Errorf("%w (key of %s)", err, title(chain[0]))
	}
	return &Verified{Payload: payload, Chain: chain}, nil
}

// verifyWith returns the payload of a token that was signed by a given key. It
// does not look at the header.
func verifyWith(public *rsa.PublicKey, token string) ([]byte, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%w: not three parts with dots between", ErrMalformed)
	}
	payload, err := decodeSegment("payload", parts[1])
	if err != nil {
		return nil, err
	}
	signature, err := decodeSegment("signature", parts[2])
	if err != nil {
		return nil, err
	}
	signed := sha256.Sum256([]byte(token[:len(parts[0])+1+len(parts[1])]))
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, signed[:], signature); err != nil {
		return nil, ErrSignature
	}
	return payload, nil
}

// parseHeader returns the certificates of an encoded protected header whose
// other members say that the token is one for Verify.
func parseHeader(text string) ([]*x509.Certificate, error) {
	raw, err := decodeSegment("header", text)
	if err != nil {
		return nil, err
	}
	// A map and not a struct: its names are compared exactly.
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	var alg string
	if err := json.Unmarshal(members["alg"], &alg); err != nil || alg != "RS256" {
		return nil, fmt.Errorf("%w: alg is %.40q, only RS256 is accepted", ErrMalformed, members["alg"])
	}
	// RFC 7515 section 4.1.11: extensions that are not understood must not pass.
	if crit, ok := members["crit"]; ok {
		return nil, fmt.Errorf("%w: critical header members %.80q are not supported", ErrMalformed, crit)
	}
	var x5c []string
	if err := json.Unmarshal(members["x5c"], &x5c); err != nil {
		return nil, fmt.Errorf("%w: x5c is not an array of texts", ErrMalformed)
	}
	if len(x5c) == 0 || len(x5c) > maxChain {
		return nil, fmt.Errorf("%w: x5c has %d certificates, expected 1 to %d", ErrMalformed, len(x5c), maxChain)
	}
	chain := make([]*x509.Certificate, len(x5c))
	for i, s := range x5c {
		// The decoder skips line ends; the toolkit's does not.
		if strings.ContainsAny(s, "\r\n") {
			return nil, fmt.Errorf("%w: x5c[%d] has line ends", ErrMalformed, i)
		}
		der, err := base64.StdEncoding.Strict().DecodeString(s)
		if err != nil {
			return nil, fmt.Errorf("%w: x5c[%d] is not standard base64: %w", ErrMalformed, i, err)
		}
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("%w: x5c[%d]: %w", ErrMalformed, i, err)
		}
	}
	return chain, nil
}

// decodeSegment decodes a part of a token: base64url without padding (RFC 7515
// section 2), one encoding for each content.
func decodeSegment(what, text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") { // which the decoder would skip
		return nil, fmt.Errorf("%w: %s has line ends", ErrMalformed, what)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is not base64url without padding: %w", ErrMalformed, what, err)
	}
	return b, nil
}
