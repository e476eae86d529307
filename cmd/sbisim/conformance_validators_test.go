package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sbid/attest"
	"sbid/capture/imagecodec"
	"sbid/capture/iso19794"
	"sbid/driver"
)

// ctkValidators are the toolkit's validators by short names. They look at every
// element, and at what clients mind although the toolkit does not.
var ctkValidators = map[string]func(*ctkExchange) error{
	"Sch":  (*ctkExchange).schema,
	"Sig":  (*ctkExchange).signatures,
	"Mis":  (*ctkExchange).mismatch,
	"Tmo":  (*ctkExchange).timeout,
	"Key":  (*ctkExchange).rotation,
	"ISO":  (*ctkExchange).records,
	"Qual": (*ctkExchange).quality,
	"Time": (*ctkExchange).timestamps,
	"Hash": (*ctkExchange).hashes,
}

// each calls check with every element and its decoded payload, and says in
// which element it found a fault.
func (x *ctkExchange) each(check func(e, data map[string]any) error) error {
	if len(x.elements) == 0 {
		return errors.New("no element to look at")
	}
	var faults []error
	for i, e := range x.elements {
		data, ok := e["dataDecoded"].(map[string]any)
		if !ok {
			faults = append(faults, fmt.Errorf("element %d has no data", i))
		} else if err := check(e, data); err != nil {
			faults = append(faults, fmt.Errorf("element %d: %w", i, err))
		}
	}
	return errors.Join(faults...)
}

// schema checks the form: by our own rule, and by the toolkit's schemas if they
// are here.
func (x *ctkExchange) schema() error {
	want := ctkAnswers[x.c.answer]
	var faults []error
	for _, f := range want.rule(x.project, x.c.code)(x.answer) {
		faults = append(faults, errors.New("answer"+f))
	}
	return errors.Join(append(faults, x.schemas.check(x.answer, want.schemas...))...)
}

// signed checks a token and that who signed it is trusted in a domain.
func (x *ctkExchange) signed(token any, domain attest.Domain) (*attest.Verified, error) {
	text, _ := token.(string)
	v, err := attest.Verify(text)
	if err != nil {
		return nil, err
	}
	return v, x.trust.Check(domain, v.Leaf(), time.Now())
}

// signedByDevice checks a token of the device key, and the digital ID in it.
func (x *ctkExchange) signedByDevice(token any, payload map[string]any, level any) (*attest.Verified, error) {
	v, err := x.signed(token, attest.DomainDevice)
	if err != nil {
		return nil, err
	}
	if err := attest.CheckOrganisation(v.Leaf(), ctkOrganisation); err != nil {
		return nil, err
	}
	domain, known := map[any]attest.Domain{"L0": attest.DomainDevice, "L1": attest.DomainFTM}[level]
	if !known {
		return nil, fmt.Errorf("level is %v", level)
	}
	if _, err := x.signed(payload["digitalId"], domain); err != nil {
		return nil, fmt.Errorf("digital ID: %w", err)
	}
	return v, nil
}

func (x *ctkExchange) signatures() error {
	switch x.c.call {
	case "MOSIPDISC": // nothing is signed there
		for _, e := range x.elements {
			id, _ := e["digitalIdDecoded"].(map[string]any)
			if id["type"] == nil || id["deviceSubType"] == nil {
				return errors.New("digital ID without a type")
			}
		}
		return nil
	case "MOSIPDINFO":
		var faults []error
		for _, e := range x.elements {
			_, err := x.signedInfo(e)
			faults = append(faults, err)
		}
		return errors.Join(faults...)
	}
	return x.each(func(e, data map[string]any) error {
		_, err := x.signedByDevice(e["data"], data, x.device["certification"])
		return err
	})
}

func (x *ctkExchange) signedInfo(e map[string]any) (*attest.Verified, error) {
	info, _ := e["deviceInfoDecoded"].(map[string]any)
	return x.signedByDevice(e["deviceInfo"], info, info["certification"])
}

// ctkAllowed are the bioSubType that each deviceSubId may bring, by type.
var ctkAllowed = map[string][]string{
	"Finger1": {"Left IndexFinger", "Left MiddleFinger", "Left RingFinger", "Left LittleFinger"},
	"Finger2": {"Right IndexFinger", "Right MiddleFinger", "Right RingFinger", "Right LittleFinger"},
	"Finger3": {"Left Thumb", "Right Thumb"},
	"Iris1":   {"Left"},
	"Iris2":   {"Right"},
	"Iris3":   {"Left", "Right"},
}

