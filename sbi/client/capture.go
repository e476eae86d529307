package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Request asks one device for biometrics.
type Request struct {
	Env           string // Staging, Developer, Pre-Production or Production
	Timeout       time.Duration
	CaptureTime   time.Time // zero: now
	DomainURI     string    // CAPTURE only; left out if empty
	TransactionID string    // 4 to 50 letters, digits and hyphens
	Bio           []Bio
}

// Bio is what a Request wants of a device: usually the only one of its request.
type Bio struct {
	Type         string
	Count        int
	SubTypes     []string // SBI names such as "Left IndexFinger", or UNKNOWN
	Exceptions   []string // RCAPTURE only: SBI names of what the person lacks
	Score        int      // 0 to 100
	DeviceID     string
	SubID        string // 0 to 3
	PreviousHash string // of the last capture of this transaction; empty for the first
}

// An Answer is what a capture brought.
type Answer struct {
	Raw        []byte // the JSON as it came
	Biometrics []Biometric
}

// A Biometric is one finger, eye or face of an Answer.
type Biometric struct {
	SpecVersion string
	Data        string // a compact JWS as sent
	Hash        string // hexadecimal, chained over the answer
	SessionKey  string // CAPTURE only: base64url of the encrypted AES key
	Thumbprint  string // CAPTURE only: hexadecimal SHA-256 of the certificate that it is encrypted to
	Payload     CapturePayload

	// Err is what stands against this one: an *Error that the service sent, or
	// what could not be decoded. Payload is then empty or incomplete.
	Err error
}

// CapturePayload is what Biometric.Data carries.
type CapturePayload struct {
	DigitalID      DigitalID
	DeviceCode     string
	ServiceVersion string
	BioType        string
	BioSubType     string // empty for a face
	Purpose        string
	Env            string
	DomainURI      string
	BioValue       []byte // an ISO record, encrypted after CAPTURE
	TransactionID  string
	Timestamp      string // as sent
	RequestedScore string
	QualityScore   string
}

// Capture asks for an authentication capture (CAPTURE) of a device with purpose
// Auth. If the service reports an error for any of the biometrics the answer
// comes with that *Error: MOSIP's clients drop such an answer as a whole.
func (c *Client) Capture(ctx context.Context, port int, r Request) (Answer, error) {
	return c.capture(ctx, port, verbCapture, r)
}

// RCapture asks for a registration capture (RCAPTURE), with errors as Capture.
func (c *Client) RCapture(ctx context.Context, port int, r Request) (Answer, error) {
	return c.capture(ctx, port, verbRCapture, r)
}

func (c *Client) capture(ctx context.Context, port int, verb string, r Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout+captureTime)
	defer cancel()
	body, err := c.call(ctx, port, verb, pathCapture, "application/json", r.wire(verb), captureSize)
	if err != nil {
		return Answer{}, err
	}
	answer, err := DecodeAnswer(body)
	if err != nil {
		return answer, fmt.Errorf("%s on port %d: %w", verb, port, err)
	}
	return answer, nil
}

// RCaptureCBEFF asks for a registration capture and for its answer as a CBEFF
// document of signed BIRs in XML, which is how this project's services give
// it. A service that only speaks JSON makes this fail.
func (c *Client) RCaptureCBEFF(ctx context.Context, port int, r Request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout+captureTime)
	defer cancel()
	body, err := c.call(ctx, port, verbRCapture, pathCapture, "application/cbeff+xml", r.wire(verbRCapture), captureSize)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n\ufeff"), []byte("<")) {
		return body, nil
	}
	if sbiErr := reportedError(body); sbiErr != nil {
		return nil, fmt.Errorf("%s on port %d: %w", verbRCapture, port, sbiErr)
	}
	return nil, fmt.Errorf("%s on port %d: the service answers in JSON only, not in CBEFF", verbRCapture, port)
}

// wireRequest carries every scalar as a string, which all services read, and
// the members that MOSIP's own clients send with each verb.
type wireRequest struct {
	Env           string    `json:"env"`
	Purpose       string    `json:"purpose"`
	SpecVersion   string    `json:"specVersion"`
	Timeout       string    `json:"timeout"`
	CaptureTime   string    `json:"captureTime"`
	DomainURI     string    `json:"domainUri,omitempty"`
	TransactionID string    `json:"transactionId"`
	Bio           []wireBio `json:"bio"`
	CustomOpts    *struct{} `json:"customOpts"` // null
}

type wireBio struct {
	Type           string    `json:"type"`
	Count          string    `json:"count"`
	BioSubType     []string  `json:"bioSubType"`
	Exception      *[]string `json:"exception,omitempty"`
	RequestedScore string    `json:"requestedScore"`
	DeviceID       string    `json:"deviceId"`
	DeviceSubID    string    `json:"deviceSubId"`
	PreviousHash   string    `json:"previousHash"`
}

