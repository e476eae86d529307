package sbi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

// discoveryEntry is one device in an answer to MOSIPDISC.
type discoveryEntry struct {
	DeviceID       string    `json:"deviceId"`
	DeviceStatus   Status    `json:"deviceStatus"`
	Certification  string    `json:"certification"`
	ServiceVersion string    `json:"serviceVersion"`
	DeviceSubID    []string  `json:"deviceSubId"`
	CallbackID     string    `json:"callbackId"`
	DigitalID      string    `json:"digitalId"`
	DeviceCode     string    `json:"deviceCode"`
	SpecVersion    []string  `json:"specVersion"`
	Purpose        Purpose   `json:"purpose"`
	Error          errorInfo `json:"error"`
}

// discover answers MOSIPDISC: the devices of the type asked for.
func (s *Server) discover(c *call) {
	var req struct {
		Type text `json:"type"`
	}
	if len(c.body) > 0 {
		if err := json.Unmarshal(c.body, &req); err != nil {
			s.fail(c, failf(InvalidRequest, "body: %w", err))
			return
		}
	}
	switch req.Type.value {
	case "", "Biometric Device", "Finger", "Iris", "Face":
	default:
		s.fail(c, failf(InvalidRequest, "unknown device type"))
		return
	}
	language := c.r.Header.Get("Accept-Language")
	entries := []discoveryEntry{}
	for _, d := range s.listed() {
		if t := req.Type.value; t != "" && t != "Biometric Device" && t != d.Scanner.Info().Modality.String() {
			continue
		}
		status, code, intro := d.state()
		if intro == nil {
			continue // not yet introduced: the service is only just starting
		}
		entry := discoveryEntry{
			DeviceID: d.ID, DeviceStatus: status, Certification: d.Level,
			ServiceVersion: s.cfg.Version, DeviceSubID: d.subIDs(), CallbackID: s.callback(),
			DigitalID: intro.plainID, DeviceCode: d.Serial, SpecVersion: []string{specVersion},
			Purpose: d.Purpose, Error: errorInfo{code.String(), code.Text(language)},
		}
		if status == StatusNotRegistered {
			entry.Purpose = ""
		}
		entries = append(entries, entry)
	}
	s.reply(c.w, http.StatusOK, entries)
}

// info answers MOSIPDINFO: every device, with what it says about itself. The
// body means nothing. A device that has nothing to say that a client could
// verify, its error alone, is shown only where no other has: browsers drop all
// devices of a port that has such a one.
func (s *Server) info(c *call) {
	language := c.r.Header.Get("Accept-Language")
	var entries, errorsAlone [][]byte
	// Put together by hand: the encoder would read through every certificate in
	// every deviceInfo, at each probe, for characters that base64url does not have.
	for _, d := range s.listed() {
		status, code, intro := d.state()
		if intro == nil {
			continue
		}
		info := intro.info[status]
		if code == KeyExpired {
			info = "" // nothing that a client could verify
		}
		entry := fmt.Appendf(nil, `{"deviceInfo":"%s","error":%s}`, info, asciiJSON(errorInfo{code.String(), code.Text(language)}))
		if info == "" {
			errorsAlone = append(errorsAlone, entry)
		} else {
			entries = append(entries, entry)
		}
	}
	if len(entries) == 0 {
		entries = errorsAlone
	}
	s.send(c.w, http.StatusOK, "application/json", fmt.Appendf(nil, "[%s]", bytes.Join(entries, []byte{','})))
}

// listed returns the devices to show. One without keys is shown only where no
// other has some, whatever keeps it from having them: browsers drop all devices
// of a port that has an unsigned one. Who claims not to be registered is meant
// to be seen so.
func (s *Server) listed() []*Device {
	var registered, all []*Device
	for _, d := range *s.devices.Load() {
		intro, claimed := d.introduction.Load(), d.override.Load()
		if intro != nil && intro.keys != nil || claimed != nil && *claimed == StatusNotRegistered {
			registered = append(registered, d)
		}
		all = append(all, d)
	}
	if len(registered) > 0 {
		return registered
	}
	return all
}
