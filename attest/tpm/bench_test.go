//go:build unix

package tpm

import (
	"crypto"
	"crypto/rand"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// bareSign returns TPM2_Sign with a key that is loaded already and a password
// in clear: nothing can be faster in this TPM.
func bareSign(b *testing.B, s *softTPM) func() error {
	b.Helper()
	task := s.task()
	o, err := task.primary(tpm2.TPMRHOwner, tpm2.PasswordAuth(nil), signingTemplate(signingAttributes, nil), nil)
	if err != nil {
		b.Fatal(err)
	}
	// Kept, so that it takes no slot from the store.
	if err := task.evictControl(o, persistentFirst-1); err != nil {
		b.Fatal(err)
	}
	if err := task.unload(o); err != nil {
		b.Fatal(err)
	}
	return func() error {
		_, err := tpm2.Sign{
			KeyHandle:  tpm2.AuthHandle{Handle: persistentFirst - 1, Name: o.name, Auth: tpm2.PasswordAuth(nil)},
			Digest:     tpm2.TPM2BDigest{Buffer: make([]byte, crypto.SHA256.Size())},
			Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
		}.Execute(task.tpm)
		return err
	}
}

// BenchmarkAgainstBareSign compares what the store does with TPM2_Sign alone,
// one after the other in the same run: the ratio is what sessions, loading and
// flushing cost. The TPM is swtpm, with the SRK made each time as without a
// resource manager, or kept as behind one.
func BenchmarkAgainstBareSign(b *testing.B) {
	soft := startTPM(b)
	store := openStore(b, soft, b.TempDir())
	bare := bareSign(b, soft)
	device, ftm := create(b, store, "device"), create(b, store, FTMKey)
	digest := make([]byte, crypto.SHA256.Size())
	signWith := func(signer crypto.Signer) func() error {
		return func() error {
			_, err := signer.Sign(rand.Reader, digest, crypto.SHA256)
			return err
		}
	}
	for _, op := range []struct {
		name string
		run  func() error
	}{
		{"bare", bare},
		{"sign device", signWith(device)},
		{"sign ftm", signWith(ftm)},
		{"certify device", func() error { _, err := store.Certify(b.Context(), "device", digest); return err }},
		{"quote", func() error { _, err := store.Quote(b.Context(), []int{0, 1, 2, 3, 4, 5, 6, 7}, digest); return err }},
		{"increment", func() error { _, err := store.IncrementCounter(b.Context()); return err }},
		{"certify counter", func() error { _, err := store.CertifyCounter(b.Context(), digest); return err }},
	} {
		for _, raw := range []bool{true, false} {
			name := op.name
			if !raw {
				name += ", SRK kept"
			}
			b.Run(name, func(b *testing.B) {
				store.chip.raw = raw
				defer func() {
					if err := store.chip.release(); err != nil {
						b.Error(err)
					}
				}()
				if err := op.run(); err != nil { // once for what is made when first used
					b.Fatal(err)
				}
				var alone time.Duration
				for b.Loop() {
					if err := op.run(); err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
					begin := time.Now()
					if err := bare(); err != nil {
						b.Fatal(err)
					}
					alone += time.Since(begin)
					b.StartTimer()
				}
				b.ReportMetric(float64(b.Elapsed())/float64(alone), "x-bare")
			})
		}
	}
}
