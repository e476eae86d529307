//go:build unix

package tpm

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// No private key is on the disk, in whatever form, and only the owner may read
// what is.
func TestFiles(t *testing.T) {
	soft, dir := startTPM(t), filepath.Join(t.TempDir(), "keys")
	store := openStore(t, soft, dir)
	device := create(t, store, "device").(*key)
	create(t, store, FTMKey)
	want := []string{"device.auth", "device.json", "device.pem", "ftm.auth", "ftm.json", "ftm.label", "lock"}
	names := fileNames(t, dir)
	if !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", info.Mode(), err)
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if hit := privateKeyIn(text, device.public); hit != "" {
			t.Errorf("%s holds %s", name, hit)
		}
	}

	if err := os.Chmod(filepath.Join(dir, "device.auth"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Signer(t.Context(), "device"); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file for all to read: %v", err)
	}
}

// privateKeyIn looks for what a private key in a file would be: PEM or DER
// that Go reads as one, anywhere in it, or a prime.
func privateKeyIn(text []byte, public *rsa.PublicKey) string {
	forms := [][]byte{text}
	for rest := text; ; {
		block, after := pem.Decode(rest)
		if block == nil {
			break
		}
		forms, rest = append(forms, block.Bytes), after
	}
	for _, form := range forms {
		for i := range form {
			if form[i] != 0x30 { // SEQUENCE
				continue
			}
			var inner asn1.RawValue
			if _, err := asn1.Unmarshal(form[i:], &inner); err != nil {
				continue
			}
			if _, err := x509.ParsePKCS8PrivateKey(inner.FullBytes); err == nil {
				return "a PKCS #8 key"
			}
			if _, err := x509.ParsePKCS1PrivateKey(inner.FullBytes); err == nil {
				return "a PKCS #1 key"
			}
		}
		// A prime on its own, as TPM2B_SENSITIVE keeps it: any half-size number
		// in the bytes that divides the modulus.
		size := public.Size() / 2
		for i := 0; i+size <= len(form); i++ {
			n := new(big.Int).SetBytes(form[i : i+size])
			if n.BitLen() > 8*size-8 && new(big.Int).Mod(public.N, n).Sign() == 0 {
				return "a prime factor"
			}
		}
	}
	return ""
}

// The search finds what it is for.
func TestPrivateKeyIn(t *testing.T) {
	software, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(software)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"PKCS #8 PEM": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		"PKCS #8":     append([]byte("before"), pkcs8...),
		"PKCS #1":     x509.MarshalPKCS1PrivateKey(software),
		"prime":       append([]byte("before"), software.Primes[1].Bytes()...),
	} {
		if privateKeyIn(text, &software.PublicKey) == "" {
			t.Errorf("%s is not found", name)
		}
	}
	if hit := privateKeyIn(x509.MarshalPKCS1PublicKey(&software.PublicKey), &software.PublicKey); hit != "" {
		t.Errorf("found %s in a public key", hit)
	}
}
