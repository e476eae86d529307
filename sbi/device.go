package sbi

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sbid/attest"
	"sbid/capture"
	"sbid/driver"
)

// A Status is what a device is said to be doing: one of four fixed texts.
type Status string

const (
	StatusReady         Status = "Ready"
	StatusBusy          Status = "Busy"
	StatusNotReady      Status = "Not Ready"
	StatusNotRegistered Status = "Not Registered"
)

// Clients refuse a digital ID that is more than five minutes off their clock.
const (
	freshFor = time.Minute     // then it is signed again
	usedFor  = 4 * time.Minute // then it is not shown any more
)

// Keys are what a registered device signs with.
type Keys struct {
	Device    *attest.Identity // what it captured and what it says about itself
	DigitalID *attest.Identity // who it is: the same at level L0, the FTM key at L1
}

// validity returns the code of a device with these keys at a time: a clock
// that is behind makes a certificate one of the future.
func (k *Keys) validity(now time.Time) Code {
	for _, id := range []*attest.Identity{k.Device, k.DigitalID} {
		switch err := id.CheckValidity(now); {
		case errors.Is(err, attest.ErrExpired):
			return KeyExpired
		case err != nil:
			return NotReady
		}
	}
	return Success
}

// A Device is a scanner in one role.
type Device struct {
	ID         string // deviceId: stable, unique on this machine
	Scanner    *capture.Scanner
	SubType    string // deviceSubType: Slap, Single, Double, Full face ...
	Level      string // certification: L0 or L1
	Serial     string // at least 12 letters and digits; also the deviceCode
	Provider   string // deviceProvider
	ProviderID string // deviceProviderId
	Purpose    Purpose
	// OneByOne makes a scanner for one finger or eye at a time serve the sensors
	// of a larger one: it captures one after the other.
	OneByOne bool
	// Encryption returns the certificate that auth captures are encrypted to,
	// from memory, or why there is none. Nil answers with error 108.
	Encryption func() (*x509.Certificate, error)

	mu           sync.Mutex // serialises introductions
	introduction atomic.Pointer[introduction]
	override     atomic.Pointer[Status]
}

// An introduction is all that a device says about itself, ready to send, so
// that no probe ever waits for a signature. It holds the keys that made it:
// whoever has an introduction has one generation of keys and no mixture.
type introduction struct {
	issued    time.Time         // by the clock on the wall, as clients compare it
	keys      *Keys             // nil while not registered
	plainID   string            // digital ID, base64url, unsigned: for discovery
	digitalID string            // the signed digital ID
	info      map[Status]string // deviceInfo for each status
}

// SetKeys registers the device, changes its keys, or with nil takes its
// registration away. What it says about itself is signed anew before SetKeys
// returns; with an error the device keeps the keys it had.
func (s *Server) SetKeys(d *Device, keys *Keys) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return s.introduce(d, keys)
}

// olderThan says whether the introduction is older than age, or from a future
// that a clock set back has brought about. Suspended time counts.
func (i *introduction) olderThan(age time.Duration) bool {
	old := time.Now().Round(0).Sub(i.issued)
	return old > age || old < -age
}

// refresh signs again what the device says about itself, if it is no longer
// fresh.
func (s *Server) refresh(d *Device) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	intro := d.introduction.Load()
	if intro == nil || !intro.olderThan(freshFor) {
		return nil
	}
	return s.introduce(d, intro.keys)
}

// SetStatus makes the device claim to be Busy, Not Ready or Not Registered,
// whatever its scanner does; any other status ends the claim. The daemon says so
// of a device whose keys cannot be used, and a simulator whatever it is told to.
func (d *Device) SetStatus(status Status) {
	if status != StatusBusy && status != StatusNotReady && status != StatusNotRegistered {
		d.override.Store(nil)
		return
	}
	d.override.Store(&status)
}

// state returns the device's status with the code that goes with it, from
// memory. The introduction is nil until the first one is signed.
func (d *Device) state() (Status, Code, *introduction) {
	intro := d.introduction.Load()
	if o := d.override.Load(); o != nil {
		code := map[Status]Code{StatusBusy: Busy, StatusNotReady: NotReady, StatusNotRegistered: NotRegistered}[*o]
		return *o, code, intro
	}
	switch {
	case intro == nil:
		return StatusNotReady, NotReady, nil
	case intro.keys == nil:
		return StatusNotRegistered, NotRegistered, intro
	}
	if code := intro.keys.validity(time.Now()); code != Success {
		return StatusNotReady, code, intro
	}
	switch scanner := d.Scanner.State(); {
	case intro.olderThan(usedFor):
		return StatusNotReady, NotReady, intro
	case scanner == capture.Idle:
		return StatusReady, Success, intro
	case scanner == capture.InUse:
		return StatusBusy, Busy, intro
	}
	switch code := CodeOf(d.Scanner.Trouble()); code {
	case Busy: // held by another program
		return StatusBusy, code, intro
	case Tampered:
		return StatusNotReady, code, intro
	}
	return StatusNotReady, NotReady, intro
}

