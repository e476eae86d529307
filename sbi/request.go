package sbi

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"time"

	"sbid/attest"
	"sbid/capture"
	"sbid/capture/iso19794"
	"sbid/driver"
)

// text is a scalar of a request. Clients send the same member as a string, a
// number or null; value is the text of the first two.
type text struct {
	value   string
	present bool // with any value, null included
}

// UnmarshalJSON accepts a string, a number or null.
func (t *text) UnmarshalJSON(b []byte) error {
	t.present = true
	switch {
	case string(b) == "null":
		return nil
	case b[0] == '"':
		return json.Unmarshal(b, &t.value)
	case b[0] == '-' || b[0] >= '0' && b[0] <= '9':
		t.value = string(b)
		return nil
	}
	return errors.New("want a string or a number")
}

// captureBody is the body of CAPTURE and RCAPTURE.
type captureBody struct {
	Env           text      `json:"env"`
	Purpose       text      `json:"purpose"`
	SpecVersion   text      `json:"specVersion"`
	Timeout       text      `json:"timeout"`
	TransactionID text      `json:"transactionId"`
	DomainURI     *string   `json:"domainUri"`
	Bio           []bioBody `json:"bio"`
}

type bioBody struct {
	Type           text      `json:"type"`
	Count          text      `json:"count"`
	BioSubType     []*string `json:"bioSubType"`
	Exception      []*string `json:"exception"`
	RequestedScore text      `json:"requestedScore"`
	DeviceID       text      `json:"deviceId"`
	DeviceSubID    text      `json:"deviceSubId"`
	PreviousHash   text      `json:"previousHash"`
}

const (
	defaultScore = 60               // requestedScore of a request that names none
	maxTimeout   = 10 * time.Minute // nobody holds still longer
)

var transactionIDs = regexp.MustCompile(`^[A-Za-z0-9-]{4,50}$`)

// A captureRequest is a checked request for a capture.
type captureRequest struct {
	device        *Device
	env           string
	domainURI     *string // as sent; nil when the client sent none
	transactionID string
	score         string // requestedScore as it goes into the answer
	previousHash  attest.Hash
	encryption    *x509.Certificate // of auth captures
	capture       capture.Request
	// subTypes are the bioSubType to answer with, one for each position; the
	// UNKNOWN that a client asked for stays UNKNOWN.
	subTypes []string
	begun    bool // the scanner was asked, and nobody else had it
}

// parseCapture checks everything about a request that can be checked without
// the scanner. What is wrong first decides the code.
func (s *Server) parseCapture(body []byte, purpose Purpose) (*captureRequest, error) {
	var b captureBody
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, failf(InvalidRequest, "body: %w", err)
	}
	if len(b.Bio) != 1 {
		return nil, failf(InvalidRequest, "bio: %d entries, want one", len(b.Bio))
	}
	bio := b.Bio[0]
	for _, member := range []struct {
		name string
		text text
	}{
		{"env", b.Env}, {"purpose", b.Purpose}, {"specVersion", b.SpecVersion}, {"timeout", b.Timeout},
		{"bio.count", bio.Count}, {"bio.deviceSubId", bio.DeviceSubID},
	} {
		if !member.text.present {
			return nil, failf(InvalidRequest, "%s is missing", member.name)
		}
	}
	req := &captureRequest{env: b.Env.value, domainURI: b.DomainURI, transactionID: b.TransactionID.value}
	switch req.env {
	case "": // the registration client sends null where none is configured
		req.env = s.cfg.Environment
	case "Staging", "Developer", "Pre-Production", "Production":
	default:
		return nil, failf(InvalidRequest, "env is none of the four")
	}
	if b.Purpose.value != string(purpose) {
		return nil, failf(InvalidRequest, "purpose is not %s", purpose)
	}
	if b.SpecVersion.value != specVersion {
		return nil, failf(InvalidRequest, "specVersion is not %s", specVersion)
	}
	if !transactionIDs.MatchString(req.transactionID) {
		return nil, failf(InvalidTransactionID, "transaction id of %d characters", len(req.transactionID))
	}
	var err error
	if req.device, err = s.device(bio.DeviceID.value); err != nil {
		return nil, err
	}
	info := req.device.Scanner.Info()
	if bio.Type.value != info.Modality.String() {
		return nil, failf(InvalidRequest, "bio.type is not %s, the type of device %s", info.Modality, req.device.ID)
	}
	if req.capture.Timeout, err = parseTimeout(b.Timeout.value); err != nil {
		return nil, err
	}
	if req.previousHash, err = attest.ParsePreviousHash(bio.PreviousHash.value); err != nil {
		return nil, &Error{InvalidRequest, err}
	}
	req.capture.Score = defaultScore
	if v := bio.RequestedScore.value; v != "" {
		if req.capture.Score, err = strconv.ParseFloat(v, 64); err != nil || !(req.capture.Score >= 0 && req.capture.Score <= 100) {
			return nil, failf(InvalidRequest, "bio.requestedScore is not a number from 0 to 100")
		}
	}
	req.score = formatScore(req.capture.Score)
	req.capture.OneByOne = req.device.OneByOne
	if req.capture.Sensor, err = sensorOf(req.device, bio.DeviceSubID.value); err != nil {
		return nil, err
	}
	if err := req.parsePositions(bio, info.Modality, purpose); err != nil {
		return nil, err
	}
	return req, nil
}

