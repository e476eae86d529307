package audit

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
)

// A signed checkpoint counts by itself, from the log alone.
type signatures struct{ signer crypto.Signer }

// WithSignature returns the checkpointer for a machine without a TPM: an RSA
// key signs the checkpoints. Whoever has the key can write the log anew, so the
// checkpoints are marked BySignature and a Report of them is not RollbackProof.
func WithSignature(signer crypto.Signer) Checkpointer { return signatures{signer} }

func (s signatures) Certify(_ context.Context, digest Hash, last uint64) (Statement, error) {
	public, err := x509.MarshalPKIXPublicKey(s.signer.Public())
	if err != nil {
		return Statement{}, fmt.Errorf("sign: %w", err)
	}
	st := Statement{By: BySignature, Count: last + 1, Public: public}
	st.Attest = signedText(digest, st.Count)
	sum := sha256.Sum256(st.Attest)
	if st.Signature, err = s.signer.Sign(rand.Reader, sum[:], crypto.SHA256); err != nil {
		return Statement{}, fmt.Errorf("sign: %w", err)
	}
	return st, nil
}

func (s signatures) Spend(context.Context) error { return nil }

// signedText is not valid as anything else that the key signs: a JWS has no
// spaces, and digital IDs are signed as JWS only.
func signedText(digest Hash, count uint64) []byte {
	return fmt.Appendf(nil, "audit checkpoint %d %s\n", count, digest)
}

// checkSignature checks a statement made by WithSignature. A nil key stands for
// any.
func (st *Statement) checkSignature(digest Hash, key *rsa.PublicKey) error {
	parsed, err := x509.ParsePKIXPublicKey(st.Public)
	if err != nil {
		return fmt.Errorf("key of the checkpoint: %w", err)
	}
	public, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return fmt.Errorf("key of the checkpoint is a %T, not RSA", parsed)
	}
	if key != nil && !key.Equal(public) {
		return errors.New("checkpoint is signed by another key")
	}
	if string(st.Attest) != string(signedText(digest, st.Count)) {
		return errors.New("signed text is about another state")
	}
	sum := sha256.Sum256(st.Attest)
	return rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], st.Signature)
}
