package authority

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"sbid/attest/internal/statedir"
)

// A Register is the content of the register's file: every device that may have
// a certificate. Edit the file with an editor that replaces it whole; the
// authority reads it again when it has changed. While it cannot be read, nobody
// gets a certificate.
type Register struct {
	Devices []Device `json:"devices"`
}

// A Device is one device and the TPM of the machine that it is part of. Devices
// of one machine have the same TPM.
type Device struct {
	// Serial is the serialNo of the device's digital ID: 1 to 64 letters and
	// digits. No two devices have the same.
	Serial string `json:"serialNo"`
	Name   string `json:"name,omitempty"`
	Make   string `json:"make,omitempty"`
	Model  string `json:"model,omitempty"`

	// EK is the SHA-256 of the TPM's endorsement key, a SubjectPublicKeyInfo in
	// DER, in hex. It is known from the factory, or filled in at first use.
	EK string `json:"ek,omitempty"`
	// EKCertificate, the serial number of the manufacturer's certificate in hex,
	// says at first use which TPM may be this device's.
	EKCertificate string `json:"ekCertificate,omitempty"`
	// Token is the SHA-256, in hex, of a token that says so, too: any TPM with
	// a manufacturer's certificate may use it, once. Devices of one machine may
	// have the same.
	Token string `json:"token,omitempty"`

	// Blocked devices get nothing any more. Reason is told to who asks.
	Blocked bool   `json:"blocked,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

const (
	maxRegister = 64 << 20 // bytes; a device has about 300
	maxSerial   = 64
	// racy is how old a file must be before its time says that it is the one
	// that was read: clocks of file systems are coarse.
	racy = 2 * time.Second
)

// ParseRegister reads the text of a register. Names that it does not know are
// errors: a misspelt "blocked" must not go unnoticed.
func ParseRegister(text []byte) (Register, error) {
	var r Register
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return Register{}, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Register{}, errors.New("text after its end")
	}
	seen := map[string]bool{}
	for i := range r.Devices {
		d := &r.Devices[i]
		if err := d.normalise(); err != nil {
			return Register{}, fmt.Errorf("device %d, serialNo %.80q: %w", i+1, d.Serial, err)
		}
		if seen[d.Serial] {
			return Register{}, fmt.Errorf("serialNo %q is there twice", d.Serial)
		}
		seen[d.Serial] = true
	}
	return r, nil
}

func (d *Device) normalise() error {
	if !validSerial(d.Serial) {
		return fmt.Errorf("serialNo is not 1 to %d letters and digits", maxSerial)
	}
	d.EK, d.Token = strings.ToLower(d.EK), strings.ToLower(d.Token)
	for name, hash := range map[string]string{"ek": d.EK, "token": d.Token} {
		if b, err := hex.DecodeString(hash); err != nil || hash != "" && len(b) != sha256.Size {
			return fmt.Errorf("%s is not a SHA-256 in hex", name)
		}
	}
	if d.EKCertificate != "" {
		number := strings.ReplaceAll(strings.ToLower(d.EKCertificate), ":", "")
		if strings.Trim(number, "0123456789abcdef") != "" {
			return errors.New("ekCertificate is not a serial number in hex")
		}
		d.EKCertificate = strings.TrimLeft(number, "0")
		if d.EKCertificate == "" {
			return errors.New("ekCertificate is zero")
		}
	}
	if d.EK == "" && d.EKCertificate == "" && d.Token == "" && !d.Blocked {
		return errors.New("nothing says which TPM it has: give ek, ekCertificate or token")
	}
	return nil
}

// validSerial keeps to characters that mean the same in every certificate,
// configuration and URL.
func validSerial(serial string) bool {
	return serial != "" && len(serial) <= maxSerial && !slices.ContainsFunc([]byte(serial), func(b byte) bool {
		return (b < '0' || b > '9') && (b < 'A' || b > 'Z') && (b < 'a' || b > 'z')
	})
}

// has says whether the TPM of an endorsement is the device's. Once the hash of
// the key is known, the certificate does not count any more.
func (d Device) has(e endorsement) bool {
	if d.EK != "" {
		return d.EK == e.hash
	}
	return d.EKCertificate != "" && d.EKCertificate == e.serial()
}

// blockedError says that a device is blocked.
func (d Device) blockedError() error {
	reason := d.Reason
	if reason == "" {
		reason = "no reason given"
	}
	return refuse(http.StatusForbidden, "device %s is blocked (%s): ask the device provider", d.Serial, reason)
}

// find returns the serial numbers of the devices that a TPM belongs to: those
// that the register has for it, and one more that the token is for.
func find(devices []Device, e endorsement, token string) ([]string, error) {
	hash := sha256.Sum256([]byte(token))
	given := []byte(hex.EncodeToString(hash[:]))
	var serials []string
	var blocked error
	for _, d := range devices {
		// Compared for all devices, and in constant time.
		first := token != "" && subtle.ConstantTimeCompare([]byte(d.Token), given) == 1 && d.EK == ""
		switch {
		case !first && !d.has(e):
		case d.Blocked:
			blocked = d.blockedError()
		case first && e.certificate == nil:
			return nil, refuse(http.StatusForbidden, "the token is right but %v; "+
				"have the provider enter ek %s for device %s in the register if the TPM is known to be genuine", e.reason, e.hash, d.Serial)
		default:
			serials = append(serials, d.Serial)
		}
	}
	switch {
	case len(serials) > 0:
		return serials, nil
	case blocked != nil:
		return nil, blocked
	case token != "":
		return nil, refuse(http.StatusForbidden, "the register has no device for this TPM, and the one-time token is wrong or was used before: "+
			"ask the device provider for a new token (endorsement key %s)", e.hash)
	}
	reason := ""
	if e.reason != nil {
		reason = "; " + e.reason.Error()
	}
	return nil, refuse(http.StatusForbidden, "the register has no device for this TPM%s: "+
		"ask the device provider for a one-time token, or to register the endorsement key %s", reason, e.hash)
}

// A register is a Register in its file.
type register struct {
	path string

	mu      sync.Mutex
	seen    fs.FileInfo // of the file that was read, nil if it has to be read again
	devices []Device
}

// read returns the devices as they are in the file now. The caller must not
// change them.
func (r *register) read() ([]Device, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.load()
}

func (r *register) load() ([]Device, error) {
	f, err := os.Open(r.path)
	if err != nil {
		return nil, fmt.Errorf("read register: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read register: %w", err)
	}
	if r.seen != nil && os.SameFile(info, r.seen) && info.Size() == r.seen.Size() && info.ModTime().Equal(r.seen.ModTime()) {
		return r.devices, nil
	}
	r.seen, r.devices = nil, nil
	text, err := io.ReadAll(io.LimitReader(f, maxRegister+1))
	if err == nil && len(text) > maxRegister {
		err = fmt.Errorf("longer than %d bytes", maxRegister)
	}
	if err != nil {
		return nil, fmt.Errorf("read register %s: %w", r.path, err)
	}
	parsed, err := ParseRegister(text)
	if err != nil {
		return nil, fmt.Errorf("read register %s: %w", r.path, err)
	}
	r.devices = parsed.Devices
	if time.Since(info.ModTime()) > racy {
		r.seen = info
	}
	return r.devices, nil
}

// enrol makes a TPM that of the devices, for good, and returns the serial
// numbers of those that still admit it. What was filled in is on lasting
// storage when it returns.
func (r *register) enrol(serials []string, ek string) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, err := r.load()
	if err != nil {
		return nil, err
	}
	devices := slices.Clone(known)
	var admitted []string
	refused := refuse(http.StatusForbidden, "the register has no device for this TPM any more: ask the device provider")
	changed := false
	for i := range devices {
		d := &devices[i]
		switch {
		case !slices.Contains(serials, d.Serial):
		case d.Blocked:
			refused = d.blockedError()
		case d.EK == "":
			d.EK, d.Token, changed = ek, "", true
			admitted = append(admitted, d.Serial)
		case d.EK != ek:
			refused = refuse(http.StatusConflict, "device %s was enrolled with another TPM meanwhile: ask the device provider", d.Serial)
		default:
			admitted = append(admitted, d.Serial)
		}
	}
	if len(admitted) == 0 {
		return nil, refused
	}
	if !changed {
		return admitted, nil
	}
	text, err := json.MarshalIndent(Register{devices}, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("write register: %w", err)
	}
	if err := statedir.WriteFile(r.path, append(text, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("write register: %w", err)
	}
	r.seen = nil
	return admitted, nil
}
