package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// quote checks that the registers hold what the document says.
func (v *verifier) quote() (string, error) {
	s, err := v.statement(labelQuote, tpm2.TPMSTAttestQuote)
	if err != nil {
		return "", err
	}
	info, err := s.attest.Attested.Quote()
	if err != nil {
		return "", err
	}
	var numbers []uint
	for _, pcr := range quotedPCRs {
		numbers = append(numbers, uint(pcr))
	}
	selected := tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
		Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(numbers...),
	}}}
	if !bytes.Equal(tpm2.Marshal(info.PCRSelect), tpm2.Marshal(selected)) {
		return "", fmt.Errorf("it is not of registers %d to %d of the SHA-256 bank", quotedPCRs[0], quotedPCRs[len(quotedPCRs)-1])
	}
	if len(s.about) != len(quotedPCRs)*sha256.Size {
		return "", errors.New("values of registers are missing")
	}
	if digest := sha256.Sum256(s.about); !bytes.Equal(digest[:], info.PCRDigest.Buffer) {
		return "", errors.New("the registers hold something else")
	}
	v.registers = map[int][]byte{}
	for i, pcr := range quotedPCRs {
		v.registers[pcr] = s.about[i*sha256.Size : (i+1)*sha256.Size]
	}
	return "The TPM vouches for what was measured into its registers.", nil
}

// logs checks what the registers' values mean.
func (v *verifier) logs() {
	var log *bootLog
	replayed := v.check(CheckEventLog, func() (_ string, err error) {
		log, err = v.replay()
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d events come to what the registers hold.", log.events), nil
	})
	v.check(CheckSecureBoot, func() (string, error) {
		if !replayed {
			return "", impossible{"There is no firmware log to believe. By its own word, the machine has it " + orUnknown(v.Claims.Host.SecureBoot) + "."}
		}
		switch log.secureBoot {
		case "on":
			return "The firmware started with Secure Boot.", nil
		case "off":
			return "", errors.New("the firmware started without Secure Boot")
		}
		return "", impossible{"The firmware did not measure whether it was on."}
	})
	v.check(CheckIMA, func() (string, error) {
		list, ok := v.parts[labelIMA]
		if !ok {
			return "", v.absent(labelIMA)
		}
		if v.registers == nil {
			return "", impossible{"There is no quote to compare it with."}
		}
		value, entries, err := replayIMA(list)
		if err != nil {
			return "", err
		}
		if !bytes.Equal(value[:], v.registers[imaPCR]) {
			return "", fmt.Errorf("%d entries do not come to what register %d holds", entries, imaPCR)
		}
		return fmt.Sprintf("%d entries come to what register %d holds.", entries, imaPCR), nil
	})
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// replay replays the firmware's log to the registers that firmware and boot
// loader extend; the kernel's own is the list's business. Boot loaders and
// kernels may extend some without writing it down here, from 8 on.
func (v *verifier) replay() (*bootLog, error) {
	data, ok := v.parts[labelEventLog]
	if !ok {
		return nil, v.absent(labelEventLog)
	}
	if v.registers == nil {
		return nil, impossible{"There is no quote to compare it with."}
	}
	log, err := replayEventLog(data)
	if err != nil {
		return nil, err
	}
	for _, pcr := range quotedPCRs {
		if value := log.registers[pcr]; pcr <= lastFirmwarePCR && !bytes.Equal(value[:], v.registers[pcr]) {
			return nil, fmt.Errorf("its events do not come to what register %d holds", pcr)
		}
	}
	return log, nil
}

// lastFirmwarePCR is the last register that the firmware alone extends.
const lastFirmwarePCR = 7

// audit checks that the counter of the audit log is one, and did not go back.
func (v *verifier) audit() (string, error) {
	s, err := v.statement(labelAudit, tpm2.TPMSTAttestNV)
	if err != nil {
		return "", err
	}
	info, err := s.attest.Attested.NV()
	if err != nil {
		return "", err
	}
	public, err := exactly[tpm2.TPMSNVPublic](s.about)
	if err != nil {
		return "", fmt.Errorf("public area: %w", err)
	}
	name, err := tpm2.NVName(public)
	switch {
	case err != nil:
		return "", err
	case !bytes.Equal(name.Buffer, info.IndexName.Buffer):
		return "", errors.New("the TPM's word is on another index")
	case public.Attributes.NT != tpm2.TPMNTCounter || !public.Attributes.Written:
		return "", errors.New("the index is no counter: it could hold any number")
	case info.Offset != 0 || len(info.NVContents.Buffer) != 8:
		return "", errors.New("it is not the whole of the counter")
	}
	v.State.CounterIndex = uint32(public.NVIndex)
	v.State.Counter = binary.BigEndian.Uint64(info.NVContents.Buffer)
	switch last := v.options.Last; {
	case last == nil || last.CounterIndex == 0:
		return fmt.Sprintf("It stands at %d; there is no earlier one to compare with.", v.State.Counter), nil
	case last.CounterIndex != v.State.CounterIndex:
		return "", fmt.Errorf("it is at index %#x, and was at %#x", v.State.CounterIndex, last.CounterIndex)
	case v.State.Counter < last.Counter:
		return "", fmt.Errorf("it stands at %d, and stood at %d", v.State.Counter, last.Counter)
	}
	return fmt.Sprintf("It stands at %d, not below the %d of before.", v.State.Counter, v.options.Last.Counter), nil
}
