//go:build unix

package tpm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// extend extends a register, as firmware does when it measures something.
func (s *softTPM) extend(pcr int, text string) error {
	digest := sha256.Sum256([]byte(text))
	_, err := tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)},
		Digests: tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{
			{HashAlg: tpm2.TPMAlgSHA256, Digest: digest[:]},
		}},
	}.Execute(s.task().tpm)
	return err
}

func TestQuote(t *testing.T) {
	soft, ctx := startTPM(t), t.Context()
	store := openStore(t, soft, t.TempDir())
	ak := attestationKey(t, store)
	if err := soft.extend(7, "measured"); err != nil {
		t.Fatal(err)
	}
	all := make([]int, pcrCount)
	for i := range all {
		all[i] = i
	}
	for _, pcrs := range [][]int{{7}, {23, 0, 7, 7}, all} {
		quote, err := store.Quote(ctx, pcrs, []byte("nonce"))
		if err != nil {
			t.Fatal(err)
		}
		says := attested(t, ak, quote.Attest, quote.Signature)
		info, err := says.Attested.Quote()
		if err != nil {
			t.Fatal(err)
		}
		digest, want := sha256.New(), slices.Compact(slices.Sorted(slices.Values(pcrs)))
		for _, pcr := range want {
			digest.Write(quote.PCRs[pcr])
		}
		if len(quote.PCRs) != len(want) || !bytes.Equal(digest.Sum(nil), info.PCRDigest.Buffer) || string(says.ExtraData.Buffer) != "nonce" {
			t.Errorf("%v: %d values, and not those quoted", pcrs, len(quote.PCRs))
		}
		measured := sha256.Sum256([]byte("measured"))
		if value := sha256.Sum256(append(make([]byte, 32), measured[:]...)); !bytes.Equal(quote.PCRs[7], value[:]) {
			t.Errorf("%v: register 7 holds %x", pcrs, quote.PCRs[7])
		}
	}
	for _, pcrs := range [][]int{nil, {-1}, {24}} {
		if _, err := store.Quote(ctx, pcrs, nil); err == nil {
			t.Errorf("quoted %v", pcrs)
		}
	}
	if _, err := store.Quote(ctx, all, make([]byte, 33)); err == nil {
		t.Error("quoted with 33 bytes")
	}
	soft.wantEmpty(t)
}

// Registers that change all the time are quoted as they were at one moment, or
// not at all.
func TestQuoteWhileMeasuring(t *testing.T) {
	soft := startTPM(t)
	store := openStore(t, soft, t.TempDir())
	attestationKey(t, store)
	stop := make(chan struct{})
	var measuring sync.WaitGroup
	measuring.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				if err := soft.extend(10, fmt.Sprint(i)); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for range 5 {
		quote, err := store.Quote(t.Context(), []int{10}, nil)
		if errors.Is(err, ErrBusy) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		attestation, err := tpm2.Unmarshal[tpm2.TPMSAttest](quote.Attest)
		if err != nil {
			t.Fatal(err)
		}
		info, err := attestation.Attested.Quote()
		if err != nil {
			t.Fatal(err)
		}
		if digest := sha256.Sum256(quote.PCRs[10]); !bytes.Equal(info.PCRDigest.Buffer, digest[:]) {
			t.Error("the value is not the one quoted")
		}
	}
	close(stop)
	measuring.Wait()
}