// digitalID is who a device is. The members are all that clients allow.
type digitalID struct {
	Serial     string `json:"serialNo"`
	Make       string `json:"make"`
	Model      string `json:"model"`
	Type       string `json:"type"`
	SubType    string `json:"deviceSubType"`
	Provider   string `json:"deviceProvider"`
	ProviderID string `json:"deviceProviderId"`
	DateTime   string `json:"dateTime"`
}

// deviceInfo is the payload of an answer to MOSIPDINFO.
type deviceInfo struct {
	DeviceID       string   `json:"deviceId"`
	DeviceStatus   Status   `json:"deviceStatus"`
	Firmware       string   `json:"firmware"`
	Certification  string   `json:"certification"`
	ServiceVersion string   `json:"serviceVersion"`
	DeviceSubID    []string `json:"deviceSubId"`
	CallbackID     string   `json:"callbackId"`
	DigitalID      string   `json:"digitalId"`
	DeviceCode     string   `json:"deviceCode"`
	Env            string   `json:"env"`
	Purpose        Purpose  `json:"purpose"`
	SpecVersion    []string `json:"specVersion"`
}

// introduce signs what the device says about itself, for every status it may
// come to have. The caller holds d.mu.
func (s *Server) introduce(d *Device, keys *Keys) error {
	scanner := d.Scanner.Info()
	id := asciiJSON(digitalID{
		Serial: d.Serial, Make: scanner.Make, Model: scanner.Model,
		Type: scanner.Modality.String(), SubType: d.SubType,
		Provider: d.Provider, ProviderID: d.ProviderID, DateTime: stamp(time.Now()),
	})
	intro := &introduction{issued: time.Now().Round(0), keys: keys, plainID: base64.RawURLEncoding.EncodeToString(id), info: map[Status]string{}}
	payload := deviceInfo{
		DeviceID: d.ID, Firmware: scanner.Firmware, Certification: d.Level,
		ServiceVersion: s.cfg.Version, DeviceSubID: d.subIDs(), CallbackID: s.callback(),
		DeviceCode: d.Serial, SpecVersion: []string{specVersion},
	}
	if d.Level == "L0" || payload.Firmware == "" {
		payload.Firmware = s.cfg.Version // an L0 device has no other software than this
	}
	payload.DeviceStatus, payload.DigitalID, payload.Env = StatusNotRegistered, intro.plainID, "None"
	intro.info[StatusNotRegistered] = base64.RawURLEncoding.EncodeToString(asciiJSON(payload))
	if keys != nil {
		var err error
		if intro.digitalID, err = keys.DigitalID.Sign(id); err != nil {
			return fmt.Errorf("sign digital id: %w", err)
		}
		payload.DigitalID, payload.Env, payload.Purpose = intro.digitalID, s.cfg.Environment, d.Purpose
		for _, payload.DeviceStatus = range []Status{StatusReady, StatusBusy, StatusNotReady} {
			if intro.info[payload.DeviceStatus], err = keys.Device.Sign(asciiJSON(payload)); err != nil {
				return fmt.Errorf("sign device info: %w", err)
			}
		}
	}
	d.introduction.Store(intro)
	return nil
}

// sensors returns what one capture of the device can cover.
func (d *Device) sensors() []driver.Sensor {
	if d.OneByOne {
		return []driver.Sensor{driver.Left, driver.Right, driver.Both}
	}
	return d.Scanner.Info().Sensors
}

// subIDs lists the sensors as deviceSubId.
func (d *Device) subIDs() []string {
	var ids []string
	for _, sensor := range d.sensors() {
		ids = append(ids, subID(sensor))
	}
	return ids
}

func subID(sensor driver.Sensor) string { return string('0' + rune(sensor)) }

// callback is the callbackId. The registration client appends a verb's path to
// it, so the slash at the end matters.
func (s *Server) callback() string { return s.Origin() + "/" }

// stamp writes a time the one way that every client reads: UTC, whole seconds, Z.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// encryption returns the certificate that an auth capture at this time is
// encrypted to.
func (d *Device) encryption(now time.Time) (*x509.Certificate, error) {
	if d.Encryption == nil {
		return nil, attest.ErrNoEncryptionCertificate
	}
	cert, err := d.Encryption()
	if err != nil {
		return nil, err
	}
	return cert, attest.CheckEncryptionCertificate(cert, now)
}
