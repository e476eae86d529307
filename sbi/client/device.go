package client

import (
	"context"
	"encoding/json"
	"fmt"
)

// Device types for Discover.
const (
	AnyType = "Biometric Device"
	Finger  = "Finger"
	Iris    = "Iris"
	Face    = "Face"
)

// What a device may do, and how far it is.
const (
	Registration = "Registration"
	Auth         = "Auth"

	Ready         = "Ready"
	Busy          = "Busy"
	NotReady      = "Not Ready"
	NotRegistered = "Not Registered"
)

// A DigitalID says which device this is, in the maker's words.
type DigitalID struct {
	SerialNo         string
	Make             string
	Model            string
	Type             string // Finger, Iris or Face
	SubType          string // Slap, Single, Touchless; Single, Double; Full face
	DeviceProvider   string
	DeviceProviderID string
	DateTime         string // when it was issued, as sent

	Token string // as sent: a JWS or, unsigned, base64url of JSON
}

// A Device is one entry of a discovery or an info answer.
type Device struct {
	Port           int
	ID             string // deviceId
	Status         string
	Level          string // certification: L0 or L1
	Purpose        string
	Code           string // deviceCode
	ServiceVersion string
	SubIDs         []string // deviceSubId
	SpecVersions   []string
	CallbackID     string
	DigitalID      DigitalID

	// Only in an info answer.
	Firmware string
	Env      string
	Token    string // deviceInfo as sent

	// Err is what stands against this device: an *Error that the service sent
	// with it, or what could not be decoded. The rest is then incomplete.
	Err error
}

// Discover asks the service at port for its devices of a type.
func (c *Client) Discover(ctx context.Context, port int, deviceType string) ([]Device, error) {
	ctx, cancel := context.WithTimeout(ctx, listingTime)
	defer cancel()
	request := struct {
		Type string `json:"type"`
	}{deviceType}
	answer, err := c.call(ctx, port, verbDiscover, pathDevice, "application/json", request, listingSize)
	if err != nil {
		return nil, err
	}
	devices, err := decodeDiscovery(answer)
	if err != nil {
		return nil, fmt.Errorf("%s on port %d: %w", verbDiscover, port, err)
	}
	return at(port, devices), nil
}

// Info asks the service at port for what its devices sign about themselves.
func (c *Client) Info(ctx context.Context, port int) ([]Device, error) {
	ctx, cancel := context.WithTimeout(ctx, listingTime)
	defer cancel()
	answer, err := c.call(ctx, port, verbInfo, pathInfo, "application/json", nil, listingSize)
	if err != nil {
		return nil, err
	}
	devices, err := decodeInfo(answer)
	if err != nil {
		return nil, fmt.Errorf("%s on port %d: %w", verbInfo, port, err)
	}
	return at(port, devices), nil
}

// at notes on the devices of an answer where it came from.
func at(port int, devices []Device) []Device {
	for i := range devices {
		devices[i].Port = port
	}
	return devices
}

type wireDevice struct {
	DeviceID       text       `json:"deviceId"`
	DeviceStatus   text       `json:"deviceStatus"`
	Certification  text       `json:"certification"`
	ServiceVersion text       `json:"serviceVersion"`
	DeviceSubID    texts      `json:"deviceSubId"`
	CallbackID     text       `json:"callbackId"`
	DigitalID      text       `json:"digitalId"`
	DeviceCode     text       `json:"deviceCode"`
	SpecVersion    texts      `json:"specVersion"`
	Purpose        text       `json:"purpose"`
	Firmware       text       `json:"firmware"`
	Env            text       `json:"env"`
	Error          *wireError `json:"error"`
}

// device converts w and decodes its digital ID.
func (w *wireDevice) device() Device {
	d := Device{
		ID:             string(w.DeviceID),
		Status:         string(w.DeviceStatus),
		Level:          string(w.Certification),
		Purpose:        string(w.Purpose),
		Code:           string(w.DeviceCode),
		ServiceVersion: string(w.ServiceVersion),
		SubIDs:         w.DeviceSubID,
		SpecVersions:   w.SpecVersion,
		CallbackID:     string(w.CallbackID),
		Firmware:       string(w.Firmware),
		Env:            string(w.Env),
	}
	if w.DigitalID != "" {
		d.DigitalID, d.Err = decodeDigitalID(string(w.DigitalID))
	}
	return d
}

// blame sets what the service said against the device, if it did.
func (d *Device) blame(w *wireError) error {
	sbiErr, err := w.asError()
	if sbiErr != nil {
		d.Err = sbiErr
	}
	return err
}

func decodeDigitalID(token string) (DigitalID, error) {
	var w struct {
		SerialNo         text `json:"serialNo"`
		Make             text `json:"make"`
		Model            text `json:"model"`
		Type             text `json:"type"`
		DeviceSubType    text `json:"deviceSubType"`
		DeviceProvider   text `json:"deviceProvider"`
		DeviceProviderID text `json:"deviceProviderId"`
		DateTime         text `json:"dateTime"`
	}
	if err := decodePayload(token, &w); err != nil {
		return DigitalID{Token: token}, fmt.Errorf("digital ID: %w", err)
	}
	return DigitalID{
		SerialNo:         string(w.SerialNo),
		Make:             string(w.Make),
		Model:            string(w.Model),
		Type:             string(w.Type),
		SubType:          string(w.DeviceSubType),
		DeviceProvider:   string(w.DeviceProvider),
		DeviceProviderID: string(w.DeviceProviderID),
		DateTime:         string(w.DateTime),
		Token:            token,
	}, nil
}

// decodeDiscovery reads the answer to MOSIPDISC. An answer that names no device
// but an error is that error.
func decodeDiscovery(answer []byte) ([]Device, error) {
	var elements []wireDevice
	if err := json.Unmarshal(answer, &elements); err != nil {
		return nil, listingError(answer, err)
	}
	devices := make([]Device, len(elements))
	for i := range elements {
		devices[i] = elements[i].device()
		if err := devices[i].blame(elements[i].Error); err != nil {
			return nil, err
		}
	}
	return named(devices)
}

// decodeInfo reads the answer to MOSIPDINFO.
func decodeInfo(answer []byte) ([]Device, error) {
	var elements []struct {
		DeviceInfo text       `json:"deviceInfo"`
		Error      *wireError `json:"error"`
	}
	if err := json.Unmarshal(answer, &elements); err != nil {
		return nil, listingError(answer, err)
	}
	devices := make([]Device, len(elements))
	for i, e := range elements {
		d := &devices[i]
		if e.DeviceInfo != "" {
			var w wireDevice
			if err := decodePayload(string(e.DeviceInfo), &w); err != nil {
				d.Err = fmt.Errorf("device info: %w", err)
			} else {
				*d = w.device()
			}
			d.Token = string(e.DeviceInfo)
		}
		if err := d.blame(e.Error); err != nil {
			return nil, err
		}
	}
	return named(devices)
}

// listingError says why a listing was not an array: a reported error, if it is
// one.
func listingError(answer []byte, cause error) error {
	if sbiErr := reportedError(answer); sbiErr != nil {
		return sbiErr
	}
	return fmt.Errorf("decode answer: %w", cause)
}

// named returns the devices, or the first error if none of them has a name.
func named(devices []Device) ([]Device, error) {
	for _, d := range devices {
		if d.ID != "" || d.Token != "" || d.DigitalID.Token != "" {
			return devices, nil
		}
	}
	for _, d := range devices {
		if d.Err != nil {
			return nil, d.Err
		}
	}
	return devices, nil
}
