package attest

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

const (
	sessionKeySize = 32 // AES-256
	nonceSize      = 12 // bytes of the mask at its end
	aadSize        = 16 // bytes of the mask at its end
	tagSize        = 16
)

// A Sealed record can be read by the holder of one private key alone.
type Sealed struct {
	// Value is the record under AES-256-GCM with the tag behind it, 16 bytes
	// longer than the record; in base64url it is SBI's bioValue.
	Value []byte
	// SessionKey is the AES key under RSAES-OAEP with SHA-256 and MGF1 with
	// SHA-256, base64url without padding.
	SessionKey string
	// Thumbprint names the certificate whose key opens SessionKey, as function
	// Thumbprint gives it.
	Thumbprint string
}

// Seal encrypts a record for the holder of cert under a key of its own, used
// once and wiped. The nonce and the additional data come from timestamp and
// transactionID, which must be, byte for byte, those of the signed payload; 16
// bytes at least for one of them. Without a certificate, or with one whose key
// may not be used, it returns ErrNoEncryptionCertificate.
func Seal(record []byte, timestamp, transactionID string, cert *x509.Certificate) (Sealed, error) {
	public, err := encryptionKey(cert)
	if err != nil {
		return Sealed{}, err
	}
	var key [sessionKeySize]byte
	defer clear(key[:]) // what the cipher derives from it is out of reach
	if _, err := rand.Read(key[:]); err != nil {
		return Sealed{}, fmt.Errorf("make session key: %w", err)
	}
	value, err := encrypt(key[:], record, timestamp, transactionID)
	if err != nil {
		return Sealed{}, err
	}
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public, key[:], nil)
	if err != nil {
		return Sealed{}, fmt.Errorf("encrypt session key for %s: %w", title(cert), err)
	}
	return Sealed{
		Value:      value,
		SessionKey: base64.RawURLEncoding.EncodeToString(wrapped),
		Thumbprint: Thumbprint(cert),
	}, nil
}

// CheckEncryptionCertificate returns ErrNoEncryptionCertificate unless session
// keys may be encrypted for cert at the given time. A nil cert is none.
func CheckEncryptionCertificate(cert *x509.Certificate, at time.Time) error {
	if _, err := encryptionKey(cert); err != nil {
		return err
	}
	if err := CheckValidity(cert, at); err != nil {
		// Only its text: ErrExpired is about the certificates of our own keys.
		return fmt.Errorf("%w: %s", ErrNoEncryptionCertificate, err.Error())
	}
	return nil
}

func encryptionKey(cert *x509.Certificate) (*rsa.PublicKey, error) {
	if cert == nil {
		return nil, ErrNoEncryptionCertificate
	}
	public, err := rsaPublic(cert.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNoEncryptionCertificate, title(cert), err)
	}
	return public, nil
}

// Open decrypts a sealed record with the private key of the encryption
// certificate and the timestamp and transaction id of the signed payload.
func Open(s Sealed, timestamp, transactionID string, key crypto.Decrypter) ([]byte, error) {
	wrapped, err := base64.RawURLEncoding.DecodeString(s.SessionKey)
	if err != nil {
		return nil, fmt.Errorf("decode session key: %w", err)
	}
	session, err := key.Decrypt(rand.Reader, wrapped, &rsa.OAEPOptions{Hash: crypto.SHA256})
	if err != nil {
		return nil, fmt.Errorf("decrypt session key: %w", err)
	}
	defer clear(session)
	if len(session) != sessionKeySize {
		return nil, fmt.Errorf("session key has %d bytes, expected %d", len(session), sessionKeySize)
	}
	gcm, nonce, aad, err := sealer(session, timestamp, transactionID)
	if err != nil {
		return nil, err
	}
	record, err := gcm.Open(nil, nonce, s.Value, aad)
	if err != nil {
		return nil, fmt.Errorf("decrypt record: %w", err)
	}
	return record, nil
}

func encrypt(key, record []byte, timestamp, transactionID string) ([]byte, error) {
	gcm, nonce, aad, err := sealer(key, timestamp, transactionID)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(make([]byte, 0, len(record)+tagSize), nonce, record, aad), nil
}

// sealer returns the cipher with the nonce and the additional data that follow
// from timestamp and transaction id: the last 12 and the last 16 bytes of their
// mask. A nonce that can be foreseen, and can come again, is safe only because
// no key is used twice.
func sealer(key []byte, timestamp, transactionID string) (gcm cipher.AEAD, nonce, aad []byte, err error) {
	m := mask(timestamp, transactionID)
	if len(m) < aadSize {
		return nil, nil, nil, errors.New("timestamp and transaction id are both shorter than 16 bytes")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("session key: %w", err)
	}
	if gcm, err = cipher.NewGCM(block); err != nil {
		return nil, nil, nil, fmt.Errorf("session key: %w", err)
	}
	return gcm, m[len(m)-nonceSize:], m[len(m)-aadSize:], nil
}

// mask returns timestamp XOR transactionID; the shorter one gets zero bytes in
// front.
func mask(timestamp, transactionID string) []byte {
	long, short := []byte(timestamp), []byte(transactionID)
	if len(long) < len(short) {
		long, short = short, long
	}
	tail := long[len(long)-len(short):]
	subtle.XORBytes(tail, tail, short)
	return long
}
