//go:build hardware

package tpm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// bareDevice is the chip without the kernel's resource manager.
const bareDevice = "/dev/tpm0"

func openNode(t testing.TB, device string) *Store {
	t.Helper()
	store, err := Open(t.Context(), Config{Device: device, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// Many stores have the resource manager open at once, and sign at once.
func TestHardwareTwoOpeners(t *testing.T) {
	var all sync.WaitGroup
	for opener := range 2 {
		store := openNode(t, DefaultDevice)
		for _, name := range []string{"device", "other"} {
			signer := create(t, store, name)
			all.Go(func() {
				for i := range 5 {
					if err := sign(signer, fmt.Sprint(opener, name, i)); err != nil {
						t.Errorf("opener %d, key %s: %v", opener, name, err)
					}
				}
			})
		}
		ftm := create(t, store, FTMKey)
		all.Go(func() { mustSign(t, ftm) })
	}
	all.Wait()
}

// What the machine proves with its TPM comes through the resource manager whole:
// the attestation key, statements about keys, registers and the counter.
func TestHardwareEvidence(t *testing.T) {
	store, qualifying := openNode(t, DefaultDevice), []byte("nonce")
	create(t, store, "device")
	ak := attestationKey(t, store)
	statement, err := store.Certify(t.Context(), "device", qualifying)
	if err != nil {
		t.Fatal(err)
	}
	about := attested(t, ak, statement.Attest, statement.Signature)
	if got, err := about.Attested.Certify(); err != nil || len(got.Name.Buffer) == 0 || !bytes.Equal(about.ExtraData.Buffer, qualifying) {
		t.Errorf("certified %+v with %q, %v", got, about.ExtraData.Buffer, err)
	}
	quote, err := store.Quote(t.Context(), []int{0, 7}, qualifying)
	if err != nil {
		t.Fatal(err)
	}
	attested(t, ak, quote.Attest, quote.Signature)
	if len(quote.PCRs) != 2 {
		t.Errorf("quoted %d registers, want 2", len(quote.PCRs))
	}
	first := mustIncrement(t, store)
	if second := mustIncrement(t, store); second <= first || certifiedCount(t, store, "nonce") != second {
		t.Errorf("the counter went from %d to %d", first, second)
	}
}

// A store that lives on finds its keys again through the same node.
func TestHardwareKeysStay(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		store, err := Open(t.Context(), Config{Dir: dir}) // of the default device
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			create(t, store, "device")
			create(t, store, FTMKey)
		}
		for _, name := range []string{"device", FTMKey} {
			signer, err := store.Signer(t.Context(), name)
			if err != nil {
				t.Fatalf("round %d, %s: %v", round, name, err)
			}
			mustSign(t, signer)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The resource manager gives each opener the chip's few slots, and takes back what
// an opener leaves. Nothing that a store does may use them up.
func TestHardwareSlots(t *testing.T) {
	store := openNode(t, DefaultDevice)
	signer := create(t, store, "device")
	hog := &node{path: DefaultDevice}
	load := func() error {
		_, err := (&task{chip: &chip{wire: hog}, tpm: (&chip{wire: hog}).transport(context.Background())}).
			primary(tpm2.TPMRHOwner, tpm2.PasswordAuth(nil), srkTemplate, nil)
		return err
	}
	loaded := 0
	var err error
	for ; loaded < 100 && err == nil; loaded++ {
		err = load()
	}
	if !errors.Is(err, tpm2.TPMRCObjectMemory) || loaded < 3 {
		t.Fatalf("a program that flushes nothing loaded %d objects and got %v", loaded, err)
	}
	for range 4 * loaded {
		mustSign(t, signer)
	}
	if err := hog.close(); err != nil {
		t.Error(err)
	}
	if err := load(); err != nil {
		t.Errorf("the slots of an opener that is gone: %v", err)
	}
	if err := hog.close(); err != nil {
		t.Error(err)
	}
}

// The bare chip admits one opener, and the next is told what to do. A store leaves
// nothing in it.
func TestHardwareBareChip(t *testing.T) {
	store, err := Open(t.Context(), Config{Device: bareDevice, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	mustSign(t, create(t, store, "device"))
	if second, err := Open(t.Context(), Config{Device: bareDevice, Dir: t.TempDir()}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second opener of the bare chip: %v; want %v", err, ErrInUse)
		if err == nil {
			second.Close()
		}
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}

	bare := &chip{wire: &node{path: bareDevice}, raw: true}
	check := &task{chip: bare, tpm: bare.transport(context.Background())}
	for _, first := range []uint32{transientFirst, sessionFirst} {
		if handles, err := check.handles(first, maxHandles); err != nil || len(handles) > 0 {
			t.Errorf("left in the chip: %#x, %v", handles, err)
		}
	}
	if err := bare.wire.close(); err != nil {
		t.Error(err)
	}
}

// No TPM at the path is told from one that is held.
func TestHardwareNoTPM(t *testing.T) {
	if store, err := Open(t.Context(), Config{Device: "/dev/tpmrm9", Dir: t.TempDir()}); !errors.Is(err, ErrNoTPM) {
		t.Errorf("no such node: %v; want %v", err, ErrNoTPM)
		if err == nil {
			store.Close()
		}
	}
}

// BenchmarkHardwareSign compares the resource manager's way with the bare chip's
// and with software.
func BenchmarkHardwareSign(b *testing.B) {
	software, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		b.Fatal(err)
	}
	digest := make([]byte, crypto.SHA256.Size())
	run := func(name string, signer crypto.Signer) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := signer.Sign(rand.Reader, digest, crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("software", software)
	for _, device := range []string{DefaultDevice, bareDevice} {
		run(device, create(b, openNode(b, device), "device"))
	}
}
