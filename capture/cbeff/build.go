package cbeff

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sbid/driver"
)

// A SignedRecord is a record and what the scanner signed about it.
type SignedRecord struct {
	Token    string // the data block of the SBI: a JWS in compact serialization
	Record   []byte // ISO/IEC 19794, what bioValue of the token says in base64url
	Position driver.Position
	// ExceptionPhoto marks the photo of a face with both hands beside it.
	ExceptionPhoto bool
	Quality        string    // qualityScore of the token: decimal, 0 to 100
	Created        time.Time // of the BIR, not of the capture
	SpecVersion    string    // of the SBI

	Retries       int  // number of the attempt
	ForceCaptured bool // the operator took what there was

	Index string // UUID of the BIR; empty for a random one
}

// LogValue keeps record and token out of logs.
func (s SignedRecord) LogValue() slog.Value {
	return slog.GroupValue(slog.String("position", s.Position.String()), slog.Int("bytes", len(s.Record)))
}

// placeholder stands in PAYLOAD for the record, which is in BDB already.
const placeholder = "<bioValue>"

// New returns the BIR that MOSIP's registration client makes of a signed record.
// It fails if MOSIP could not get the token back from it: see [BIR.Token].
func New(s SignedRecord) (BIR, error) {
	b, err := build(s)
	if err != nil {
		return BIR{}, fmt.Errorf("make BIR of %v: %w", s.Position, err)
	}
	return b, nil
}

func build(s SignedRecord) (BIR, error) {
	if len(s.Record) == 0 {
		return BIR{}, errors.New("no record")
	}
	if s.SpecVersion == "" {
		return BIR{}, errors.New("no version of the SBI")
	}
	score, err := truncate(s.Quality)
	if err != nil {
		return BIR{}, err
	}
	b, err := frame(s.Position, s.ExceptionPhoto, s.Created, s.Index)
	if err != nil {
		return BIR{}, err
	}
	sb, payload, err := split(s.Token)
	if err != nil {
		return BIR{}, err
	}
	b.BDBInfo.Quality.Score = score
	b.BDB = s.Record
	b.SB = sb
	b.Others = []Entry{
		{KeyException, "false"},
		{KeyRetries, strconv.Itoa(s.Retries)},
		{KeySDKScore, "0.0"},
		{KeyForceCaptured, strconv.FormatBool(s.ForceCaptured)},
		{KeyPayload, payload},
		{KeySpecVersion, s.SpecVersion},
	}
	token, err := b.Token()
	if err != nil {
		return BIR{}, err
	}
	if token != s.Token {
		return BIR{}, errors.New("the token cannot be rebuilt: " +
			"it must hold the record once, as unpadded base64url in bioValue, and be itself in canonical base64url")
	}
	return b, nil
}

// NewException returns the BIR of a finger or an eye that the person does not
// have: it has no record. Index is as in SignedRecord.
func NewException(p driver.Position, created time.Time, index string) (BIR, error) {
	if p == driver.FullFace {
		return BIR{}, errors.New("make BIR of an exception: a face cannot be missing")
	}
	b, err := frame(p, false, created, index)
	if err != nil {
		return BIR{}, fmt.Errorf("make BIR of the exception %v: %w", p, err)
	}
	b.Others = []Entry{
		{KeyException, "true"},
		{KeyRetries, "0"},
		{KeySDKScore, "0.0"},
		{KeyForceCaptured, "false"},
		{KeyPayload, ""},
		{KeySpecVersion, ""},
	}
	return b, nil
}

// frame is what all BIRs have.
func frame(p driver.Position, exceptionPhoto bool, created time.Time, index string) (BIR, error) {
	subtype, ok := subtypes[p]
	if !ok {
		return BIR{}, errors.New("an unknown position has no name in CBEFF")
	}
	name := p.Modality().String()
	if exceptionPhoto {
		if p != driver.FullFace {
			return BIR{}, errors.New("only a face can be in an exception photo")
		}
		name = TypeExceptionPhoto
	}
	if created.IsZero() {
		return BIR{}, errors.New("no creation date")
	}
	if index == "" {
		index = randomUUID()
	}
	return BIR{
		Version:      Version{1, 1},
		CBEFFVersion: Version{1, 1},
		BDBInfo: BDBInfo{
			Index:        index,
			Format:       RegistryID{formatOrganization, formatTypes[name]},
			CreationDate: created.UTC().Format("2006-01-02T15:04:05.000Z"),
			Type:         name,
			Subtype:      subtype,
			Level:        "Raw",
			Purpose:      "Enroll",
			Quality:      &Quality{Algorithm: qualityAlgorithm},
		},
	}, nil
}

