package sbi

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"sbid/attest"
	"sbid/capture"
)

// captureAnswer is the answer to CAPTURE and RCAPTURE.
type captureAnswer struct {
	Biometrics []biometric `json:"biometrics"`
}

// A biometric is one element of an answer. The registration client refuses
// members that it does not know, hence the two of auth captures are left out
// where they are empty.
type biometric struct {
	SpecVersion string    `json:"specVersion"`
	Data        string    `json:"data"` // compact JWS of a dataBlock
	Hash        string    `json:"hash"`
	SessionKey  string    `json:"sessionKey,omitempty"`
	Thumbprint  string    `json:"thumbprint,omitempty"`
	Error       errorInfo `json:"error"`
}

// A dataBlock is the payload of a biometric's JWS. What a client may choose
// freely comes after bioValue: whoever cuts the value out again looks for the
// first place where its name stands.
type dataBlock struct {
	DigitalID            string  `json:"digitalId"`
	DeviceCode           string  `json:"deviceCode"`
	DeviceServiceVersion string  `json:"deviceServiceVersion"`
	BioType              string  `json:"bioType"`
	BioSubType           string  `json:"bioSubType,omitempty"`
	Purpose              Purpose `json:"purpose"`
	BioValue             string  `json:"bioValue"`
	Env                  string  `json:"env"`
	DomainURI            *string `json:"domainUri,omitempty"`
	TransactionID        string  `json:"transactionId"`
	Timestamp            string  `json:"timestamp"`
	RequestedScore       string  `json:"requestedScore"`
	QualityScore         string  `json:"qualityScore"`
}

// An element is a signed biometric with the record inside it.
type element struct {
	biometric
	sample   capture.Sample
	record   []byte // ISO/IEC 19794, not encrypted
	subType  string
	quality  string
	captured time.Time
}

func (s *Server) registrationCapture(c *call) {
	elements, req, err := s.capture(c, Registration)
	var document []byte
	if err == nil && accepts(c.r, cbeffType) {
		if document, err = cbeffDocument(req, elements); err != nil {
			elements = nil
		}
	}
	s.report(req, elements, err)
	switch {
	case err != nil:
		s.fail(c, err)
	case document != nil:
		s.send(c.w, http.StatusOK, cbeffType, document)
	default:
		s.replyElements(c, elements)
	}
	if req != nil {
		req.device.Scanner.EndPreview()
	}
}

func (s *Server) authCapture(c *call) {
	elements, req, err := s.capture(c, Auth)
	s.report(req, elements, err)
	if err != nil {
		s.fail(c, err)
		return
	}
	s.replyElements(c, elements)
}

func (s *Server) replyElements(c *call, elements []element) {
	var answer captureAnswer
	for _, e := range elements {
		answer.Biometrics = append(answer.Biometrics, e.biometric)
	}
	s.reply(c.w, http.StatusOK, answer)
}

// capture makes a whole capture: request, samples, records, signatures.
func (s *Server) capture(c *call, purpose Purpose) ([]element, *captureRequest, error) {
	if s.cfg.Purpose != purpose {
		return nil, nil, failf(InvalidRequest, "%s on a port for %s", c.r.Method, s.cfg.Purpose)
	}
	req, err := s.parseCapture(c.body, purpose)
	if err != nil {
		return nil, nil, err
	}
	d := req.device
	c.log = c.log.With("device", d.ID, "transaction", req.transactionID)
	intro, err := d.ready()
	if err != nil {
		return nil, req, err
	}
	if purpose == Auth {
		if req.encryption, err = d.encryption(time.Now()); err != nil {
			return nil, req, err
		}
	}
	var samples []capture.Sample
	err = s.try(func() (err error) { // a bug must not leave a stream waiting for its capture's end
		samples, err = d.Scanner.Capture(c.r.Context(), req.capture)
		return err
	})
	req.begun = !errors.Is(err, capture.ErrBusy)
	if err != nil {
		if context.Cause(c.r.Context()) != nil {
			return nil, req, &Error{Stopped, err}
		}
		return nil, req, err
	}
	elements, err := s.seal(req, intro, samples)
	if err != nil {
		return nil, req, err
	}
	for _, e := range elements {
		c.log.Info("captured", "position", e.sample.Position.String(), "score", e.quality)
	}
	return elements, req, nil
}

// seal makes the records of a capture, chains their hashes, encrypts them for
// auth and signs them. The samples are worked on side by side; only the chain
// goes from one to the next.
func (s *Server) seal(req *captureRequest, intro *introduction, samples []capture.Sample) ([]element, error) {
	elements := make([]element, len(samples))
	var work errgroup.Group
	for i, sample := range samples {
		work.Go(func() error {
			return s.try(func() (err error) {
				elements[i], err = s.sealOne(req, intro, sample, req.subTypes[i])
				return err
			})
		})
	}
	if err := work.Wait(); err != nil {
		if CodeOf(err) == NoSigningKey {
			s.signingFailed(req.device, err)
		}
		return nil, err
	}
	hash := req.previousHash
	for i := range elements {
		hash = attest.ChainHash(hash, elements[i].record)
		elements[i].Hash = hash.String()
	}
	return elements, nil
}

// sealOne makes all of an element but its hash.
func (s *Server) sealOne(req *captureRequest, intro *introduction, sample capture.Sample, subType string) (element, error) {
	d := req.device
	e := element{sample: sample, subType: subType, captured: sample.Captured, quality: formatScore(sample.Quality)}
	var err error
	if e.record, err = sample.Record(req.capture.Profile, d.Scanner.Info()); err != nil {
		return element{}, fmt.Errorf("record of %s: %w", sample.Position, err)
	}
	block := dataBlock{
		DigitalID: intro.digitalID, DeviceCode: d.Serial, DeviceServiceVersion: s.cfg.Version,
		BioType: sample.Position.Modality().String(), BioSubType: subType,
		Purpose: d.Purpose, Env: req.env, TransactionID: req.transactionID,
		Timestamp: stamp(e.captured), RequestedScore: req.score, QualityScore: e.quality,
	}
	if d.Purpose == Auth {
		sealed, err := attest.Seal(e.record, block.Timestamp, block.TransactionID, req.encryption)
		if err != nil {
			return element{}, fmt.Errorf("encrypt record of %s: %w", sample.Position, err)
		}
		block.BioValue = base64.RawURLEncoding.EncodeToString(sealed.Value)
		e.SessionKey, e.Thumbprint = sealed.SessionKey, sealed.Thumbprint
		block.DomainURI = req.domainURI
	} else {
		block.BioValue = base64.RawURLEncoding.EncodeToString(e.record)
	}
	e.SpecVersion = specVersion
	e.Error = errorInfo{Success.String(), Success.Text("")}
	if e.Data, err = intro.keys.Device.Sign(asciiJSON(block)); err != nil {
		return element{}, failf(NoSigningKey, "sign record of %s: %w", sample.Position, err)
	}
	return e, nil
}
