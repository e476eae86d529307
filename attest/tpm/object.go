package tpm

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

const (
	keyBits  = 2048
	authSize = 32 // bytes of an authorisation value, and of a label

	aesBits   = 128 // of parameter encryption
	nonceSize = 16  // bytes of a session's nonces
)

// srkTemplate makes the storage root key that other TPM software expects above
// a TSS2 key file whose parent is the owner hierarchy: the P-256 key of the
// TCG's provisioning guidance with an empty unique field. (go-tpm's
// ECCSRKTemplate has 64 zero bytes there, which gives another key.)
var srkTemplate = func() tpm2.TPMTPublic {
	t := tpm2.ECCSRKTemplate
	t.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, new(tpm2.TPMSECCPoint))
	return t
}()

// signingAttributes are those of every key that the TPM made to sign with. It
// will never let it out; it signs digests from outside; and it is not subject to
// the dictionary attack logic, which counts a power cut as a wrong password.
var signingAttributes = tpm2.TPMAObject{
	FixedTPM:            true,
	FixedParent:         true,
	SensitiveDataOrigin: true,
	UserWithAuth:        true,
	NoDA:                true,
	SignEncrypt:         true,
}

// importedAttributes are those of a key that was made elsewhere: a TPM admits
// neither of the two that would bind it, and that it was not made inside is
// said too, though a TPM would take the opposite.
var importedAttributes = func() tpm2.TPMAObject {
	a := signingAttributes
	a.FixedTPM, a.FixedParent, a.SensitiveDataOrigin = false, false, false
	return a
}()

// attestationAttributes are those of the attestation key. Restricted, it signs
// only what the TPM itself states.
var attestationAttributes = func() tpm2.TPMAObject {
	a := signingAttributes
	a.Restricted = true
	return a
}()

// signingTemplate makes RSA-2048 keys that can do nothing but RSASSA with
// SHA-256. In a primary key, label decides which key comes out; it is nil in
// others.
func signingTemplate(attributes tpm2.TPMAObject, label []byte) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:             tpm2.TPMAlgRSA,
		NameAlg:          tpm2.TPMAlgSHA256,
		ObjectAttributes: attributes,
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{
			Scheme: tpm2.TPMTRSAScheme{
				Scheme:  tpm2.TPMAlgRSASSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgRSASSA, &tpm2.TPMSSigSchemeRSASSA{HashAlg: tpm2.TPMAlgSHA256}),
			},
			KeyBits: keyBits,
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: label}),
	}
}

// signingKey returns the RSA key of a public area if that is one of the
// template's making: a TPM would also load, and sign with, something weaker.
func signingKey(public *tpm2.TPMTPublic, attributes tpm2.TPMAObject) (*rsa.PublicKey, error) {
	if public.Type != tpm2.TPMAlgRSA {
		return nil, fmt.Errorf("key is of type %#x, expected RSA", public.Type)
	}
	unique, err := public.Unique.RSA()
	if err != nil {
		return nil, err
	}
	if want := tpm2.Marshal(signingTemplate(attributes, unique.Buffer)); !bytes.Equal(tpm2.Marshal(*public), want) {
		return nil, errors.New("key is not RSA-2048 for RSASSA with SHA-256, of the attributes that it was made with")
	}
	parameters, err := public.Parameters.RSADetail()
	if err != nil {
		return nil, err
	}
	key, err := tpm2.RSAPub(parameters, unique)
	if err != nil {
		return nil, err
	}
	if n := key.N.BitLen(); n != keyBits {
		return nil, fmt.Errorf("key has %d bits, expected %d", n, keyBits)
	}
	return key, nil
}

func newObject(handle tpm2.TPMHandle, public tpm2.TPM2BPublic) (*object, error) {
	contents, err := public.Contents()
	if err != nil {
		return nil, fmt.Errorf("public area: %w", err)
	}
	name, err := tpm2.ObjectName(contents)
	if err != nil {
		return nil, fmt.Errorf("public area: %w", err)
	}
	return &object{handle: handle, name: *name, public: *contents}, nil
}

// sensitive carries the authorisation value that a new key shall have.
func sensitive(userAuth []byte) tpm2.TPM2BSensitiveCreate {
	return tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{UserAuth: tpm2.TPM2BAuth{Buffer: userAuth}}}
}

// proof returns an HMAC session for one command, proving auth. Its secret is
// encrypted for the SRK, so that nobody on the bus can change the command or
// its response.
func proof(srk *object, auth []byte, options ...tpm2.AuthOption) tpm2.Session {
	options = append(options, tpm2.Auth(auth), tpm2.Salted(srk.handle, srk.public))
	return tpm2.HMAC(tpm2.TPMAlgSHA256, nonceSize, options...)
}

// inSession is a proof that keeps the first parameter from being read, too.
// Not that of the response: in TPM2_Sign it is no sized buffer, and what other
// commands return is public or encrypted.
func inSession(srk *object, auth []byte) tpm2.Session {
	return proof(srk, auth, tpm2.AESEncryption(aesBits, tpm2.EncryptIn))
}

// newAuth draws an authorisation value. No byte of it is zero: go-tpm cuts the
// HMAC key of a session at the first zero, a TPM only zeros at the end.
func newAuth() ([]byte, error) {
	auth := make([]byte, 0, authSize)
	for len(auth) < authSize {
		var b [1]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, fmt.Errorf("draw authorisation value: %w", err)
		}
		if b[0] != 0 {
			auth = append(auth, b[0])
		}
	}
	return auth, nil
}

func sameName(a, b tpm2.TPM2BName) bool { return bytes.Equal(a.Buffer, b.Buffer) }

// denied says whether an error means that a hierarchy is closed to us, by a
// password or altogether.
func denied(err error) bool { return errors.Is(err, ErrHierarchyAuth) || isAny(err, disabledCodes) }

// hierarchyError explains the refusal of a hierarchy's (empty) password.
func hierarchyError(err error) error {
	if isAny(err, []tpm2.TPMRC{tpm2.TPMRCBadAuth, tpm2.TPMRCAuthFail}) {
		return fmt.Errorf("%w: %w", ErrHierarchyAuth, err)
	}
	return err
}
