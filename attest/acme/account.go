package acme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sbid/attest/internal/statedir"
)

const (
	accountFile = "acme-account.pem"
	accountType = "PRIVATE KEY" // PKCS #8, RFC 5958
)

// An accountKey is the key of the ACME account: P-256 for ES256. It gets no
// certificate without the TPM.
type accountKey = *ecdsa.PrivateKey

// accountKey returns the key that was made once, or makes it.
func (i *Issuer) accountKey() (crypto.Signer, error) {
	if i.account != nil {
		return i.account, nil
	}
	key, err := i.readAccountKey()
	if errors.Is(err, fs.ErrNotExist) {
		key, err = i.makeAccountKey()
	}
	if err != nil {
		return nil, fmt.Errorf("key of the ACME account: %w", err)
	}
	i.account = key
	return key, nil
}

func (i *Issuer) readAccountKey() (accountKey, error) {
	if i.config.Dir == "" {
		return nil, fs.ErrNotExist
	}
	path := filepath.Join(i.config.Dir, accountFile)
	text, err := statedir.ReadSecret(path)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	key, err := parseAccountKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: delete it, and a new account is made", path, err)
	}
	return key, nil
}

func parseAccountKey(text []byte) (accountKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != accountType {
		return nil, errors.New("not a PEM file of a PKCS #8 private key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("not a P-256 key")
	}
	return key, nil
}

func (i *Issuer) makeAccountKey() (accountKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if i.config.Dir == "" {
		return key, nil
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(i.config.Dir, 0o700); err != nil {
		return nil, err
	}
	defer clear(der)
	text := pem.EncodeToMemory(&pem.Block{Type: accountType, Bytes: der})
	defer clear(text)
	return key, statedir.WriteFile(filepath.Join(i.config.Dir, accountFile), text, 0o600)
}