// mismatch compares the answer with the request and with what discovery said.
func (x *ctkExchange) mismatch() error {
	if want := x.c.count; strconv.Itoa(len(x.elements)) != want {
		return fmt.Errorf("%d elements, asked for %s", len(x.elements), want)
	}
	want := slices.Clone(x.c.subTypes)
	if len(want) == 0 {
		want = slices.DeleteFunc(slices.Clone(ctkAllowed[x.project.kind+x.c.sub]), func(s string) bool {
			return slices.Contains(x.c.exceptions, s)
		})
	}
	var got []string
	bio := x.request["bio"].([]any)[0].(map[string]any)
	discovered := x.device["digitalIdDecoded"].(map[string]any)
	err := x.each(func(e, data map[string]any) error {
		id := data["digitalIdDecoded"].(map[string]any)
		for _, pair := range []struct {
			name      string
			got, want any
		}{
			{"purpose", data["purpose"], x.request["purpose"]},
			{"env", data["env"], x.request["env"]},
			{"domainUri", data["domainUri"], x.request["domainUri"]},
			{"transactionId", data["transactionId"], x.request["transactionId"]},
			{"bioType", data["bioType"], bio["type"]},
			{"requestedScore", data["requestedScore"], bio["requestedScore"]},
			{"specVersion", e["specVersion"], x.request["specVersion"]},
			{"deviceCode", data["deviceCode"], x.device["deviceCode"]},
			{"serialNo", id["serialNo"], discovered["serialNo"]},
			{"make", id["make"], discovered["make"]},
			{"model", id["model"], discovered["model"]},
		} {
			if pair.got != pair.want {
				return fmt.Errorf("%s is %v, not %v", pair.name, pair.got, pair.want)
			}
		}
		if s, there := data["bioSubType"].(string); there {
			got = append(got, s)
		}
		return nil
	})
	slices.Sort(got)
	slices.Sort(want)
	if err == nil && !slices.Equal(got, want) {
		err = fmt.Errorf("positions %q, asked for %q", got, want)
	}
	return err
}

// ctkLateness is how long after its timeout an answer may come: a frame that is
// being looked at is looked at to the end, which the race detector draws out.
const ctkLateness = 20 * time.Second

func (x *ctkExchange) took() time.Duration { return x.end.Sub(x.start) }

// timeout wants the whole time used, as the score could not be reached.
func (x *ctkExchange) timeout() error {
	if x.took() < x.c.timeout {
		return fmt.Errorf("answer after %v, before the timeout of %v", x.took(), x.c.timeout)
	}
	return nil
}

// punctual checks of every capture that it did not outlast its timeout, and
// ended before it only where that is right: with the score, or for a request
// that was refused.
func (x *ctkExchange) punctual() error {
	if x.took() > x.c.timeout+ctkLateness {
		return fmt.Errorf("answer after %v, late for the timeout of %v", x.took(), x.c.timeout)
	}
	if x.c.code != "" || x.took() >= x.c.timeout {
		return nil
	}
	requested, err := strconv.ParseFloat(x.c.score, 64)
	if err != nil {
		return err
	}
	sum := 0.0
	err = x.each(func(_, data map[string]any) error {
		score, err := strconv.ParseFloat(data["qualityScore"].(string), 64)
		sum += score
		return err
	})
	const rounding = 0.05
	if mean := sum / float64(len(x.elements)); err == nil && mean < requested-rounding {
		err = fmt.Errorf("answer after %v with a mean score of %.2f, asked for %v or %v", x.took(), mean, requested, x.c.timeout)
	}
	return err
}

// scores names what came, for people.
func (x *ctkExchange) scores() string {
	var scores []string
	for _, e := range x.elements {
		if data, ok := e["dataDecoded"].(map[string]any); ok {
			scores = append(scores, fmt.Sprintf("%v %v", data["bioSubType"], data["qualityScore"]))
		}
	}
	return strings.Join(scores, ", ")
}

// rotation compares what the device says of itself with what it said before its
// key was changed.
func (x *ctkExchange) rotation() error {
	if len(x.elements) != 1 || len(x.before.elements) != 1 {
		return fmt.Errorf("%d elements, before %d", len(x.elements), len(x.before.elements))
	}
	older, err := x.signedInfo(x.before.elements[0])
	if err != nil {
		return fmt.Errorf("before: %w", err)
	}
	newer, err := x.signedInfo(x.elements[0])
	if err != nil {
		return err
	}
	identity := func(x *ctkExchange) [3]any {
		id := x.elements[0]["deviceInfoDecoded"].(map[string]any)["digitalIdDecoded"].(map[string]any)
		return [3]any{id["make"], id["model"], id["serialNo"]}
	}
	was, is := older.Leaf(), newer.Leaf()
	switch {
	case was.Equal(is):
		return errors.New("the certificate is the same")
	case slices.Equal(was.RawSubjectPublicKeyInfo, is.RawSubjectPublicKeyInfo):
		return errors.New("the certificate is new, the key is the same")
	case is.NotBefore.Before(was.NotBefore):
		return errors.New("the newer certificate is the older one")
	case identity(x) != identity(x.before):
		return fmt.Errorf("another device: %v, before %v", identity(x), identity(x.before))
	}
	return nil
}

