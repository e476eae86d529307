package tpm

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/go-tpm/tpm2"
)

// An Info says which product a TPM is, in the words of the Trusted Computing
// Group's certificates (EK Credential Profile, section 3.1.2).
type Info struct {
	Manufacturer string // "id:" and 8 digits of hex: the ASCII of its vendor identifier, id:49465800 is IFX
	Model        string // the vendor's string
	Firmware     string // "id:" and 8 digits of hex: id:000F0017 is version 15.23
}

// String is for people.
func (i Info) String() string {
	var id, version uint32
	// What does not scan stays zero, and is not ours.
	_, _ = fmt.Sscanf(i.Manufacturer, "id:%x", &id)
	_, _ = fmt.Sscanf(i.Firmware, "id:%x", &version)
	return fmt.Sprintf("%s %s, firmware %d.%d", letters(id), i.Model, version>>16, version&0xFFFF)
}

// Info asks the TPM which product it is.
func (s *Store) Info(ctx context.Context) (Info, error) {
	info, err := do(ctx, s, func(t *task) (info Info, err error) {
		manufacturer, err := t.property(tpm2.TPMPTManufacturer)
		if err != nil {
			return info, err
		}
		firmware, err := t.property(tpm2.TPMPTFirmwareVersion1)
		if err != nil {
			return info, err
		}
		var model []string
		for _, p := range []tpm2.TPMPT{tpm2.TPMPTVendorString1, tpm2.TPMPTVendorString2, tpm2.TPMPTVendorString3, tpm2.TPMPTVendorString4} {
			part, err := t.property(p)
			if err != nil {
				return info, err
			}
			model = append(model, letters(part))
		}
		return Info{
			Manufacturer: fmt.Sprintf("id:%08X", manufacturer),
			Model:        strings.TrimSpace(strings.Join(model, "")),
			Firmware:     fmt.Sprintf("id:%08X", firmware),
		}, nil
	})
	if err != nil {
		return Info{}, fmt.Errorf("ask TPM for its model: %w", err)
	}
	return info, nil
}

// letters are the ASCII of a property that is text.
func letters(property uint32) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(binary.BigEndian.AppendUint32(nil, property)))
}

// property returns a fixed property of the TPM, 0 if it does not have it.
func (t *task) property(p tpm2.TPMPT) (uint32, error) {
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapTPMProperties, Property: uint32(p), PropertyCount: 1}.Execute(t.tpm)
	if err != nil {
		return 0, err
	}
	list, err := rsp.CapabilityData.Data.TPMProperties()
	if err != nil {
		return 0, err
	}
	// A TPM goes on to the next property that it has.
	if len(list.TPMProperty) == 0 || list.TPMProperty[0].Property != p {
		return 0, nil
	}
	return list.TPMProperty[0].Value, nil
}
