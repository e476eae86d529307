//go:build unix

package tpm

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"testing"
)

// BenchmarkSign compares a key in a TPM, here swtpm without a resource manager,
// with one in software.
func BenchmarkSign(b *testing.B) {
	store := openStore(b, startTPM(b), b.TempDir())
	software, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		b.Fatal(err)
	}
	digest := make([]byte, crypto.SHA256.Size())
	run := func(name string, raw bool, signer crypto.Signer) {
		b.Run(name, func(b *testing.B) {
			store.chip.raw = raw
			for b.Loop() {
				if _, err := signer.Sign(rand.Reader, digest, crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	device, ftm := create(b, store, "device"), create(b, store, FTMKey)
	run("device", true, device)
	run("device, SRK loaded", false, device)
	run("ftm", true, ftm)
	run("ftm, SRK loaded", false, ftm)
	run("software", true, software)
}
