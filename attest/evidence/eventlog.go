package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf16"
)

// The firmware's log is that of the TCG PC Client Platform Firmware Profile,
// section 10: a header in the old form, then one event after the other with a
// digest for each bank.
const (
	eventNoAction       = 0x00000003 // was not extended into a register
	eventVariableConfig = 0x80000001 // EV_EFI_VARIABLE_DRIVER_CONFIG

	algSHA256 = 0x000B

	secureBootPCR = 7
	maxAlgorithms = 16
)

var (
	specIDSignature          = []byte("Spec ID Event03\x00")
	startupLocalitySignature = []byte("StartupLocality\x00")
)

// registers are the values of the SHA-256 bank, by number. Those that nothing
// was extended into are missing.
type registers map[int][sha256.Size]byte

func (r registers) extend(pcr int, digest []byte) {
	before := r[pcr]
	r[pcr] = sha256.Sum256(slices.Concat(before[:], digest))
}

// A bootLog is what a firmware's log comes to when it is replayed.
type bootLog struct {
	registers registers
	events    int
	// secureBoot is what the firmware measured first into register 7: "on",
	// "off", or empty where that is something else.
	secureBoot string
}

// replayEventLog extends registers in software as the log says that the
// firmware extended those of the TPM. Event types that are unknown do not
// matter.
func replayEventLog(data []byte) (*bootLog, error) {
	r := &reader{data: data}
	sizes, err := eventLogHeader(r)
	if err != nil {
		return nil, err
	}
	log := &bootLog{registers: registers{}}
	secureBootSeen := false
	for r.more() {
		pcr, kind := r.uint32(), r.uint32()
		digest, err := eventDigest(r, sizes)
		if err != nil {
			return nil, err
		}
		event := r.sized()
		if r.err != nil {
			break
		}
		log.events++
		if kind == eventNoAction {
			if locality, ok := bytes.CutPrefix(event, startupLocalitySignature); ok && len(locality) == 1 && pcr == 0 {
				// Register 0 begins with the locality that started the TPM.
				log.registers[0] = [sha256.Size]byte{sha256.Size - 1: locality[0]}
			}
			continue
		}
		if pcr >= 24 {
			return nil, fmt.Errorf("event %d is of register %d", log.events, pcr)
		}
		if digest == nil {
			return nil, fmt.Errorf("event %d has no SHA-256 digest", log.events)
		}
		log.registers.extend(int(pcr), digest)
		if pcr == secureBootPCR && !secureBootSeen {
			secureBootSeen = true
			log.secureBoot = secureBootState(kind, event, digest)
		}
	}
	return log, r.err
}

// eventLogHeader reads the first event, which says how long digests are, by
// algorithm.
func eventLogHeader(r *reader) (map[uint16]uint16, error) {
	_, kind := r.uint32(), r.uint32()
	r.take(20) // SHA-1, of zeros
	id := &reader{data: r.sized()}
	if r.err != nil {
		return nil, r.err
	}
	if signature := id.take(uint64(len(specIDSignature))); kind != eventNoAction || !bytes.Equal(signature, specIDSignature) {
		return nil, errors.New("log is not in the form of TPM 2.0")
	}
	id.take(4 + 4) // platform class; version, errata, size of numbers
	count := id.uint32()
	if count == 0 || count > maxAlgorithms {
		return nil, fmt.Errorf("log has digests of %d algorithms, expected 1 to %d", count, maxAlgorithms)
	}
	sizes := map[uint16]uint16{}
	for range count {
		algorithm := id.uint16()
		sizes[algorithm] = id.uint16()
	}
	if id.err == nil && sizes[algSHA256] != sha256.Size {
		return nil, errors.New("log has no SHA-256 digests")
	}
	return sizes, id.err
}

// eventDigest returns the SHA-256 digest of an event, nil if it has none.
func eventDigest(r *reader, sizes map[uint16]uint16) ([]byte, error) {
	count := r.uint32()
	if count > maxAlgorithms {
		return nil, fmt.Errorf("event has %d digests, expected at most %d", count, maxAlgorithms)
	}
	var digest []byte
	for range count {
		algorithm := r.uint16()
		size, ok := sizes[algorithm]
		if r.err == nil && !ok {
			return nil, fmt.Errorf("event has a digest of the unknown algorithm %#x", algorithm)
		}
		if d := r.take(uint64(size)); algorithm == algSHA256 {
			digest = d
		}
	}
	return digest, nil
}

// secureBootState reads the UEFI variable SecureBoot from an event, if it is
// that and the digest is of it: the type of an event is not in its digest.
func secureBootState(kind uint32, event, digest []byte) string {
	if sum := sha256.Sum256(event); kind != eventVariableConfig || !bytes.Equal(sum[:], digest) {
		return ""
	}
	// UEFI_VARIABLE_DATA
	r := &reader{data: event}
	r.take(16) // GUID of the vendor
	characters, size := r.uint64(), r.uint64()
	if characters > uint64(len(event)) {
		return ""
	}
	name, value := r.take(2*characters), r.take(size)
	if r.err != nil || utf16Text(name) != "SecureBoot" || len(value) != 1 {
		return ""
	}
	if value[0] == 1 {
		return "on"
	}
	return "off"
}

func utf16Text(b []byte) string {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		units = append(units, binary.LittleEndian.Uint16(b))
	}
	return string(utf16.Decode(units))
}
