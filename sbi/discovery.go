package sbi

import (
	"encoding/json"
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
// body means nothing.
func (s *Server) info(c *call) {
	language := c.r.Header.Get("Accept-Language")
	// Put together by hand: the encoder would read through every certificate in
	// every deviceInfo, at each probe, for characters that base64url does not have.
	body := []byte{'['}
	for _, d := range s.listed() {
		status, code, intro := d.state()
		if intro == nil {
			continue
		}
		info := intro.info[status]
		if code == KeyExpired {
			info = "" // nothing that a client could verify
		}
		if len(body) > 1 {
			body = append(body, ',')
		}
		body = append(body, `{"deviceInfo":"`...)
		body = append(body, info...)
		body = append(body, `","error":`...)
		body = append(body, asciiJSON(errorInfo{code.String(), code.Text(language)})...)
		body = append(body, '}')
	}
	s.send(c.w, http.StatusOK, "application/json", append(body, ']'))
}

// listed returns the devices to show. One that was never registered is shown
// only where no other is: browsers drop all devices of a port that has an
// unsigned one. A claimed status is always shown.
func (s *Server) listed() []*Device {
	var registered, all []*Device
	for _, d := range *s.devices.Load() {
		if intro := d.introduction.Load(); intro != nil && intro.keys != nil || d.override.Load() != nil {
			registered = append(registered, d)
		}
		all = append(all, d)
	}
	if len(registered) > 0 {
		return registered
	}
	return all
}
