package tpm

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"sbid/attest"
)

// What can be wrong with a TPM or a key in it. The texts are for the person
// who looks after the machine: each says what to do. ErrCleared, ErrOtherTPM
// and ErrDamaged are attest.ErrKeyLost as well.
var (
	// ErrNoTPM: nothing answers at the device.
	ErrNoTPM = errors.New("no TPM 2.0 found: enable it in the firmware setup, or keep keys in files (level L0)")
	// ErrPermission: the device is there, but not for this user.
	ErrPermission = errors.New("TPM is there but this user may not open it: add the user to group tss")
	// ErrInUse: another program holds the device, which admits only one.
	ErrInUse = errors.New("TPM device is held by another program: use /dev/tpmrm0, which any number may open")
	// ErrBusy: the TPM answered that it is busy, or did not answer, for too long.
	ErrBusy = errors.New("TPM is busy: try again, and if it stays so, restart the machine")
	// ErrMemory: other programs left no room for an object or a session.
	ErrMemory = errors.New("TPM memory is full: another program leaves objects behind, end it or restart the machine")
	// ErrLockout: too many wrong passwords were given. Keys of this package
	// are not subject to it.
	ErrLockout = errors.New("TPM is locked by wrong passwords of another program: wait, or reset the lockout as its owner")
	// ErrFailure: the TPM failed its self-test.
	ErrFailure = errors.New("TPM failed its self-test: switch the machine off at the wall, and replace it if that does not help")
	// ErrDisabled: the firmware switched the hierarchy off that the key is in.
	ErrDisabled = errors.New("TPM hierarchy is disabled: enable the TPM in the firmware setup")
	// ErrHierarchyAuth: the owner or endorsement hierarchy has a password.
	ErrHierarchyAuth = errors.New("TPM hierarchy is protected by a password: have its owner remove it, or clear the TPM")
	// ErrCleared: the TPM is the one that made the key, but it was cleared.
	ErrCleared = fmt.Errorf("%w: the TPM was cleared since it was made; delete it, make a new one and have it certified", attest.ErrKeyLost)
	// ErrOtherTPM: the key was made by another TPM.
	ErrOtherTPM = fmt.Errorf("%w: this is not the TPM that made it; put the old one back, or provision the machine again", attest.ErrKeyLost)
	// ErrDamaged: a file of the key is incomplete or changed.
	ErrDamaged = fmt.Errorf("%w: a file of it is damaged; restore that, or delete the key, make a new one and have it certified", attest.ErrKeyLost)
	// ErrAuth: the TPM refused the authorisation value in the key's file.
	ErrAuth = errors.New("TPM refuses the authorisation value of the key: restore the key's .auth file, or delete the key and make a new one")
	// ErrCredential: a credential was made for another endorsement key or
	// another attestation key, or it is malformed.
	ErrCredential = errors.New("credential is not for this TPM and its attestation key")
	// ErrLocked: another program writes to the store's directory and does not
	// come to an end.
	ErrLocked = errors.New("another program is changing the keys of this directory: end it, or wait")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("TPM key store is closed")
)

// explain puts the sentinel before an error that is a response code of the TPM.
// Codes that mean different things in different commands are explained where
// the command is sent.
func explain(err error) error {
	var rc tpm2.TPMRC
	if !errors.As(err, &rc) {
		return err
	}
	for _, known := range []struct {
		sentinel error
		codes    []tpm2.TPMRC
	}{
		{ErrBusy, []tpm2.TPMRC{tpm2.TPMRCRetry, tpm2.TPMRCTesting, tpm2.TPMRCYielded, tpm2.TPMRCNVRate, tpm2.TPMRCNVUnavailable}},
		{ErrMemory, memoryCodes},
		{ErrLockout, []tpm2.TPMRC{tpm2.TPMRCLockout}},
		{ErrFailure, []tpm2.TPMRC{tpm2.TPMRCFailure}},
		{ErrDisabled, disabledCodes},
	} {
		if isAny(rc, known.codes) && !errors.Is(err, known.sentinel) {
			return fmt.Errorf("%w: %w", known.sentinel, err)
		}
	}
	return err
}

var memoryCodes = []tpm2.TPMRC{
	tpm2.TPMRCObjectMemory, tpm2.TPMRCSessionMemory, tpm2.TPMRCMemory,
	tpm2.TPMRCSessionHandles, tpm2.TPMRCObjectHandles,
}

var disabledCodes = []tpm2.TPMRC{tpm2.TPMRCHierarchy, tpm2.TPMRCDisabled}

// staleCodes are answered to a handle that is not there any more.
var staleCodes = []tpm2.TPMRC{
	tpm2.TPMRCHandle, tpm2.TPMRCReferenceH0, tpm2.TPMRCReferenceH1, tpm2.TPMRCReferenceS0,
}

func isAny(err error, codes []tpm2.TPMRC) bool {
	for _, code := range codes {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}