// record returns the ISO record of an element, decrypted if it is for auth.
func (x *ctkExchange) record(e, data map[string]any) ([]byte, error) {
	value, _ := data["bioValue"].(string)
	b, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || x.project.purpose == "Registration" {
		return b, err
	}
	if e["thumbprint"] != x.thumbprint {
		return nil, fmt.Errorf("encrypted for %v, not for %s", e["thumbprint"], x.thumbprint)
	}
	session, _ := e["sessionKey"].(string)
	timestamp, _ := data["timestamp"].(string)
	transaction, _ := data["transactionId"].(string)
	return attest.Open(attest.Sealed{Value: b, SessionKey: session}, timestamp, transaction, x.key)
}

// ctkPosition are the positions of a record by bioSubType.
var ctkPosition = map[string]driver.Position{
	"Left IndexFinger": driver.LeftIndex, "Left MiddleFinger": driver.LeftMiddle, "Left RingFinger": driver.LeftRing,
	"Left LittleFinger": driver.LeftLittle, "Left Thumb": driver.LeftThumb,
	"Right IndexFinger": driver.RightIndex, "Right MiddleFinger": driver.RightMiddle, "Right RingFinger": driver.RightRing,
	"Right LittleFinger": driver.RightLittle, "Right Thumb": driver.RightThumb,
	"Left": driver.LeftIris, "Right": driver.RightIris,
}

// records checks header and image of every record, and that both fit what was
// signed around them.
func (x *ctkExchange) records() error {
	profile := iso19794.Registration
	if x.project.purpose == "Auth" {
		profile = iso19794.Auth
	}
	return x.each(func(e, data map[string]any) error {
		b, err := x.record(e, data)
		if err != nil {
			return err
		}
		rec, err := iso19794.Decode(b)
		if err != nil {
			return err
		}
		_, info, err := imagecodec.Decode(rec.Image())
		if err != nil {
			return err
		}
		findings := append(iso19794.Check(rec, profile), iso19794.CheckImage(rec, profile, iso19794.Decoded{
			Width: info.Width, Height: info.Height, Components: info.Components, Reversible: info.Reversible, DPI: info.DPI,
		})...)
		if len(findings) > 0 {
			return fmt.Errorf("%v", findings)
		}
		position, _ := rec.Position()
		subType, _ := data["bioSubType"].(string)
		if want, named := ctkPosition[subType]; named && position != want || position.Modality().String() != x.project.kind {
			return fmt.Errorf("the record is of %v, the element of %v %q", position, data["bioType"], subType)
		}
		if at, known := rec.CapturedAt(); !known || at.Format("2006-01-02T15:04:05Z") != data["timestamp"] {
			return fmt.Errorf("the record is of %v, the element of %v", at, data["timestamp"])
		}
		signed, err := strconv.ParseFloat(data["qualityScore"].(string), 64)
		score, known := rec.Quality()
		// The record holds whole numbers, the element one digit more.
		if above := signed - float64(score); err != nil || !known || above < -0.05 || above > 1.05 {
			return fmt.Errorf("quality %d in the record, %v in the element", score, data["qualityScore"])
		}
		return nil
	})
}

// quality warns of scores below those that the toolkit suggests, and fails for
// what its scoring service could not read.
func (x *ctkExchange) quality() error {
	enough := map[string]float64{"Finger": 60, "Iris": 60, "Face": 30}[x.project.kind]
	return x.each(func(e, data map[string]any) error {
		text, _ := data["qualityScore"].(string)
		score, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return err
		}
		if score < enough {
			x.warn("Qual: %v has %v, the toolkit suggests %v", data["bioSubType"], score, enough)
		}
		_, err = x.record(e, data)
		return err
	})
}

// timestamps must be of the time of the call. The form is the schema's part.
func (x *ctkExchange) timestamps() error {
	return x.each(func(_, data map[string]any) error {
		text, _ := data["timestamp"].(string)
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return err
		}
		if at.Before(x.start.Truncate(time.Second)) || at.After(x.end) {
			return fmt.Errorf("timestamp %v, the call was from %v to %v", at, x.start, x.end)
		}
		return nil
	})
}

// ctkFirstHash begins every case: SHA-256 of nothing, as the page writes it.
const ctkFirstHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// previousHash is where the chain of this call goes on.
func (x *ctkExchange) previousHash() string {
	if x.before == nil || len(x.before.elements) == 0 {
		return ctkFirstHash
	}
	last, _ := x.before.elements[len(x.before.elements)-1]["hash"].(string)
	return last
}

func (x *ctkExchange) hashes() error {
	previous, err := attest.ParsePreviousHash(x.previousHash())
	if err != nil {
		return err
	}
	return x.each(func(e, data map[string]any) error {
		record, err := x.record(e, data)
		if err != nil {
			return err
		}
		previous = attest.ChainHash(previous, record)
		if e["hash"] != previous.String() {
			return fmt.Errorf("hash is %v, should be %v", e["hash"], previous)
		}
		return nil
	})
}
