//go:build unix

package tpm

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"sbid/attest"
)

func softwareKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestImport(t *testing.T) {
	soft, dir, ctx := startTPM(t), t.TempDir(), t.Context()
	store := openStore(t, soft, dir)
	private := softwareKey(t, keyBits)
	signer, err := store.Import(ctx, "device", private)
	if err != nil {
		t.Fatal(err)
	}
	mustSign(t, signer)
	if !private.PublicKey.Equal(signer.Public()) {
		t.Error("imported another key")
	}
	if _, err := store.Import(ctx, "device", private); !errors.Is(err, attest.ErrKeyExists) {
		t.Errorf("imported over a key: %v", err)
	}
	for _, name := range fileNames(t, dir) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if hit := privateKeyIn(text, &private.PublicKey); hit != "" {
			t.Errorf("%s holds %s", name, hit)
		}
	}
	soft.stop()
	soft.start(t)
	store = openStore(t, soft, dir)
	again, err := store.Signer(ctx, "device")
	if err != nil {
		t.Fatal(err)
	}
	mustSign(t, again)
	create(t, store, "made")
	for name, want := range map[string]Origin{"device": OriginImported, "made": OriginStorage} {
		if origin, err := store.Origin(name); err != nil || origin != want {
			t.Errorf("%s is of origin %q, %v", name, origin, err)
		}
	}
	for name, want := range map[string]error{"absent": attest.ErrNoKey, "UPPER": nil} {
		if origin, err := store.Origin(name); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s is of origin %q, %v", name, origin, err)
		}
	}

	// The TPM says it too.
	statement, err := store.Certify(ctx, "device", nil)
	if err != nil {
		t.Fatal(err)
	}
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](statement.Public)
	if err != nil {
		t.Fatal(err)
	}
	if a := public.ObjectAttributes; a.FixedTPM || a.FixedParent || a.SensitiveDataOrigin || !a.NoDA || a.Restricted {
		t.Errorf("attributes %+v", a)
	}
	soft.clear(t)
	wantErr(t, "an imported key", openKey(store, "device"), ErrCleared)
	soft.wantEmpty(t)
}

// An imported key is not taken for one of the TPM's, whatever its record says.
func TestImportedRecordForged(t *testing.T) {
	soft, dir := startTPM(t), t.TempDir()
	store := openStore(t, soft, dir)
	if _, err := store.Import(t.Context(), "device", softwareKey(t, keyBits)); err != nil {
		t.Fatal(err)
	}
	k, err := store.readKey("device")
	if err != nil {
		t.Fatal(err)
	}
	k.record.Origin = OriginStorage
	text, err := k.record.marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "device.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "a key with another's origin", openKey(store, "device"), ErrDamaged)
}

func TestImportRefuses(t *testing.T) {
	soft, dir := startTPM(t), t.TempDir()
	store := openStore(t, soft, dir)
	good := softwareKey(t, keyBits)
	exponent := *good
	exponent.E = 3
	primes := *good
	primes.Primes = append(slices.Clone(good.Primes), big.NewInt(3))
	public := *good
	public.N = softwareKey(t, keyBits).N
	for what, test := range map[string]struct {
		name string
		key  *rsa.PrivateKey
		want error // nil: any
	}{
		"RSA-3072":     {"device", softwareKey(t, 3072), attest.ErrWeakKey},
		"RSA-1024":     {"device", softwareKey(t, 1024), attest.ErrWeakKey},
		"exponent 3":   {"device", &exponent, attest.ErrWeakKey},
		"three primes": {"device", &primes, attest.ErrWeakKey},
		"other public": {"device", &public, nil},
		"no key":       {"device", nil, nil},
		"the FTM key":  {FTMKey, good, nil},
		"no name":      {"", good, nil},
	} {
		if _, err := store.Import(t.Context(), test.name, test.key); err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if names := fileNames(t, dir); len(names) > 0 {
		t.Errorf("left on the disk: %v", names)
	}
	soft.wantEmpty(t)
}
