package attest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sbid/attest/internal/statedir"
)

const (
	encryptedType = "ENCRYPTED PRIVATE KEY" // PKCS #8, RFC 5958
	// checksumWord begins the line before the PEM block, with the SHA-256 in hex
	// of all that follows the line.
	checksumWord = "sha256 "
	// minPassphrase is the shortest passphrase in bytes that a person may choose.
	minPassphrase = 12
)

// NewEncryptedFileStore returns the store in dir whose keys are encrypted with
// a passphrase, and makes the directory if there is none. The files are PKCS #8
// as OpenSSL reads and writes it. Whoever reads both the directory and the
// passphrase has the keys, so a device that uses them is level L0 as well; but
// the one can be backed up, moved or thrown away without the other.
//
// The passphrase is the first line of a file with mode 0600. Where there is
// neither this file nor a key, it is made, with 32 random bytes in hex.
func NewEncryptedFileStore(dir, passphraseFile string) (*FileStore, error) {
	s, err := NewFileStore(dir)
	if err != nil {
		return nil, err
	}
	if s.passphrase, err = readPassphrase(dir, passphraseFile); err != nil {
		return nil, fmt.Errorf("passphrase of the keys in %s: %w", dir, err)
	}
	return s, nil
}

func readPassphrase(dir, path string) ([]byte, error) {
	text, err := statedir.ReadSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = makePassphrase(dir, path)
	}
	if err != nil {
		return nil, err
	}
	// As openssl's -passin file: does.
	line, _, _ := bytes.Cut(text, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) < minPassphrase {
		return nil, fmt.Errorf("%s: %d bytes in the first line, expected %d or more", path, len(line), minPassphrase)
	}
	return line, nil
}

// makePassphrase makes the file, unless there are keys: those need the
// passphrase that was lost.
func makePassphrase(dir, path string) ([]byte, error) {
	keys, err := filepath.Glob(filepath.Join(dir, "*"+keySuffix))
	if err != nil {
		return nil, err
	}
	if len(keys) > 0 {
		return nil, fmt.Errorf("%s is missing, and %d keys need it: put it back, or remove the keys and provision the device again", path, len(keys))
	}
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, err
	}
	defer clear(secret[:])
	text := hex.AppendEncode(nil, secret[:])
	text = append(text, '\n')
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	err = statedir.CreateFile(path, text)
	if errors.Is(err, fs.ErrExist) {
		return statedir.ReadSecret(path) // another program was faster
	}
	return text, err
}

// encryptKey returns the text of a key's file.
func encryptKey(der, passphrase []byte, iterations int) ([]byte, error) {
	sealed, err := encryptPKCS8(der, passphrase, iterations)
	if err != nil {
		return nil, err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: encryptedType, Bytes: sealed})
	return fmt.Appendf(nil, "%s%x\n%s", checksumWord, sha256.Sum256(block), block), nil
}

// readEncryptedKey reads an RSA private key from a file of an encrypted store.
// It returns ErrKeyLost when the file is damaged, and not when the passphrase
// is another one: that can be put right.
func readEncryptedKey(path string, passphrase []byte) (*rsa.PrivateKey, error) {
	text, err := statedir.ReadSecret(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	key, err := decryptKey(text, passphrase)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	return key, nil
}

func decryptKey(text, passphrase []byte) (*rsa.PrivateKey, error) {
	block, rest := pem.Decode(text)
	switch {
	case block != nil && block.Type == keyType:
		return nil, errors.New("is not encrypted: this store takes encrypted keys only")
	case block == nil || block.Type != encryptedType || len(bytes.TrimSpace(rest)) > 0:
		return nil, fmt.Errorf("%w: not a PEM file of an encrypted PKCS #8 private key", ErrKeyLost)
	}
	der, err := decryptPKCS8(block.Bytes, passphrase)
	defer clear(der)
	var parsed any
	if err == nil {
		if parsed, err = x509.ParsePKCS8PrivateKey(der); err != nil {
			err = errDecrypt // what it says would be about noise
		}
	}
	if err != nil {
		return nil, whyNot(text, err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: %T", ErrWeakKey, parsed)
	}
	if _, err := rsaPublic(&key.PublicKey); err != nil {
		return nil, err
	}
	return key, nil
}

// whyNot tells a damaged file from a wrong passphrase by the checksum that our
// files begin with.
func whyNot(text []byte, err error) error {
	line, rest, _ := strings.Cut(string(text), "\n")
	sum, ours := strings.CutPrefix(line, checksumWord)
	switch {
	case ours && sum != fmt.Sprintf("%x", sha256.Sum256([]byte(rest))):
		return fmt.Errorf("%w: the file is damaged: %w", ErrKeyLost, err)
	case !errors.Is(err, errDecrypt):
		return err
	case ours:
		return errors.New("wrong passphrase: the file is whole, so put back the passphrase that it was made with")
	}
	return errors.New("wrong passphrase, or the file is damaged")
}
