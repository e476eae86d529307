package tpm

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// A keyFile is a key that one TPM can load, in the form that other TPM
// software reads too: "TSS2 PRIVATE KEY" PEM around the ASN.1 of
// draft-woodhouse-cert-best-practice, of type loadable, with an authorisation
// value and without a policy.
type keyFile struct {
	public  tpm2.TPM2BPublic
	private tpm2.TPM2BPrivate // encrypted by the parent
}

const keyFileType = "TSS2 PRIVATE KEY"

// loadableKey is id-loadablekey of the Trusted Computing Group.
var loadableKey = asn1.ObjectIdentifier{2, 23, 133, 10, 1, 3}

// ownerParent is TPM_RH_OWNER, and says that the parent is the P-256 primary
// of the owner hierarchy whose template has an empty unique field.
const ownerParent = 0x40000001

type keyFileASN1 struct {
	Type      asn1.ObjectIdentifier
	EmptyAuth bool `asn1:"explicit,tag:0"` // left out, tpm2-openssl takes it for true
	Parent    int64
	Public    []byte // TPM2B_PUBLIC
	Private   []byte // TPM2B_PRIVATE
}

func (k keyFile) marshal() ([]byte, error) {
	der, err := asn1.Marshal(keyFileASN1{
		Type:    loadableKey,
		Parent:  ownerParent,
		Public:  tpm2.Marshal(k.public),
		Private: tpm2.Marshal(k.private),
	})
	if err != nil {
		return nil, fmt.Errorf("write TSS2 key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: keyFileType, Bytes: der}), nil
}

// parseKeyFile reads what marshal writes, and nothing else.
func parseKeyFile(text []byte) (keyFile, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != keyFileType || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return keyFile{}, errors.New("read TSS2 key: not a PEM file with one " + keyFileType)
	}
	var parsed keyFileASN1
	rest, err := asn1.Unmarshal(block.Bytes, &parsed)
	switch {
	case err != nil:
		return keyFile{}, fmt.Errorf("read TSS2 key: %w", err)
	case len(rest) > 0:
		return keyFile{}, fmt.Errorf("read TSS2 key: %d bytes too many", len(rest))
	case !parsed.Type.Equal(loadableKey) || parsed.EmptyAuth || parsed.Parent != ownerParent:
		return keyFile{}, fmt.Errorf("read TSS2 key: type %s, parent %#x, expected a loadable key with authorisation below the owner's primary",
			parsed.Type, parsed.Parent)
	}
	public, err := tpm2.Unmarshal[tpm2.TPM2BPublic](parsed.Public)
	if err != nil || !bytes.Equal(tpm2.Marshal(*public), parsed.Public) {
		return keyFile{}, errors.New("read TSS2 key: public area is malformed")
	}
	private, err := tpm2.Unmarshal[tpm2.TPM2BPrivate](parsed.Private)
	if err != nil || !bytes.Equal(tpm2.Marshal(*private), parsed.Private) {
		return keyFile{}, errors.New("read TSS2 key: private area is malformed")
	}
	return keyFile{*public, *private}, nil
}
