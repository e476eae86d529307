package attest

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

const testPassphrase = "correct horse battery"

// newEncryptedStore returns a store, its directory and the file of its
// passphrase.
func newEncryptedStore(t *testing.T) (s *FileStore, dir, passphrase string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "keys")
	passphrase = filepath.Join(t.TempDir(), "secrets", "passphrase")
	s, err := NewEncryptedFileStore(dir, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir, passphrase
}

// writeEncrypted writes the file of a key, fast to decrypt.
func writeEncrypted(t testing.TB, dir, name string, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := encryptKey(der, []byte(testPassphrase), 1)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, dir, name, text)
}

func TestEncryptedStoreKeepsKeys(t *testing.T) {
	s, dir, passphrase := newEncryptedStore(t)
	ctx := t.Context()
	if _, err := s.Signer(ctx, "ftm"); !errors.Is(err, ErrNoKey) {
		t.Errorf("a key that was never made: %v", err)
	}
	made, err := s.Create(ctx, "ftm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(ctx, "ftm"); !errors.Is(err, ErrKeyExists) {
		t.Errorf("made twice: %v", err)
	}
	again, err := NewEncryptedFileStore(dir, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := again.Signer(ctx, "ftm")
	if err != nil || !loaded.(*rsa.PrivateKey).Equal(made.(crypto.PrivateKey)) {
		t.Errorf("another key after loading, or %v", err)
	}
	secret, err := os.ReadFile(passphrase)
	if err != nil || len(secret) != 65 {
		t.Errorf("passphrase of %d bytes, %v", len(secret), err)
	}
	if runtime.GOOS != "windows" {
		for _, path := range []string{passphrase, filepath.Join(dir, "ftm.pem")} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
			}
		}
	}
	if names, err := s.List(ctx); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
	if err := s.Delete(ctx, "ftm"); err != nil {
		t.Error(err)
	}
}

// No file of the directory holds a part of the key that is not public.
func TestEncryptedStoreHidesKeys(t *testing.T) {
	dir := t.TempDir()
	key := deviceKey()
	path := writeEncrypted(t, dir, "ftm.pem", key)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	for name, secret := range map[string][]byte{"d": key.D.Bytes(), "p": key.Primes[0].Bytes(), "q": key.Primes[1].Bytes()} {
		for i := 0; i+8 <= len(secret); i++ {
			if bytes.Contains(block.Bytes, secret[i:i+8]) {
				t.Errorf("%s is in the file", name)
				break
			}
		}
	}
	if bytes.Contains(text, []byte("BEGIN PRIVATE KEY")) || bytes.Contains(text, []byte(testPassphrase)) {
		t.Error("unencrypted")
	}
	// Twice the same key, and nothing in common but the frame.
	other, err := os.ReadFile(writeEncrypted(t, dir, "again.pem", key))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(other)
	if bytes.Equal(block.Bytes[len(block.Bytes)-16:], b.Bytes[len(b.Bytes)-16:]) {
		t.Error("encrypted without chance")
	}
}

func TestEncryptedStoreAndOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	s, dir, passphrase := newEncryptedStore(t)
	made, err := s.Create(t.Context(), "ours")
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) []byte {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), openssl, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
		return out
	}
	// OpenSSL reads ours.
	plain := filepath.Join(t.TempDir(), "plain.pem")
	run("pkcs8", "-in", filepath.Join(dir, "ours.pem"), "-passin", "file:"+passphrase, "-out", plain)
	if key, err := ReadKey(plain); err != nil || !key.Equal(made.(crypto.PrivateKey)) {
		t.Errorf("another key, or %v", err)
	}
	// And the other way round.
	theirs := filepath.Join(dir, "theirs.pem")
	run("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", plain, "-passout", "file:"+passphrase, "-out", theirs)
	if err := os.Chmod(theirs, 0o600); err != nil {
		t.Fatal(err)
	}
	if key, err := s.Signer(t.Context(), "theirs"); err != nil || !key.(*rsa.PrivateKey).Equal(made.(crypto.PrivateKey)) {
		t.Errorf("another key, or %v", err)
	}
	// Of a file without our checksum, nobody can say which it is.
	if _, err := readEncryptedKey(theirs, []byte("another passphrase")); err == nil || errors.Is(err, ErrKeyLost) || !strings.Contains(err.Error(), "wrong passphrase, or the file is damaged") {
		t.Error(err)
	}
}

func TestWrongPassphraseIsNoLostKey(t *testing.T) {
	path := writeEncrypted(t, t.TempDir(), "ftm.pem", deviceKey())
	for i := range 300 { // one in 256 has a padding that looks right
		_, err := readEncryptedKey(path, []byte(strings.Repeat("x", minPassphrase+i)))
		if err == nil || errors.Is(err, ErrKeyLost) || errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), "wrong passphrase: the file is whole") {
			t.Fatal(err)
		}
	}
}

