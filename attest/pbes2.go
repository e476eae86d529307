package attest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
)

// An encryptedPrivateKeyInfo is that of RFC 5958 with PBES2 of RFC 8018,
// PBKDF2 with HMAC-SHA-256, and AES-256-CBC: what OpenSSL writes by default.
type encryptedPrivateKeyInfo struct {
	Algorithm struct {
		OID    asn1.ObjectIdentifier
		Params struct {
			KDF struct {
				OID    asn1.ObjectIdentifier
				Params pbkdf2Params
			}
			Cipher struct {
				OID asn1.ObjectIdentifier
				IV  []byte
			}
		}
	}
	Data []byte
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

var (
	oidPBES2          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidAES256CBC      = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

const (
	pbkdf2Salt = 16
	// A passphrase made by us needs no iterations, one chosen by a person does:
	// this many take a tenth of a second.
	pbkdf2Iterations = 600_000
	// maxIterations bounds what a foreign file can cost.
	maxIterations = 10_000_000
)

// encryptPKCS8 encrypts a private key in DER.
func encryptPKCS8(der, passphrase []byte, iterations int) ([]byte, error) {
	var info encryptedPrivateKeyInfo
	info.Algorithm.OID = oidPBES2
	kdf, alg := &info.Algorithm.Params.KDF, &info.Algorithm.Params.Cipher
	kdf.OID = oidPBKDF2
	kdf.Params = pbkdf2Params{
		Salt: make([]byte, pbkdf2Salt), Iterations: iterations,
		PRF: pkix.AlgorithmIdentifier{Algorithm: oidHMACWithSHA256, Parameters: asn1.NullRawValue},
	}
	alg.OID, alg.IV = oidAES256CBC, make([]byte, aes.BlockSize)
	for _, b := range [][]byte{kdf.Params.Salt, alg.IV} {
		if _, err := rand.Read(b); err != nil {
			return nil, err
		}
	}
	block, err := pbes2Cipher(&kdf.Params, passphrase)
	if err != nil {
		return nil, err
	}
	// RFC 8018 section 6.1.1: as many bytes as are missing, each of that value.
	missing := aes.BlockSize - len(der)%aes.BlockSize
	info.Data = append(bytes.Clone(der), bytes.Repeat([]byte{byte(missing)}, missing)...)
	cipher.NewCBCEncrypter(block, alg.IV).CryptBlocks(info.Data, info.Data)
	return asn1.Marshal(info)
}

// errDecrypt: the passphrase is another one, or the text is damaged. This
// encryption cannot tell.
var errDecrypt = errors.New("does not decrypt")

// decryptPKCS8 returns the private key in DER. What is not encrypted this way
// at all is an error other than errDecrypt.
func decryptPKCS8(text, passphrase []byte) ([]byte, error) {
	var info encryptedPrivateKeyInfo
	if rest, err := asn1.Unmarshal(text, &info); err != nil {
		return nil, fmt.Errorf("no encrypted private key: %w", err)
	} else if len(rest) > 0 {
		return nil, errors.New("no encrypted private key: bytes behind it")
	}
	kdf, alg := &info.Algorithm.Params.KDF, &info.Algorithm.Params.Cipher
	switch {
	case !info.Algorithm.OID.Equal(oidPBES2), !kdf.OID.Equal(oidPBKDF2),
		!kdf.Params.PRF.Algorithm.Equal(oidHMACWithSHA256), !alg.OID.Equal(oidAES256CBC):
		return nil, errors.New("encrypted otherwise than with PBES2, PBKDF2, HMAC-SHA-256 and AES-256-CBC")
	case len(alg.IV) != aes.BlockSize, len(info.Data) == 0, len(info.Data)%aes.BlockSize != 0,
		kdf.Params.Iterations < 1, kdf.Params.Iterations > maxIterations:
		return nil, errors.New("parameters of the encryption make no sense")
	}
	block, err := pbes2Cipher(&kdf.Params, passphrase)
	if err != nil {
		return nil, err
	}
	cipher.NewCBCDecrypter(block, alg.IV).CryptBlocks(info.Data, info.Data)
	n := len(info.Data) - int(info.Data[len(info.Data)-1])
	if n < len(info.Data)-aes.BlockSize || n == len(info.Data) ||
		!bytes.Equal(info.Data[n:], bytes.Repeat(info.Data[len(info.Data)-1:], len(info.Data)-n)) {
		clear(info.Data)
		return nil, errDecrypt
	}
	return info.Data[:n], nil
}

func pbes2Cipher(params *pbkdf2Params, passphrase []byte) (cipher.Block, error) {
	key, err := pbkdf2.Key(sha256.New, string(passphrase), params.Salt, params.Iterations, 32)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return aes.NewCipher(key)
}
