// Package attest makes what a device says provable: it holds the signing keys
// and their certificates, signs payloads as JSON Web Signatures, checks such
// signatures and the certificates behind them, encrypts records for
// authentication and chains the hashes of a transaction. It signs bytes and
// knows nothing of what they mean.
//
// The rules are those of MOSIP's Secure Biometric Interface 0.9.5; the formats
// are JWS (RFC 7515, 7518), X.509 (RFC 5280) and RSAES-OAEP (RFC 8017).
package attest

import "errors"

// What can be wrong with a key, a certificate or a token. Errors of this
// package wrap one of these and say which key, which certificate and why.
var (
	// ErrNoKey: the key store never made this key, or it was deleted.
	ErrNoKey = errors.New("no such key")
	// ErrKeyLost: the key store made this key and cannot use it any more. A new
	// one has to be made and certified.
	ErrKeyLost = errors.New("key is lost")
	// ErrKeyExists: a key of this name is there already; keys are never
	// overwritten.
	ErrKeyExists = errors.New("key exists")
	// ErrKeyMismatch: the certificate is for another key.
	ErrKeyMismatch = errors.New("certificate is for another key")
	// ErrWeakKey: the key is not RSA, or has less than 2048 or more than 8192
	// bits.
	ErrWeakKey = errors.New("key is not RSA of 2048 to 8192 bits")

	// ErrMalformed: the text is no token that may be judged at all.
	ErrMalformed = errors.New("malformed token")
	// ErrSignature: the signature does not belong to this content and key.
	ErrSignature = errors.New("signature does not verify")

	// ErrExpired: the certificate's time is over.
	ErrExpired = errors.New("certificate expired")
	// ErrNotYetValid: the certificate's time has not come, or the clock is
	// behind.
	ErrNotYetValid = errors.New("certificate not yet valid")
	// ErrUntrusted: no path leads from the certificate to a trusted root.
	ErrUntrusted = errors.New("certificate not trusted")
	// ErrOrganisation: the certificate's subject names another organisation.
	ErrOrganisation = errors.New("certificate names another organisation")

	// ErrNoEncryptionCertificate: there is no usable certificate to encrypt
	// session keys for.
	ErrNoEncryptionCertificate = errors.New("no usable encryption certificate")
	// ErrManagementServer: the provider's management server cannot be reached,
	// or is not the right one.
	ErrManagementServer = errors.New("management server unreachable")
)