// parsePositions works out what to capture from count, bioSubType and
// exception.
func (req *captureRequest) parsePositions(bio bioBody, m driver.Modality, purpose Purpose) error {
	count, err := strconv.Atoi(bio.Count.value)
	if err != nil {
		return failf(InvalidRequest, "bio.count is not a number")
	}
	asked, err := parseSubTypes(bio.BioSubType, m)
	if err != nil {
		return err
	}
	req.capture.Profile = iso19794.Registration
	if purpose == Auth {
		req.capture.Profile = iso19794.Auth
		return req.authPositions(count, asked, m)
	}
	exceptions, unnamed, err := parseExceptions(bio.Exception)
	if err != nil {
		return err
	}
	req.capture.Exceptions = exceptions
	if m == driver.Face { // exceptions make it an exception photo
		if count != 1 {
			return failf(CountNotSupported, "%d faces", count)
		}
		req.setPositions(m.Positions(driver.Single))
		return nil
	}
	there := slices.DeleteFunc(m.Positions(req.capture.Sensor), func(p driver.Position) bool {
		return slices.Contains(exceptions, p)
	})
	asked = slices.DeleteFunc(asked, func(p driver.Position) bool { return p == unknown(m) })
	slices.Sort(asked)
	if len(slices.Compact(asked)) < len(asked) {
		return failf(InvalidRequest, "bio.bioSubType names a position twice")
	}
	want := there
	if len(asked) > 0 {
		want = slices.DeleteFunc(slices.Clone(there), func(p driver.Position) bool { return !slices.Contains(asked, p) })
		if len(want) != len(asked) {
			return failf(InvalidRequest, "bio.bioSubType names what the sensor does not take or what is excepted")
		}
	}
	// An exception without a name is one that the client could not translate:
	// it lowered the count for it all the same.
	switch {
	case len(want) == 0 && count == 0:
		return &Error{NotDetected, errors.New("every position of the sensor is excepted")}
	case count < 1, count != len(want) && count != len(want)-unnamed:
		return failf(CountNotSupported, "count %d for %d positions", count, len(want))
	}
	req.setPositions(want)
	return nil
}

// authPositions: one finger or eye after the other, each named or UNKNOWN.
func (req *captureRequest) authPositions(count int, asked []driver.Position, m driver.Modality) error {
	most := map[driver.Modality]int{driver.Finger: 10, driver.Iris: 2, driver.Face: 1}[m]
	if count < 1 || count > most || len(asked) > count {
		return failf(CountNotSupported, "count %d with %d subtypes, at most %d", count, len(asked), most)
	}
	for len(asked) < count {
		asked = append(asked, unknown(m))
	}
	if m == driver.Face {
		asked = m.Positions(driver.Single)
	}
	req.setPositions(asked)
	return nil
}

func (req *captureRequest) setPositions(positions []driver.Position) {
	req.capture.Positions = positions
	for _, p := range positions {
		req.subTypes = append(req.subTypes, SubType(p))
	}
}

// exceptionPhoto says whether a face is wanted as an exception photo.
func (req *captureRequest) exceptionPhoto() bool {
	return len(req.capture.Exceptions) > 0 && req.capture.Positions[0] == driver.FullFace
}

