package authority

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"sbid/attest/internal/akcert"
)

const (
	keyBits   = 2048
	exponent  = 65537   // the only one that keys of TPMs have
	maxTPMArg = 4 << 10 // bytes of one structure of a TPM; none has more than one thousand
)

// An attestationKey is one that may be certified.
type attestationKey struct {
	public *rsa.PublicKey
	name   []byte // TPM name: hash algorithm and digest of the public area
}

// parseAttestationKey accepts a key that signs nothing but what its TPM says:
// restricted, made in the TPM and bound to it, RSA-2048 for RSASSA with
// SHA-256. That the TPM of the endorsement key has it, is proven later; that
// it signs at all, by the account of its making.
func parseAttestationKey(p akcert.Parameters) (attestationKey, error) {
	for name, part := range map[string][]byte{
		"public": p.Public, "createData": p.CreateData, "createAttestation": p.CreateAttestation, "createSignature": p.CreateSignature,
	} {
		if len(part) == 0 || len(part) > maxTPMArg {
			return attestationKey{}, fmt.Errorf("%s has %d bytes, expected 1 to %d", name, len(part), maxTPMArg)
		}
	}
	ak, err := parseArea(p.Public)
	if err != nil {
		return attestationKey{}, fmt.Errorf("public area: %w", err)
	}
	if err := ak.checkCreation(p); err != nil {
		return attestationKey{}, fmt.Errorf("account of its making: %w", err)
	}
	return ak, nil
}

func parseArea(area []byte) (attestationKey, error) {
	public, err := unmarshal[tpm2.TPMTPublic](area)
	if err != nil {
		return attestationKey{}, err
	}
	if public.Type != tpm2.TPMAlgRSA || public.NameAlg != tpm2.TPMAlgSHA256 {
		return attestationKey{}, errors.New("not an RSA key named by SHA-256")
	}
	if a := public.ObjectAttributes; !a.Restricted || !a.SignEncrypt || a.Decrypt ||
		!a.FixedTPM || !a.FixedParent || !a.SensitiveDataOrigin {
		return attestationKey{}, errors.New("not a restricted signing key that was made in its TPM and never leaves it")
	}
	parameters, err := public.Parameters.RSADetail()
	if err != nil {
		return attestationKey{}, err
	}
	scheme, err := parameters.Scheme.Details.RSASSA()
	if err != nil || parameters.Scheme.Scheme != tpm2.TPMAlgRSASSA || scheme.HashAlg != tpm2.TPMAlgSHA256 {
		return attestationKey{}, errors.New("not for RSASSA with SHA-256")
	}
	unique, err := public.Unique.RSA()
	if err != nil {
		return attestationKey{}, err
	}
	key, err := tpm2.RSAPub(parameters, unique)
	if err != nil {
		return attestationKey{}, err
	}
	if err := checkRSA(key); err != nil {
		return attestationKey{}, err
	}
	name, err := tpm2.ObjectName(public)
	if err != nil {
		return attestationKey{}, err
	}
	return attestationKey{key, name.Buffer}, nil
}

func checkRSA(key *rsa.PublicKey) error {
	if n := key.N.BitLen(); n != keyBits || key.E != exponent {
		return fmt.Errorf("RSA key of %d bits with exponent %d, expected %d and %d", n, key.E, keyBits, exponent)
	}
	return nil
}

// checkCreation checks that the key itself has signed how the TPM made it.
func (ak attestationKey) checkCreation(p akcert.Parameters) error {
	signature, err := unmarshal[tpm2.TPMTSignature](p.CreateSignature)
	if err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	rsassa, err := signature.Signature.RSASSA()
	if err != nil || signature.SigAlg != tpm2.TPMAlgRSASSA || rsassa.Hash != tpm2.TPMAlgSHA256 {
		return errors.New("signature is not RSASSA with SHA-256")
	}
	digest := sha256.Sum256(p.CreateAttestation)
	if err := rsa.VerifyPKCS1v15(ak.public, crypto.SHA256, digest[:], rsassa.Sig.Buffer); err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	statement, err := unmarshal[tpm2.TPMSAttest](p.CreateAttestation)
	if err != nil {
		return err
	}
	if statement.Magic != tpm2.TPMGeneratedValue || statement.Type != tpm2.TPMSTAttestCreation {
		return errors.New("not a statement of a TPM about the making of a key")
	}
	creation, err := statement.Attested.Creation()
	if err != nil {
		return err
	}
	made := sha256.Sum256(p.CreateData)
	if !bytes.Equal(creation.ObjectName.Buffer, ak.name) || !bytes.Equal(creation.CreationHash.Buffer, made[:]) {
		return errors.New("it is about another key")
	}
	return nil
}

// unmarshal parses a structure of a TPM that has one encoding and nothing
// behind it.
func unmarshal[T tpm2.Marshallable, P interface {
	*T
	tpm2.Unmarshallable
}](data []byte) (*T, error) {
	value, err := tpm2.Unmarshal[T, P](data)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(tpm2.Marshal(*value), data) {
		return nil, errors.New("it has parts that do not belong to it")
	}
	return value, nil
}

// makeCredential is TPM2_MakeCredential: it encrypts a secret for the TPM of an
// endorsement key of the standard template, which opens it only if it also has
// the key called name. Both results begin with their size.
func makeCredential(ek *rsa.PublicKey, name, secret []byte) (credential, encrypted []byte, err error) {
	public := tpm2.RSAEKTemplate
	public.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: ek.N.Bytes()})
	key, err := tpm2.ImportEncapsulationKey(&public)
	if err != nil {
		return nil, nil, err
	}
	object, seed, err := tpm2.CreateCredential(rand.Reader, key, name, secret)
	if err != nil {
		return nil, nil, err
	}
	return tpm2.Marshal(tpm2.TPM2BIDObject{Buffer: object}), tpm2.Marshal(tpm2.TPM2BEncryptedSecret{Buffer: seed}), nil
}
