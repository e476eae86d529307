package attest

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sbid/attest/internal/statedir"
)

const (
	keySuffix = ".pem"
	keyType   = "PRIVATE KEY" // PKCS #8, RFC 5958
)

// A FileStore is a KeyStore of PKCS #8 PEM files, NAME.pem, mode 0600 in a
// directory of mode 0700. Whoever reads the directory of an unencrypted one has
// the keys: it is for development. A device that uses a FileStore is level L0
// at best.
//
// One FileStore at a time may write to a directory.
type FileStore struct {
	dir        string
	passphrase []byte     // nil in an unencrypted store
	mu         sync.Mutex // held while files come and go
}

var _ KeyStore = (*FileStore)(nil)

// NewFileStore returns the unencrypted store in dir and makes the directory if there is
// none.
func NewFileStore(dir string) (*FileStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make key store: %w", err)
	}
	return &FileStore{dir: dir}, nil
}

func (s *FileStore) path(name string) (string, error) {
	if file := name + keySuffix; ValidName(name) && filepath.IsLocal(file) {
		return filepath.Join(s.dir, file), nil
	}
	return "", fmt.Errorf("%q cannot name a key", name)
}

// Signer reads the key from its file. It refuses a file that others than its
// owner may read.
func (s *FileStore) Signer(ctx context.Context, name string) (crypto.Signer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	key, err := s.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("key %s: %w: %w", name, ErrNoKey, err)
	}
	if err != nil {
		return nil, err
	}
	return key, nil
}

func (s *FileStore) read(path string) (*rsa.PrivateKey, error) {
	if s.passphrase == nil {
		return ReadKey(path)
	}
	return readEncryptedKey(path, s.passphrase)
}

// encode returns the text of the file of a key in DER.
func (s *FileStore) encode(der []byte) ([]byte, error) {
	if s.passphrase == nil {
		return pem.EncodeToMemory(&pem.Block{Type: keyType, Bytes: der}), nil
	}
	return encryptKey(der, s.passphrase, pbkdf2Iterations)
}

// Create makes an RSA-2048 key and its file. It may take a few hundred
// milliseconds and can be called for several names at once.
func (s *FileStore) Create(ctx context.Context, name string) (crypto.Signer, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := absent(path); err != nil {
		return nil, fmt.Errorf("make key %s: %w", name, err)
	}
	key, err := rsa.GenerateKey(rand.Reader, minKeyBits)
	if err != nil {
		return nil, fmt.Errorf("make key %s: %w", name, err)
	}
	if err := s.write(ctx, path, key); err != nil {
		return nil, fmt.Errorf("make key %s: %w", name, err)
	}
	return key, nil
}

// Import writes the file of a key that was made elsewhere, such as one of a
// PKCS #12 file. It returns ErrWeakKey for one that may not be used.
func (s *FileStore) Import(ctx context.Context, name string, key *rsa.PrivateKey) (crypto.Signer, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	if _, err := rsaPublic(&key.PublicKey); err != nil {
		return nil, fmt.Errorf("import key %s: %w", name, err)
	}
	if err := s.write(ctx, path, key); err != nil {
		return nil, fmt.Errorf("import key %s: %w", name, err)
	}
	return key, nil
}

// write writes the file of a key, unless there is one at path.
func (s *FileStore) write(ctx context.Context, path string, key *rsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	defer clear(der)
	text, err := s.encode(der)
	if err != nil {
		return err
	}
	defer clear(text)

	s.mu.Lock()
	defer s.mu.Unlock()
	if err := absent(path); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return statedir.WriteFile(path, text, 0o600)
}

func absent(path string) error {
	switch _, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: %s", ErrKeyExists, path)
}

// Delete removes the key's file. Signers that were handed out go on working.
func (s *FileStore) Delete(ctx context.Context, name string) error {
	path, err := s.path(name)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := statedir.Remove(path); err != nil {
		return fmt.Errorf("delete key %s: %w", name, err)
	}
	return nil
}

// List returns the names of the key files. It does not look into them.
func (s *FileStore) List(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), keySuffix)
		if ok && ValidName(name) && e.Type().IsRegular() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// ReadKey reads an RSA private key from a PKCS #8 PEM file. On systems with
// Unix permissions it refuses a file that others than its owner may read or
// write.
func ReadKey(path string) (*rsa.PrivateKey, error) {
	text, err := statedir.ReadSecret(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	defer clear(text)
	block, _ := pem.Decode(text)
	if block != nil && block.Type == encryptedType {
		return nil, fmt.Errorf("read key %s: it is encrypted, and this store takes unencrypted keys only", path)
	}
	if block == nil || block.Type != keyType {
		return nil, fmt.Errorf("read key %s: not a PEM file of a PKCS #8 private key", path)
	}
	defer clear(block.Bytes)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read key %s: %w: %T", path, ErrWeakKey, parsed)
	}
	if _, err := rsaPublic(&key.PublicKey); err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	return key, nil
}
