//go:build unix

package tpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

func mustIncrement(t *testing.T, s *Store) uint64 {
	t.Helper()
	value, err := s.IncrementCounter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// certifiedCount checks a certified counter as one who only has bytes does.
func certifiedCount(t *testing.T, s *Store, qualifying string) uint64 {
	t.Helper()
	statement, err := s.CertifyCounter(t.Context(), []byte(qualifying))
	if err != nil {
		t.Fatal(err)
	}
	says := attested(t, attestationKey(t, s), statement.Attest, statement.Signature)
	info, err := says.Attested.NV()
	if err != nil {
		t.Fatal(err)
	}
	public, err := tpm2.Unmarshal[tpm2.TPMSNVPublic](statement.Public)
	if err != nil {
		t.Fatal(err)
	}
	name, err := tpm2.NVName(public)
	if err != nil || !sameName(*name, info.IndexName) || public.Attributes.NT != tpm2.TPMNTCounter || !public.Attributes.Written {
		t.Errorf("not of a counter: %+v, %v", public, err)
	}
	if string(says.ExtraData.Buffer) != qualifying || info.Offset != 0 || len(info.NVContents.Buffer) != counterSize {
		t.Errorf("extra data %q, %d bytes at %d", says.ExtraData.Buffer, len(info.NVContents.Buffer), info.Offset)
	}
	return binary.BigEndian.Uint64(info.NVContents.Buffer)
}

func TestCounter(t *testing.T) {
	soft, dir := startTPM(t), t.TempDir()
	store := openStore(t, soft, dir)
	// Certified before it has a value: it gets one.
	first := certifiedCount(t, store, "one")
	if first == 0 {
		t.Error("certified a counter that has no value")
	}
	if again := certifiedCount(t, store, "two"); again != first {
		t.Errorf("certifying counts: %d, then %d", first, again)
	}
	last := first
	next := func(when string) {
		t.Helper()
		value := mustIncrement(t, store)
		if value != last+1 || certifiedCount(t, store, when) != value {
			t.Errorf("%s: %d after %d", when, value, last)
		}
		last = value
	}
	next("at once")
	soft.stop()
	soft.start(t)
	next("after a power cut")
	soft.clear(t)
	next("after TPM2_Clear")
	store = openStore(t, soft, dir)
	next("of another store")
	// The disk was lost, the TPM was not.
	if err := os.Remove(filepath.Join(dir, "_counter.auth")); err != nil {
		t.Fatal(err)
	}
	store = openStore(t, soft, dir)
	next("without its authorisation value")
	soft.wantEmpty(t)
}

func TestCounterTaken(t *testing.T) {
	soft, ctx := startTPM(t), t.Context()
	dir := t.TempDir()
	store := openStore(t, soft, dir)
	mustIncrement(t, store)
	mustIncrement(t, openStore(t, soft, t.TempDir())) // takes it over
	if _, err := store.IncrementCounter(ctx); !errors.Is(err, ErrCounterTaken) {
		t.Errorf("incremented another's counter: %v", err)
	}
	if _, err := store.CertifyCounter(ctx, nil); !errors.Is(err, ErrCounterTaken) {
		t.Errorf("certified another's counter: %v", err)
	}
	// An ordinary index could hold any number.
	const index = 0x01805B1E
	soft.defineNV(t, index, bytes.Repeat([]byte{1}, counterSize))
	other, err := Open(ctx, Config{Device: soft.device(), Dir: dir, Counter: index})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.IncrementCounter(ctx); !errors.Is(err, ErrCounterTaken) {
		t.Errorf("used an ordinary index: %v", err)
	}
	for _, index := range []uint32{1, 0x81010001} {
		if _, err := Open(ctx, Config{Device: soft.device(), Dir: dir, Counter: index}); err == nil {
			t.Errorf("opened with a counter at %#x", index)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "_counter.auth"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.IncrementCounter(ctx); !errors.Is(err, ErrDamaged) {
		t.Errorf("with a damaged file: %v", err)
	}
	soft.wantEmpty(t)
}

func TestCounterWithOwnerPassword(t *testing.T) {
	soft, ctx := startTPM(t), t.Context()
	store := openStore(t, soft, t.TempDir())
	attestationKey(t, store)
	soft.setAuth(t, tpm2.TPMRHOwner, "", "password")
	if _, err := store.IncrementCounter(ctx); !errors.Is(err, ErrHierarchyAuth) {
		t.Errorf("defined a counter: %v", err)
	}
	soft.setAuth(t, tpm2.TPMRHOwner, "password", "")
	mustIncrement(t, store)
	soft.wantEmpty(t)
}
