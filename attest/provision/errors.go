package provision

import (
	"errors"
	"fmt"

	"sbid/attest"
)

// What can be wrong with a certificate, besides what package attest calls
// ErrKeyMismatch, ErrWeakKey, ErrExpired, ErrNotYetValid, ErrUntrusted and
// ErrOrganisation, and with the files around it.
var (
	// ErrName: the certificate's common name is not the serial number asked for.
	ErrName = errors.New("certificate names another device")
	// ErrAlgorithm: the certificate is signed with something weaker than SHA-256,
	// or that MOSIP does not take.
	ErrAlgorithm = errors.New("certificate is not signed with SHA-256")
	// ErrUsage: the key usages of the certificate leave out digital signatures.
	ErrUsage = errors.New("certificate is not for digital signatures")
	// ErrAuthority: the certificate is one of an authority.
	ErrAuthority = errors.New("certificate is an authority's, not a device's")
	// ErrCritical: the certificate has a critical extension that verifiers do
	// not know.
	ErrCritical = errors.New("certificate has an unknown critical extension")

	// ErrDamaged: the file of a generation is not as it was written.
	ErrDamaged = errors.New("certificate file is damaged: restore it, or have a new key certified")
	// ErrNotRequested: no request waits for a certificate of this key.
	ErrNotRequested = errors.New("no request waits for this certificate")
	// ErrPassword: the PKCS #12 file has another password.
	ErrPassword = errors.New("wrong password of the PKCS #12 file")
	// ErrNoImport: the key store takes no keys from outside.
	ErrNoImport = errors.New("key store cannot take a key from outside")
)

// Why a device has no identity that had none before.
var (
	errNeverProvisioned = fmt.Errorf("%w: it was never provisioned", attest.ErrNoKey)
	errWaiting          = fmt.Errorf("%w: its certificate was requested and has not been imported yet", attest.ErrNoKey)
)
