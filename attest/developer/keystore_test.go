package developer

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sbid/attest"
)

func openWith(t *testing.T, dir string, keys attest.KeyStore) *Set {
	t.Helper()
	s, err := OpenWith(dir, organisation, []string{"slap"}, start, keys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func fileStore(t *testing.T) *attest.FileStore {
	t.Helper()
	keys, err := attest.NewFileStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// The keys that SBI signs with are in the store that was given, and nowhere
// else; the authorities' are not.
func TestGivenKeyStore(t *testing.T) {
	dir, keys := t.TempDir(), fileStore(t)
	s := openWith(t, dir, keys)
	check(t, s, "slap")
	if _, err := s.Rotate("slap", start); err != nil {
		t.Fatal(err)
	}
	check(t, s, "slap")
	names, err := keys.List(t.Context())
	if want := []string{"device.slap.2", "ftm"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("in the given store: %v, %v, want %v", names, err, want)
	}
	for _, name := range take(dir).names() {
		if key, ok := strings.CutPrefix(name, "keys/"); ok && slices.Contains(names, strings.TrimSuffix(key, filepath.Ext(key))) {
			t.Errorf("%s is in the state directory", name)
		}
	}
	id := s.Device("slap")
	s.Close()
	if again := openWith(t, dir, keys).Device("slap"); !again.Certificate().Equal(id.Certificate()) {
		t.Error("the next start has another certificate")
	}
}

// losing is a key store that lost some keys for good.
type losing struct {
	*attest.FileStore
	lost *sync.Map
}

func (l losing) Signer(ctx context.Context, name string) (crypto.Signer, error) {
	if _, lost := l.lost.Load(name); lost {
		return nil, fmt.Errorf("key %s: %w", name, attest.ErrKeyLost)
	}
	return l.FileStore.Signer(ctx, name)
}

func (l losing) Delete(ctx context.Context, name string) error {
	l.lost.Delete(name)
	return l.FileStore.Delete(ctx, name)
}

func TestLostKeys(t *testing.T) {
	dir, keys := t.TempDir(), losing{fileStore(t), new(sync.Map)}
	s := openWith(t, dir, keys)
	was := s.Device("slap").Certificate()
	s.Close()

	keys.lost.Store(keyName("slap", 1), nil)
	s = openWith(t, dir, keys)
	check(t, s, "slap")
	is := s.Device("slap").Certificate()
	if string(is.RawSubjectPublicKeyInfo) == string(was.RawSubjectPublicKeyInfo) {
		t.Error("the lost key is in use")
	}
	if names, err := keys.List(t.Context()); err != nil || !slices.Equal(names, []string{"device.slap.2", "ftm"}) {
		t.Errorf("keys: %v, %v", names, err)
	}
	s.Close()

	keys.lost.Store(ftmKey, nil)
	if _, err := OpenWith(dir, organisation, nil, start, keys); !errors.Is(err, attest.ErrKeyLost) {
		t.Errorf("without the FTM key: %v", err)
	}
}
