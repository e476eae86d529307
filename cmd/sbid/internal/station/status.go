package station

import (
	"errors"
	"time"

	"sbid/attest"
	"sbid/driver"
	"sbid/sbi"
)

// A Status is what is there and how it is, for sbid doctor.
type Status struct {
	Version   string
	Running   bool                   // as a service, and not only for this look
	Endpoints map[sbi.Purpose]string // where the service answers, like http://127.0.0.1:4501
	Level     string                 // L0 or L1
	Roots     bool                   // chains are checked up to roots of the configuration
	Keys      KeyStatus              // the key store
	FTM       *CertificateStatus     // nil where nothing asks for one
	Scanners  []ScannerStatus        // in the order of their ids
	Drivers   map[string]Trouble     // those that cannot work, by name
	Auth      *CertificateStatus     // whom auth captures are encrypted to; nil without purpose Auth
	Audit     Trouble                // of the audit log
	Waiting   []string               // serials whose certificate was requested by file
}

// KeyStatus is the key store.
type KeyStatus struct {
	Store   string // tpm or file
	Where   string // the TPM's device, maker and model, or the folder
	Trouble Trouble
}

// ScannerStatus is a scanner with the devices that it makes.
type ScannerStatus struct {
	ID      string // driver:serial number, or driver@where it is plugged in
	Make    string
	Model   string
	State   string // absent, idle, in use or faulted
	Trouble Trouble
	Devices []DeviceStatus
}

// DeviceStatus is a device.
type DeviceStatus struct {
	Name        string
	Serial      string
	Purpose     sbi.Purpose
	SubType     string
	Certificate CertificateStatus
}

// CertificateStatus is a certificate, or why there is none.
type CertificateStatus struct {
	Thumbprint string
	Issuer     string
	Issued     time.Time
	Expires    time.Time
	Renews     bool // in time, and by itself
	Imported   bool // the key came from outside
	Trouble    Trouble
}

// A Trouble is what is wrong, for people and for programs; none if Text is
// empty.
type Trouble struct {
	Kind string // one of the kinds below
	Text string
}

// kinds of trouble, by the error behind it; the first that fits counts.
var kinds = []struct {
	err  error
	kind string
}{
	{driver.ErrUnavailable, "unavailable"},
	{driver.ErrHeld, "held"},
	{driver.ErrPermission, "permission"},
	{driver.ErrRemoved, "removed"},
	{driver.ErrTampered, "tampered"},
	{driver.ErrBroken, "broken"},
	{driver.ErrNotReady, "not ready"},
	{attest.ErrNoKey, "not provisioned"},
	{attest.ErrKeyLost, "key lost"},
	{attest.ErrExpired, "expired"},
	{attest.ErrNotYetValid, "not yet valid"},
	{attest.ErrNoEncryptionCertificate, "no encryption certificate"},
	{attest.ErrManagementServer, "server"},
}

// troubleOf makes a Trouble of an error, none of nil.
func troubleOf(err error) Trouble {
	if err == nil {
		return Trouble{}
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return Trouble{k.kind, err.Error()}
		}
	}
	return Trouble{"other", err.Error()}
}