func (r Request) wire(verb string) wireRequest {
	at := r.CaptureTime
	if at.IsZero() {
		at = time.Now()
	}
	w := wireRequest{
		Env:           r.Env,
		Purpose:       Auth,
		SpecVersion:   SpecVersion,
		Timeout:       strconv.FormatInt(r.Timeout.Milliseconds(), 10),
		CaptureTime:   at.UTC().Format("2006-01-02T15:04:05.000Z"),
		DomainURI:     r.DomainURI,
		TransactionID: r.TransactionID,
	}
	if verb == verbRCapture {
		w.Purpose, w.DomainURI = Registration, ""
	}
	for _, b := range r.Bio {
		wb := wireBio{
			Type:           b.Type,
			Count:          strconv.Itoa(b.Count),
			BioSubType:     append([]string{}, b.SubTypes...), // [] rather than null
			RequestedScore: strconv.Itoa(b.Score),
			DeviceID:       b.DeviceID,
			DeviceSubID:    b.SubID,
			PreviousHash:   b.PreviousHash,
		}
		if verb == verbRCapture {
			exceptions := append([]string{}, b.Exceptions...)
			wb.Exception = &exceptions
		}
		w.Bio = append(w.Bio, wb)
	}
	return w
}

// DecodeAnswer reads the JSON that answers CAPTURE or RCAPTURE, as it came or
// from a file. It fails with an *Error as Capture does; the biometrics that
// came are returned even so.
func DecodeAnswer(body []byte) (Answer, error) {
	var w struct {
		Biometrics []struct {
			SpecVersion text       `json:"specVersion"`
			Data        text       `json:"data"`
			Hash        text       `json:"hash"`
			SessionKey  text       `json:"sessionKey"`
			Thumbprint  text       `json:"thumbprint"`
			Error       *wireError `json:"error"`
		} `json:"biometrics"`
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return Answer{}, listingError(body, err)
	}
	answer := Answer{Raw: body}
	var reported *Error
	for _, e := range w.Biometrics {
		b := Biometric{
			SpecVersion: string(e.SpecVersion),
			Data:        string(e.Data),
			Hash:        string(e.Hash),
			SessionKey:  string(e.SessionKey),
			Thumbprint:  string(e.Thumbprint),
		}
		sbiErr, err := e.Error.asError()
		switch {
		case err != nil:
			b.Err = err
		case sbiErr != nil:
			b.Err = sbiErr
			if reported == nil {
				reported = sbiErr
			}
		case b.Data == "":
			b.Err = errors.New("the service sent neither data nor an error")
		default:
			b.Payload, b.Err = decodeCapture(b.Data)
		}
		answer.Biometrics = append(answer.Biometrics, b)
	}
	if reported != nil {
		return answer, reported
	}
	if len(answer.Biometrics) == 0 {
		if sbiErr := reportedError(body); sbiErr != nil {
			return answer, sbiErr
		}
		return answer, errors.New("the answer holds no biometrics")
	}
	return answer, nil
}

// decodeCapture reads what Biometric.Data carries.
func decodeCapture(token string) (CapturePayload, error) {
	var w struct {
		DigitalID            text `json:"digitalId"`
		DeviceCode           text `json:"deviceCode"`
		DeviceServiceVersion text `json:"deviceServiceVersion"`
		BioType              text `json:"bioType"`
		BioSubType           text `json:"bioSubType"`
		Purpose              text `json:"purpose"`
		Env                  text `json:"env"`
		DomainURI            text `json:"domainUri"`
		BioValue             text `json:"bioValue"`
		TransactionID        text `json:"transactionId"`
		Timestamp            text `json:"timestamp"`
		RequestedScore       text `json:"requestedScore"`
		QualityScore         text `json:"qualityScore"`
	}
	if err := decodePayload(token, &w); err != nil {
		return CapturePayload{}, fmt.Errorf("capture data: %w", err)
	}
	p := CapturePayload{
		DeviceCode:     string(w.DeviceCode),
		ServiceVersion: string(w.DeviceServiceVersion),
		BioType:        string(w.BioType),
		BioSubType:     string(w.BioSubType),
		Purpose:        string(w.Purpose),
		Env:            string(w.Env),
		DomainURI:      string(w.DomainURI),
		TransactionID:  string(w.TransactionID),
		Timestamp:      string(w.Timestamp),
		RequestedScore: string(w.RequestedScore),
		QualityScore:   string(w.QualityScore),
	}
	var err error
	if p.BioValue, err = decodeBase64(string(w.BioValue)); err != nil {
		return p, fmt.Errorf("bioValue: %w", err)
	}
	if strings.EqualFold(p.BioSubType, "null") { // what the toolkit's schema calls no subtype
		p.BioSubType = ""
	}
	if w.DigitalID == "" {
		return p, nil
	}
	p.DigitalID, err = decodeDigitalID(string(w.DigitalID))
	return p, err
}
