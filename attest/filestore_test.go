package attest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

func newStore(t *testing.T) (*FileStore, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	s, err := NewFileStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func TestFileStoreKeepsKeys(t *testing.T) {
	s, dir := newStore(t)
	ctx := t.Context()
	if _, err := s.Signer(ctx, "ftm"); !errors.Is(err, ErrNoKey) {
		t.Errorf("a key that was never made: %v", err)
	}
	made, err := s.Create(ctx, "ftm")
	if err != nil {
		t.Fatal(err)
	}
	if public, ok := made.Public().(*rsa.PublicKey); !ok || public.N.BitLen() != 2048 {
		t.Errorf("made %T", made.Public())
	}
	if _, err := s.Create(ctx, "ftm"); !errors.Is(err, ErrKeyExists) {
		t.Errorf("made twice: %v", err)
	}
	again, err := NewFileStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := again.Signer(ctx, "ftm")
	if err != nil || !loaded.(*rsa.PrivateKey).Equal(made.(crypto.PrivateKey)) {
		t.Errorf("another key after loading, or %v", err)
	}
	if runtime.GOOS != "windows" {
		for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "ftm.pem"): 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: mode %v, want %v, %v", path, info.Mode().Perm(), want, err)
			}
		}
	}
	for range 2 {
		if err := s.Delete(ctx, "ftm"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Signer(ctx, "ftm"); !errors.Is(err, ErrNoKey) {
		t.Errorf("a deleted key: %v", err)
	}
	if _, err := made.Sign(rand.Reader, make([]byte, 32), crypto.SHA256); err != nil {
		t.Errorf("a signer in use does not survive the deletion: %v", err)
	}
}

func TestFileStoreImports(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	if _, err := s.Import(ctx, "device", deviceKey()); err != nil {
		t.Fatal(err)
	}
	loaded, err := s.Signer(ctx, "device")
	if err != nil || !loaded.(*rsa.PrivateKey).Equal(deviceKey()) {
		t.Errorf("another key after loading, or %v", err)
	}
	if _, err := s.Import(ctx, "device", otherKey()); !errors.Is(err, ErrKeyExists) {
		t.Errorf("over another: %v", err)
	}
	if _, err := s.Import(ctx, "short", shortKey(t)); !errors.Is(err, ErrWeakKey) {
		t.Errorf("a short key: %v", err)
	}
	if _, err := s.Import(ctx, "../device", otherKey()); err == nil {
		t.Error("imported outside the directory")
	}
	if names, err := s.List(ctx); err != nil || !slices.Equal(names, []string{"device"}) {
		t.Errorf("keys %v, %v", names, err)
	}
}

func TestFileStoreNames(t *testing.T) {
	s, dir := newStore(t)
	ctx := t.Context()
	outside := writeKey(t, filepath.Dir(dir), "outside.pem", deviceKey())
	for _, name := range []string{
		"", ".", "..", "../outside", `..\outside`, "a/b", "/etc/passwd", "Ftm", "a b", "a\x00", "ä", "-a", "a.", ".a",
		"c:a", strings.Repeat("a", 65),
	} {
		if _, err := s.Signer(ctx, name); err == nil || errors.Is(err, ErrNoKey) {
			t.Errorf("%q names a key: %v", name, err)
		}
		if _, err := s.Create(ctx, name); err == nil {
			t.Errorf("%q was made", name)
		}
		if err := s.Delete(ctx, name); err == nil {
			t.Errorf("%q was deleted", name)
		}
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"a", "7", "device.finger-slap_2.13", strings.Repeat("a", 64)} {
		if _, err := s.Signer(ctx, name); !errors.Is(err, ErrNoKey) {
			t.Errorf("%q does not name a key: %v", name, err)
		}
	}
}

func TestFileStoreList(t *testing.T) {
	s, dir := newStore(t)
	for _, name := range []string{"b", "a", "device.x.1"} {
		writeKey(t, dir, name+".pem", deviceKey())
	}
	for _, name := range []string{"c.pem.tmp", "notes.txt", ".pem", "UPPER.pem"} {
		writeFile(t, dir, name, nil)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.pem"), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := s.List(t.Context())
	if want := []string{"a", "b", "device.x.1"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.List(t.Context()); err == nil {
		t.Error("a store whose directory is gone lists nothing without an error")
	}
}

// A file that holds no usable key is an error with its name, not a missing key:
// nobody may take it for one and make another.
func TestFileStoreDamagedFiles(t *testing.T) {
	s, dir := newStore(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(writeKey(t, dir, "whole.pem", deviceKey()))
	if err != nil {
		t.Fatal(err)
	}
	writeKey(t, dir, "elliptic.pem", ec)
	writeKey(t, dir, "short.pem", shortKey(t))
	for name, data := range map[string][]byte{
		"empty.pem":    nil,
		"cut.pem":      whole[:len(whole)/2],
		"cut-tail.pem": whole[:len(whole)-3],
		"garbage.pem":  bytes.Repeat([]byte{0xFF}, 1000),
		"type.pem":     bytes.ReplaceAll(whole, []byte("PRIVATE KEY"), []byte("CERTIFICATE")),
		"inner.pem":    []byte("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"),
		"large.pem":    append(bytes.Repeat([]byte("\n"), maxFileSize), whole...),
	} {
		writeFile(t, dir, name, data)
	}
	names, err := s.List(t.Context())
	if err != nil || len(names) != 10 {
		t.Fatalf("%v, %v", names, err)
	}
	for _, name := range names {
		_, err := s.Signer(t.Context(), name)
		if name == "whole" {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil || errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), name+".pem") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.Create(t.Context(), name); !errors.Is(err, ErrKeyExists) {
			t.Errorf("%s was made over what was there: %v", name, err)
		}
	}
}

func TestFileStoreRefusesReadableKeys(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("Windows has no such modes")
		return
	}
	s, dir := newStore(t)
	path := writeKey(t, dir, "ftm.pem", deviceKey())
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o644: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Signer(t.Context(), "ftm"); (err == nil) != ok {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
}

func TestFileStoreCreatesOnce(t *testing.T) {
	s, _ := newStore(t)
	var mu sync.Mutex
	var made []crypto.Signer
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			key, err := s.Create(t.Context(), "ftm")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made = append(made, key)
			} else if !errors.Is(err, ErrKeyExists) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(made) != 1 {
		t.Fatalf("made %d times", len(made))
	}
	loaded, err := s.Signer(t.Context(), "ftm")
	if err != nil || !loaded.(*rsa.PrivateKey).Equal(made[0].(crypto.PrivateKey)) {
		t.Errorf("the file holds another key than was returned, or %v", err)
	}
}

func TestFileStoreHeedsContext(t *testing.T) {
	s, dir := newStore(t)
	writeKey(t, dir, "ftm.pem", deviceKey())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, signerErr := s.Signer(ctx, "ftm")
	_, createErr := s.Create(ctx, "new")
	_, listErr := s.List(ctx)
	for _, err := range []error{signerErr, createErr, listErr, s.Delete(ctx, "ftm")} {
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if _, err := s.Signer(t.Context(), "ftm"); err != nil {
		t.Error(err)
	}
}

func BenchmarkFileStoreSigner(b *testing.B) {
	dir := b.TempDir()
	writeKey(b, dir, "ftm.pem", deviceKey())
	s, err := NewFileStore(dir)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Signer(b.Context(), "ftm"); err != nil {
			b.Fatal(err)
		}
	}
}
