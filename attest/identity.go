package attest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An Identity is a private key with the certificates that say whose it is. It
// does not change and is safe for concurrent use.
type Identity struct {
	signer crypto.Signer
	public *rsa.PublicKey
	chain  []*x509.Certificate // leaf first, no root
	extra  []*x509.Certificate // of others, after the chain in x5c
	header string              // JWS header, base64url, with the dot behind it
}

// NewIdentity joins a key and its certificates: the key's own first, then the
// authorities, each the issuer of the one before. A root among them is left
// out, as those who check a token have their own. It returns ErrKeyMismatch
// when the first certificate is for another key, ErrWeakKey when the key may
// not be used, and ErrUntrusted when a certificate was not issued by the next.
func NewIdentity(signer crypto.Signer, chain []*x509.Certificate) (*Identity, error) {
	if len(chain) == 0 {
		return nil, errors.New("identity without a certificate")
	}
	leaf := chain[0]
	public, err := rsaPublic(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("identity %s: %w", title(leaf), err)
	}
	if !public.Equal(leaf.PublicKey) {
		return nil, fmt.Errorf("identity %s: %w", title(leaf), ErrKeyMismatch)
	}
	for i, issuer := range chain[1:] {
		if err := CheckIssuer(chain[i], issuer); err != nil {
			return nil, fmt.Errorf("identity %s: %w", title(leaf), err)
		}
	}
	id := &Identity{signer: signer, public: public, chain: []*x509.Certificate{leaf}}
	for _, c := range chain[1:] {
		if !selfSigned(c) {
			id.chain = append(id.chain, c)
		}
	}
	id.header = joseHeader(id.chain)
	return id, nil
}

// joseHeader returns the protected header of RFC 7515 for RS256, encoded and
// with its dot.
func joseHeader(x5c []*x509.Certificate) string {
	h := struct {
		Alg string   `json:"alg"`
		Typ string   `json:"typ"`
		X5C [][]byte `json:"x5c"` // standard base64 of DER, RFC 7515 section 4.1.6
	}{Alg: "RS256", Typ: "JWT"}
	for _, c := range x5c {
		h.X5C = append(h.X5C, c.Raw)
	}
	text, err := json.Marshal(h)
	if err != nil {
		panic("attest: a struct of strings and bytes does not marshal: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(text) + "."
}

// With returns the same identity with more certificates at the end of x5c.
// Whoever verifies a token looks at the first one only, but MOSIP's
// registration processor wants every certificate of a digital ID to be in the
// x5c of the record around it: a device whose digital ID is signed by the FTM
// key signs its records with device.With(ftm.Chain()...).
func (id *Identity) With(extra ...*x509.Certificate) *Identity {
	more := *id
	more.extra = slices.Clone(id.extra)
	for _, c := range extra {
		if !slices.ContainsFunc(more.x5c(), c.Equal) {
			more.extra = append(more.extra, c)
		}
	}
	more.header = joseHeader(more.x5c())
	return &more
}

func (id *Identity) x5c() []*x509.Certificate { return slices.Concat(id.chain, id.extra) }

// Certificate returns the certificate of the key.
func (id *Identity) Certificate() *x509.Certificate { return id.chain[0] }

// Chain returns the certificate of the key and those of its authorities
// without the root, each issued by the next.
func (id *Identity) Chain() []*x509.Certificate { return slices.Clone(id.chain) }

// CheckValidity returns ErrExpired or ErrNotYetValid unless the certificate of
// the key is valid at the given time.
func (id *Identity) CheckValidity(at time.Time) error { return CheckValidity(id.chain[0], at) }

// Sign returns payload as a JWS in compact serialization (RFC 7515 section
// 3.1), signed with RS256. The payload is signed as it is, byte for byte, and
// all tokens of an identity have the same header: alg, typ JWT and x5c. Sign
// does not ask whether the certificate is valid.
func (id *Identity) Sign(payload []byte) (string, error) {
	b64 := base64.RawURLEncoding
	var token strings.Builder
	token.Grow(len(id.header) + b64.EncodedLen(len(payload)) + 1 + b64.EncodedLen(id.public.Size()))
	hash := sha256.New()

	token.WriteString(id.header)
	hash.Write([]byte(id.header))
	// Piece by piece, so that what is hashed is still in the cache. A piece is
	// a multiple of three bytes, hence no padding before the last.
	var piece [4096]byte
	for rest := payload; len(rest) > 0; {
		n := min(len(rest), len(piece)/4*3)
		text := piece[:b64.EncodedLen(n)]
		b64.Encode(text, rest[:n])
		token.Write(text)
		hash.Write(text)
		rest = rest[n:]
	}

	signature, err := id.signer.Sign(rand.Reader, hash.Sum(nil), crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("sign as %s: %w", title(id.chain[0]), err)
	}
	if len(signature) != id.public.Size() {
		return "", fmt.Errorf("sign as %s: signature of %d bytes, expected %d", title(id.chain[0]), len(signature), id.public.Size())
	}
	token.WriteByte('.')
	token.Write(b64.AppendEncode(piece[:0], signature))
	return token.String(), nil
}

// CheckIssuer returns ErrUntrusted unless cert names issuer as its issuer and
// carries its signature. Times are not looked at.
func CheckIssuer(cert, issuer *x509.Certificate) error {
	if !bytes.Equal(cert.RawIssuer, issuer.RawSubject) {
		return fmt.Errorf("%w: %s was issued by %s, not by %s", ErrUntrusted, title(cert), cert.Issuer, issuer.Subject)
	}
	if err := cert.CheckSignatureFrom(issuer); err != nil {
		return fmt.Errorf("%w: %s below %s: %w", ErrUntrusted, title(cert), title(issuer), err)
	}
	return nil
}