// truncate cuts the fraction off a score, as the registration client does.
func truncate(score string) (int, error) {
	f, err := strconv.ParseFloat(score, 64)
	if err != nil || !(f >= 0 && f <= 100) {
		return 0, fmt.Errorf("quality score %.40q is not a number from 0 to 100", score)
	}
	return int(f), nil
}

// split takes a token apart into SB, the token without its payload, and PAYLOAD,
// the payload without its record.
func split(token string) (sb, payload string, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return "", "", errors.New("the token is not a JWS in compact serialization")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", "", errors.New("the payload of the token is not unpadded base64url")
	}
	if !utf8.Valid(text) {
		return "", "", errors.New("the payload of the token is not UTF-8")
	}
	payload, err = mask(string(text))
	return parts[0] + ".." + parts[2], payload, err
}

// mask replaces the record in a payload just as the registration client does:
// the quoted string behind the first occurrence of bioValue, and whatever equals
// it. The client searches the text, it does not parse the JSON.
func mask(payload string) (string, error) {
	const key = "bioValue"
	_, behind, found := strings.Cut(payload, key)
	if !found || behind == "" {
		return "", errors.New("the payload of the token has no bioValue")
	}
	behind = behind[1:] // the quote that ends the key
	start := strings.IndexByte(behind, '"')
	if start < 0 {
		return "", errors.New("bioValue in the payload of the token is not a string")
	}
	end := strings.IndexByte(behind[start+1:], '"')
	if end < 0 {
		return "", errors.New("bioValue in the payload of the token does not end")
	}
	value := behind[start : start+1+end+1]
	return strings.ReplaceAll(payload, value, `"`+placeholder+`"`), nil
}

// Token puts together again what the scanner signed, just as MOSIP's registration
// processor does before it verifies the signature: the record takes the place of
// the placeholder in PAYLOAD, and PAYLOAD its place between the dots of SB. The
// result is a JWS in compact serialization; whether its signature is good is the
// caller's business. BIRs of exceptions have no token.
func (b BIR) Token() (string, error) {
	payload, ok := b.Other(KeyPayload)
	switch {
	case b.IsException():
		return "", errors.New("rebuild token: the BIR is of an exception")
	case len(b.BDB) == 0:
		return "", errors.New("rebuild token: the BIR has no BDB")
	case !ok || payload == "":
		return "", errors.New("rebuild token: the BIR has no " + KeyPayload)
	case !strings.Contains(payload, placeholder):
		return "", errors.New("rebuild token: " + KeyPayload + " has no place for the record")
	}
	header, signature, ok := strings.Cut(b.SB, "..")
	if !ok || header == "" || signature == "" || strings.Contains(header+signature, ".") {
		return "", errors.New("rebuild token: SB is not a JWS without its payload")
	}
	record := base64.RawURLEncoding.EncodeToString(b.BDB)
	signed := strings.ReplaceAll(payload, placeholder, record)
	return header + "." + base64.RawURLEncoding.EncodeToString([]byte(signed)) + "." + signature, nil
}

// IsException reports whether the BIR stands for a finger or an eye that the
// person does not have.
func (b BIR) IsException() bool {
	v, _ := b.Other(KeyException)
	return strings.EqualFold(v, "true")
}

// randomUUID returns a UUID of version 4 (RFC 9562, section 5.4).
func randomUUID() string {
	var u [16]byte
	rand.Read(u[:]) // never fails
	u[6] = u[6]&0x0F | 0x40
	u[8] = u[8]&0x3F | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// isRecord reports whether BDB begins like a record of the BIR's type.
func (b BIR) isRecord() bool {
	identifiers := map[string]string{
		TypeFinger: "FIR\x00", TypeIris: "IIR\x00", TypeFace: "FAC\x00", TypeExceptionPhoto: "FAC\x00",
	}
	id, ok := identifiers[b.BDBInfo.Type]
	return ok && bytes.HasPrefix(b.BDB, []byte(id))
}