// device finds a device by its id. Some clients send its serial number instead.
func (s *Server) device(id string) (*Device, error) {
	devices := *s.devices.Load()
	if len(devices) == 0 {
		return nil, failf(NoDevice, "no scanner is connected")
	}
	for _, d := range devices {
		if id == d.ID || id == d.Serial {
			return d, nil
		}
	}
	return nil, failf(NotFound, "no device has that id")
}

// ready refuses a capture or stream on a device that cannot take one. Busy is
// left to the scanner, which knows who has it.
func (d *Device) ready() (*introduction, error) {
	status, code, intro := d.state()
	if code == Success || code == Busy && d.override.Load() == nil {
		return intro, nil
	}
	return nil, failf(code, "device %s is %s", d.ID, status)
}

// sensorOf reads a deviceSubId. Where a scanner has one sensor only, any will
// do: clients disagree on what to send.
func sensorOf(d *Device, subid string) (driver.Sensor, error) {
	sensors := d.sensors()
	if len(sensors) == 1 {
		return sensors[0], nil
	}
	for _, sensor := range sensors {
		if subid == subID(sensor) {
			return sensor, nil
		}
	}
	return 0, failf(InvalidRequest, "device %s has no such deviceSubId", d.ID)
}

func parseTimeout(ms string) (time.Duration, error) {
	n, err := strconv.Atoi(ms)
	if t := time.Duration(n) * time.Millisecond; err == nil && n > 0 && n <= int(maxTimeout/time.Millisecond) {
		return t, nil
	}
	return 0, failf(InvalidRequest, "timeout is not a number of milliseconds from 1 to %d", maxTimeout.Milliseconds())
}

// formatScore writes a score as clients parse it: decimal, at most one digit
// after the point.
func formatScore(score float64) string {
	return strconv.FormatFloat(float64(int(score*10+0.5))/10, 'f', -1, 64)
}

// subTypeNames are SBI's bioSubType. The face has none.
var subTypeNames = map[driver.Position]string{
	driver.UnknownFinger: "UNKNOWN",
	driver.RightThumb:    "Right Thumb",
	driver.RightIndex:    "Right IndexFinger",
	driver.RightMiddle:   "Right MiddleFinger",
	driver.RightRing:     "Right RingFinger",
	driver.RightLittle:   "Right LittleFinger",
	driver.LeftThumb:     "Left Thumb",
	driver.LeftIndex:     "Left IndexFinger",
	driver.LeftMiddle:    "Left MiddleFinger",
	driver.LeftRing:      "Left RingFinger",
	driver.LeftLittle:    "Left LittleFinger",
	driver.UnknownIris:   "UNKNOWN",
	driver.RightIris:     "Right",
	driver.LeftIris:      "Left",
}

func unknown(m driver.Modality) driver.Position {
	if m == driver.Iris {
		return driver.UnknownIris
	}
	return driver.UnknownFinger
}

// SubType returns the bioSubType of a position, "" for the face.
func SubType(p driver.Position) string { return subTypeNames[p] }

// PositionOf finds the position of a bioSubType of modality m.
func PositionOf(name string, m driver.Modality) (driver.Position, bool) {
	if m == driver.Face {
		return driver.FullFace, name == ""
	}
	for p, n := range subTypeNames {
		if n == name && p.Modality() == m {
			return p, true
		}
	}
	return 0, false
}

// parseSubTypes reads bioSubType, which says nothing about a face.
func parseSubTypes(names []*string, m driver.Modality) ([]driver.Position, error) {
	var positions []driver.Position
	for _, name := range names {
		if m == driver.Face || name == nil {
			continue
		}
		p, ok := PositionOf(*name, m)
		if !ok {
			return nil, failf(InvalidRequest, "bio.bioSubType has an unknown name for a %s", m)
		}
		positions = append(positions, p)
	}
	return positions, nil
}

// parseExceptions reads exception: fingers and eyes alike, since those of an
// exception photo are of both kinds. unnamed counts the null entries.
func parseExceptions(names []*string) (exceptions []driver.Position, unnamed int, err error) {
	for _, name := range names {
		if name == nil {
			unnamed++
			continue
		}
		p, ok := PositionOf(*name, driver.Finger)
		if !ok {
			p, ok = PositionOf(*name, driver.Iris)
		}
		if !ok {
			return nil, 0, failf(InvalidRequest, "bio.exception has an unknown name")
		}
		exceptions = append(exceptions, p)
	}
	return exceptions, unnamed, nil
}
