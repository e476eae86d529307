package tpm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"
)

// A Quote is the TPM's word on what its platform configuration registers hold.
type Quote struct {
	Statement // Public is empty: it is about no object
	// PCRs are the registers quoted, by number: 32 bytes each, of the SHA-256
	// bank. The statement has the digest over all of them, in ascending order.
	PCRs map[int][]byte
}

const (
	pcrCount   = 24 // that every TPM of a PC has
	quoteTries = 5  // a register may be extended between reading and quoting
)

// ErrPCRBank means that the firmware keeps the registers in other hash
// algorithms only.
var ErrPCRBank = errors.New("TPM has no SHA-256 bank of platform configuration registers: enable it in the firmware setup")

// Quote has the TPM state what the registers pcrs, numbers from 0 to 23, hold.
// Qualifying, at most 32 bytes, comes back as the statement's extraData.
func (s *Store) Quote(ctx context.Context, pcrs []int, qualifying []byte) (Quote, error) {
	quote, err := s.quote(ctx, slices.Compact(slices.Sorted(slices.Values(pcrs))), qualifying)
	if err != nil {
		return Quote{}, fmt.Errorf("quote registers: %w", err)
	}
	return quote, nil
}

func (s *Store) quote(ctx context.Context, pcrs []int, qualifying []byte) (Quote, error) {
	if len(pcrs) == 0 || pcrs[0] < 0 || pcrs[len(pcrs)-1] >= pcrCount {
		return Quote{}, fmt.Errorf("registers %v, expected numbers from 0 to %d", pcrs, pcrCount-1)
	}
	if err := checkQualifying(qualifying); err != nil {
		return Quote{}, err
	}
	return stated(ctx, s, func(t *task, ak *key, by *object) (Quote, error) {
		srk, err := t.root()
		if err != nil {
			return Quote{}, err
		}
		for range quoteTries {
			values, err := t.readPCRs(pcrs)
			if err != nil {
				return Quote{}, err
			}
			rsp, err := tpm2.Quote{
				SignHandle:     tpm2.AuthHandle{Handle: by.handle, Name: by.name, Auth: proof(srk, ak.auth)},
				QualifyingData: tpm2.TPM2BData{Buffer: qualifying},
				InScheme:       tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
				PCRSelect:      selectPCRs(pcrs),
			}.Execute(t.tpm)
			if err != nil {
				return Quote{}, refused(err, ak)
			}
			statement, err := ak.statement(rsp.Quoted, rsp.Signature)
			if err != nil {
				return Quote{}, err
			}
			same, err := quotes(rsp.Quoted, pcrs, values)
			if err != nil {
				return Quote{}, err
			}
			if same {
				return Quote{statement, values}, nil
			}
		}
		return Quote{}, fmt.Errorf("%w: registers changed in each of %d tries", ErrBusy, quoteTries)
	})
}

// quotes says whether a statement is about these values.
func quotes(quoted tpm2.TPM2BAttest, pcrs []int, values map[int][]byte) (bool, error) {
	contents, err := quoted.Contents()
	if err != nil {
		return false, err
	}
	info, err := contents.Attested.Quote()
	if err != nil {
		return false, err
	}
	digest := sha256.New()
	for _, pcr := range pcrs {
		digest.Write(values[pcr])
	}
	return bytes.Equal(info.PCRDigest.Buffer, digest.Sum(nil)), nil
}

// selectPCRs is the selection of registers in the SHA-256 bank.
func selectPCRs(pcrs []int) tpm2.TPMLPCRSelection {
	var numbers []uint
	for _, pcr := range pcrs {
		numbers = append(numbers, uint(pcr))
	}
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
		Hash:      tpm2.TPMAlgSHA256,
		PCRSelect: tpm2.PCClientCompatible.PCRs(numbers...),
	}}}
}

// readPCRs reads registers, as many at a time as the TPM gives.
func (t *task) readPCRs(pcrs []int) (map[int][]byte, error) {
	values := map[int][]byte{}
	for left := pcrs; len(left) > 0; {
		rsp, err := tpm2.PCRRead{PCRSelectionIn: selectPCRs(left)}.Execute(t.tpm)
		if err != nil {
			return nil, err
		}
		got := rsp.PCRValues.Digests
		if len(got) == 0 || len(got) > len(left) {
			return nil, fmt.Errorf("%w (register %d)", ErrPCRBank, left[0])
		}
		for i, value := range got {
			values[left[i]] = value.Buffer
		}
		left = left[len(got):]
	}
	return values, nil
}