// A damaged file gives the right key or none, and says that it is damaged.
func TestDamagedEncryptedFile(t *testing.T) {
	key := deviceKey()
	dir := t.TempDir()
	whole, err := os.ReadFile(writeEncrypted(t, dir, "whole.pem", key))
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, i int, text []byte) {
		t.Helper()
		got, err := decryptKey(text, []byte(testPassphrase))
		if err == nil && !got.Equal(key) {
			t.Errorf("%s %d: another key", what, i)
		}
		// Without its word, the line of the checksum is any text.
		if err != nil && !errors.Is(err, ErrKeyLost) && i >= len(checksumWord) {
			t.Errorf("%s %d: %v", what, i, err)
		}
	}
	for i := range whole {
		text := bytes.Clone(whole)
		text[i] ^= 1 << (i % 7)
		check("flipped", i, text)
	}
	for i := range whole {
		check("cut", i, whole[:i])
	}
	s := &FileStore{dir: dir, passphrase: []byte(testPassphrase)}
	path := filepath.Join(dir, "whole.pem")
	if err := os.WriteFile(path, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Signer(t.Context(), "whole"); !errors.Is(err, ErrKeyLost) || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
	if _, err := s.Create(t.Context(), "whole"); !errors.Is(err, ErrKeyExists) {
		t.Errorf("made over a damaged one: %v", err)
	}
}

func TestPassphraseFile(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("x", minPassphrase)
	for name, test := range map[string]struct {
		text string
		want string // of the error
	}{
		"a line":                    {text: long + "\n"},
		"a line of Windows":         {text: long + "\r\n"},
		"no line end":               {text: long},
		"more lines":                {text: long + "\nwritten down in the safe\n"},
		"empty":                     {text: "", want: "0 bytes in the first line"},
		"short":                     {text: "secret\n", want: "6 bytes in the first line"},
		"nothing in the first line": {text: "\n" + long, want: "0 bytes"},
	} {
		s, err := NewEncryptedFileStore(dir, writeFile(t, t.TempDir(), "passphrase", []byte(test.text)))
		switch {
		case test.want == "" && (err != nil || string(s.passphrase) != long):
			t.Errorf("%s: %v", name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v", name, err)
		}
	}
	if runtime.GOOS != "windows" {
		path := writeFile(t, t.TempDir(), "passphrase", []byte(long))
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := NewEncryptedFileStore(dir, path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Error(err)
		}
	}
}

// A passphrase that went is not replaced while keys need it.
func TestLostPassphrase(t *testing.T) {
	_, dir, passphrase := newEncryptedStore(t)
	if err := os.Remove(passphrase); err != nil {
		t.Fatal(err)
	}
	if _, err := NewEncryptedFileStore(dir, passphrase); err != nil {
		t.Errorf("there is no key yet: %v", err)
	}
	writeEncrypted(t, dir, "ftm.pem", deviceKey())
	if err := os.Remove(passphrase); err != nil {
		t.Fatal(err)
	}
	if _, err := NewEncryptedFileStore(dir, passphrase); err == nil || !strings.Contains(err.Error(), "put it back") {
		t.Error(err)
	}
	if _, err := os.Stat(passphrase); err == nil {
		t.Error("a new passphrase was made")
	}
}

// Programs that start at once agree on one passphrase.
func TestOnePassphrase(t *testing.T) {
	dir, path := t.TempDir(), filepath.Join(t.TempDir(), "passphrase")
	found := make(chan string, 8)
	var wg sync.WaitGroup
	for range cap(found) {
		wg.Go(func() {
			s, err := NewEncryptedFileStore(dir, path)
			if err != nil {
				t.Error(err)
				return
			}
			found <- string(s.passphrase)
		})
	}
	wg.Wait()
	close(found)
	first := <-found
	for other := range found {
		if other != first {
			t.Error("two passphrases")
		}
	}
}

// The two kinds of stores do not take each other's files.
func TestStoresDoNotMix(t *testing.T) {
	dir := t.TempDir()
	writeKey(t, dir, "plain.pem", deviceKey())
	writeEncrypted(t, dir, "sealed.pem", deviceKey())
	writeEncrypted(t, dir, "short.pem", shortKey(t))
	plain, err := NewFileStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	sealed := &FileStore{dir: dir, passphrase: []byte(testPassphrase)}
	if _, err := plain.Signer(t.Context(), "sealed"); err == nil || !strings.Contains(err.Error(), "it is encrypted") {
		t.Error(err)
	}
	if _, err := sealed.Signer(t.Context(), "plain"); err == nil || errors.Is(err, ErrKeyLost) || !strings.Contains(err.Error(), "is not encrypted") {
		t.Error(err)
	}
	if _, err := sealed.Signer(t.Context(), "short"); !errors.Is(err, ErrWeakKey) {
		t.Error(err)
	}
	if _, err := sealed.Signer(t.Context(), "sealed"); err != nil {
		t.Error(err)
	}
}

// Whatever a file holds, it is refused, or it is a key that can be written and
// read again.
func FuzzDecryptKey(f *testing.F) {
	good, err := os.ReadFile(writeEncrypted(f, f.TempDir(), "key.pem", deviceKey()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := decryptKey(text, []byte(testPassphrase))
		if err != nil {
			return
		}
		again, err := readEncryptedKey(writeEncrypted(t, t.TempDir(), "again.pem", key), []byte(testPassphrase))
		if err != nil || !again.Equal(key) {
			t.Errorf("another key, or %v", err)
		}
	})
}
