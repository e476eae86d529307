// Package verify judges what an SBI service sent, and says each check in words:
// answers to captures, discoveries and device info, single tokens, CBEFF
// documents and ISO records. It applies the rules of the clients that matter,
// so that what passes here is what they accept.
package verify

import (
	"bytes"
	"crypto"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"regexp"
	"strings"
	"time"

	"sbid/attest"
	"sbid/attest/evidence"
	"sbid/capture/iso19794"
	"sbid/driver"
)

// An Outcome is how a check went.
type Outcome string

const (
	OK         Outcome = "ok"
	Failed     Outcome = "failed"
	NotChecked Outcome = "not checked"
)

// A Check is one thing that was looked at.
type Check struct {
	Name    string  `json:"check"`
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail,omitempty"` // what was found, or why not
}

// An Item is one thing with checks of its own, such as a finger of an answer.
type Item struct {
	Name   string  `json:"name"`
	Checks []Check `json:"checks"`

	// What the item holds, as far as it could be read.
	Position driver.Position `json:"-"`
	Score    string          `json:"-"` // qualityScore as sent
	Hash     string          `json:"-"` // as sent
	Token    string          `json:"-"` // a JWS
	Record   []byte          `json:"-"` // ISO/IEC 19794, not encrypted
	// Encrypted says that there is a record but no key to open it with.
	Encrypted bool        `json:"-"`
	Image     image.Image `json:"-"`
}

func (i *Item) add(outcome Outcome, name, format string, args ...any) {
	i.Checks = append(i.Checks, Check{name, outcome, fmt.Sprintf(format, args...)})
}

func (i *Item) ok(name, format string, args ...any)   { i.add(OK, name, format, args...) }
func (i *Item) fail(name, format string, args ...any) { i.add(Failed, name, format, args...) }
func (i *Item) skip(name, format string, args ...any) { i.add(NotChecked, name, format, args...) }

// judge adds a check that failed if there are faults.
func (i *Item) judge(name string, faults []string, passed string) {
	if len(faults) > 0 {
		i.fail(name, "%s", strings.Join(faults, "; "))
		return
	}
	i.ok(name, "%s", passed)
}

// A Report is all that was found out about one file or answer.
type Report struct {
	Kind  string  `json:"kind"`
	Items []*Item `json:"items"`
}

// Count returns how many checks of the report had an outcome.
func (r Report) Count(o Outcome) int {
	n := 0
	for _, item := range r.Items {
		for _, c := range item.Checks {
			if c.Outcome == o {
				n++
			}
		}
	}
	return n
}

// Failures returns the failed checks in words.
func (r Report) Failures() []string {
	var out []string
	for _, item := range r.Items {
		for _, c := range item.Checks {
			if c.Outcome == Failed {
				out = append(out, fmt.Sprintf("%s: %s: %s", item.Name, c.Name, c.Detail))
			}
		}
	}
	return out
}

// Options say what to judge by.
type Options struct {
	Trust        *attest.Trust    // whom to trust; nil leaves trust unchecked
	Organisation string           // that device certificates must name; "" for any
	Previous     string           // hash that the chain goes on from, as in the request
	Key          crypto.Decrypter // opens captures for authentication; nil leaves them closed
	At           time.Time        // when certificates must be valid; zero is now

	// Of an answer that was just asked for: what it must hold, where an unknown
	// position stands for any, and the transaction that it must name. Zero
	// values leave both unchecked.
	Asked       []driver.Position
	Transaction string

	// Evidence is what evidence of a machine is judged by, all but the time.
	Evidence evidence.Options
}

// ErrUnknown says that bytes are nothing that this package knows.
var ErrUnknown = errors.New("neither CBEFF, nor an SBI answer, nor a token, nor an ISO record, nor evidence of a machine")

var compactJWS = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$`)

// Bytes judges the contents of a file by what they are. It returns ErrUnknown
// for anything else.
func Bytes(b []byte, o Options) (Report, error) {
	if o.At.IsZero() {
		o.At = time.Now()
	}
	v := verifier{o}
	text := bytes.TrimSpace(bytes.TrimPrefix(b, []byte("\ufeff")))
	switch {
	case isRecord(b):
		return v.recordFile(b), nil
	case isBIR(text):
		return v.cbeffDocument(b), nil
	case isEvidence(b):
		return v.evidence(b), nil
	case bytes.HasPrefix(text, []byte("{")), bytes.HasPrefix(text, []byte("[")):
		return v.answer(text)
	case compactJWS.Match(text):
		return v.tokenFile(string(text)), nil
	}
	return Report{}, ErrUnknown
}

// answer tells the answers of a service apart by their members.
func (v *verifier) answer(b []byte) (Report, error) {
	var capture struct {
		Biometrics *json.RawMessage `json:"biometrics"`
	}
	var list []map[string]json.RawMessage
	switch {
	case json.Unmarshal(b, &capture) == nil && capture.Biometrics != nil:
		return v.captureAnswer(b), nil
	case json.Unmarshal(b, &list) == nil && anyHas(list, "deviceInfo"):
		return v.infoAnswer(list), nil
	case anyHas(list, "digitalId"), anyHas(list, "error"):
		return v.discoveryAnswer(list), nil
	}
	return Report{}, ErrUnknown
}

func anyHas(list []map[string]json.RawMessage, name string) bool {
	for _, element := range list {
		if _, ok := element[name]; ok {
			return true
		}
	}
	return false
}

type verifier struct{ Options }

// isBIR says whether b is XML whose root is called BIR.
func isBIR(b []byte) bool {
	if !bytes.HasPrefix(b, []byte("<")) {
		return false
	}
	for d := xml.NewDecoder(bytes.NewReader(b)); ; {
		token, err := d.RawToken()
		if err != nil {
			return false
		}
		if start, ok := token.(xml.StartElement); ok {
			return start.Name.Local == "BIR"
		}
	}
}

func isRecord(b []byte) bool {
	for _, id := range []string{iso19794.FormatFinger, iso19794.FormatIris, iso19794.FormatFace} {
		if bytes.HasPrefix(b, []byte(id+"\x00")) {
			return true
		}
	}
	return false
}
