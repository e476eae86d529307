//go:build unix

package sbi

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"io"
	"math/big"
	"sync"
	"testing"
	"time"

	"sbid/attest"
	"sbid/attest/tpm"
	"sbid/attest/tpm/tpmtest"
	"sbid/driver"
	"sbid/simulator"
)

// A chip signs one thing at a time, as slowly as chips do.
type chip struct {
	crypto.Signer
	turn  sync.Mutex
	delay time.Duration
}

func (c *chip) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	c.turn.Lock()
	defer c.turn.Unlock()
	time.Sleep(c.delay)
	return c.Signer.Sign(r, digest, opts)
}

// BenchmarkSignedInTPM times a slap of four fingers from the choice of its frame
// to the answer, with the device key in a TPM, against the TPM's own time for
// four signatures: what the signing adds to a capture is at most that, since one
// finger is signed while the next is encoded.
func BenchmarkSignedInTPM(b *testing.B) {
	store, err := tpm.Open(b.Context(), tpm.Config{Device: tpmtest.Start(b), Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	key, err := store.Create(b.Context(), "device")
	if err != nil {
		b.Fatal(err)
	}
	slap, _ := simulator.NewPerson(1).Slap(driver.Left, nil, simulator.Pose{})
	for name, delay := range map[string]time.Duration{"software": 0, "chip of 200 ms": 200 * time.Millisecond} {
		b.Run(name, func(b *testing.B) {
			signer := &chip{Signer: key, delay: delay}
			id := tpmIdentity(b, signer)
			d, scanner := benchDevice("1", driver.Finger, driver.Frame{Image: slap, DPI: 500})
			s := serve(b, d)
			if err := s.SetKeys(d, &Keys{Device: id, DigitalID: id}); err != nil {
				b.Fatal(err)
			}
			addr := s.listener.Addr().String()
			const body = `{"env":"Developer","purpose":"Registration","specVersion":"0.9.5","timeout":"10000","transactionId":"bench-1",
				"bio":[{"type":"Finger","count":"4","requestedScore":"1","deviceId":"1","deviceSubId":"1"}]}`
			var whole, signing time.Duration
			for b.Loop() {
				answer, err := request(dial(b, addr), "RCAPTURE", "/capture", body)
				if err != nil {
					b.Fatal(err)
				}
				whole += time.Since(scanner.chosen)
				imagesOf(b, answer, 4)
				start := time.Now()
				for range 4 {
					digest := sha256.Sum256(answer)
					if _, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
						b.Fatal(err)
					}
				}
				signing += time.Since(start)
			}
			b.ReportMetric(whole.Seconds()*1000/float64(b.N), "answer-ms")
			b.ReportMetric(signing.Seconds()*1000/float64(b.N), "signatures-ms")
			b.ReportMetric(whole.Seconds()/signing.Seconds(), "answer/signatures")
		})
	}
}

// tpmIdentity certifies a key with itself.
func tpmIdentity(b *testing.B, signer crypto.Signer) *attest.Identity {
	b.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), SignatureAlgorithm: x509.SHA256WithRSA}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		b.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		b.Fatal(err)
	}
	id, err := attest.NewIdentity(signer, []*x509.Certificate{cert})
	if err != nil {
		b.Fatal(err)
	}
	return id
}
