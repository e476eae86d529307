package attest

import (
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"
)

// Sizes of RSA keys in bits. SBI asks for 2048 at least; the upper bound keeps
// a foreign certificate from costing seconds.
const (
	minKeyBits = 2048
	maxKeyBits = 8192
)

// A KeyStore keeps private keys under names, for example "ftm" or the name of
// a device with a generation. A name is 1 to 64 of the characters a-z, 0-9,
// dot, hyphen and underscore, and begins and ends with a letter or digit.
//
// All keys are RSA-2048 and sign PKCS #1 v1.5 with SHA-256 (RS256). A store
// and its signers are safe for concurrent use.
type KeyStore interface {
	// Signer returns the key called name, ErrNoKey, or ErrKeyLost where a store
	// can tell that a key will not come back.
	Signer(ctx context.Context, name string) (crypto.Signer, error)
	// Create makes the key called name. When it returns, the key is on lasting
	// storage. It fails with ErrKeyExists rather than replace a key.
	Create(ctx context.Context, name string) (crypto.Signer, error)
	// Delete destroys the key called name. That there is none is no error, so
	// that an interrupted deletion can be repeated.
	Delete(ctx context.Context, name string) error
	// List returns the names of all keys in ascending order.
	List(ctx context.Context) ([]string, error)
}

// ValidName says whether name may name a key. The set is narrow so that a name
// is a file name on every system, whatever the case rules of its file system.
func ValidName(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == '.' || c == '-' || c == '_':
			if i == 0 || i == len(name)-1 {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// rsaPublic returns pub as an RSA key of a size that may be used.
func rsaPublic(pub crypto.PublicKey) (*rsa.PublicKey, error) {
	key, ok := pub.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: %T", ErrWeakKey, pub)
	}
	if n := key.N.BitLen(); n < minKeyBits || n > maxKeyBits {
		return nil, fmt.Errorf("%w: %d bits", ErrWeakKey, n)
	}
	return key, nil
}
