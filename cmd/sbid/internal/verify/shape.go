package verify

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
)

// A shape is the members that a JSON object of SBI has, and no others: clients
// refuse an answer with a member that they do not know.
type shape []member

// A member is a text, or where list is set an array of texts, of a form.
type member struct {
	name     string
	form     *regexp.Regexp // nil: judged elsewhere, whatever it is
	list     bool
	optional bool
}

// faults says what an object lacks, has too much or has in a wrong form.
func (s shape) faults(object map[string]json.RawMessage) []string {
	var faults []string
	known := map[string]bool{}
	for _, m := range s {
		known[m.name] = true
		raw, there := object[m.name]
		switch {
		case !there && m.optional:
		case !there:
			faults = append(faults, m.name+" is missing")
		case m.form == nil:
		default:
			if fault := m.fault(raw); fault != "" {
				faults = append(faults, fault)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if !known[name] {
			faults = append(faults, quote(name)+" is a member that clients do not know")
		}
	}
	return faults
}

// fault says what is wrong with the value of m, "" if nothing is.
func (m member) fault(raw json.RawMessage) string {
	var values []string
	if m.list {
		if json.Unmarshal(raw, &values) != nil || len(values) == 0 {
			return m.name + " is not a list of texts"
		}
	} else {
		var value *string
		if json.Unmarshal(raw, &value) != nil || value == nil {
			return m.name + " is not a text"
		}
		values = []string{*value}
	}
	for _, value := range values {
		if !m.form.MatchString(value) {
			return fmt.Sprintf("%s is %s", m.name, quote(value))
		}
	}
	return ""
}

// quote returns a text in quotes and not too long, since some hold whole images.
func quote(s string) string {
	const most = 40
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

// textOf returns the value of a member that is a text, else "".
func textOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// The forms of texts. Times have whole seconds and a Z: clients parse nothing
// else.
var (
	filledForm      = regexp.MustCompile(`.`)
	anyForm         = regexp.MustCompile(``)
	timeForm        = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)
	scoreForm       = regexp.MustCompile(`^(100(\.0+)?|\d{1,2}(\.\d+)?)$`)
	hashForm        = regexp.MustCompile(`^[0-9A-F]{64}$`)
	transactionForm = regexp.MustCompile(`^[A-Za-z0-9-]{4,50}$`)
	base64Form      = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	typeForm        = regexp.MustCompile(`^(Finger|Iris|Face)$`)
	specForm        = regexp.MustCompile(`^0\.9\.5$`)
	statusForm      = regexp.MustCompile(`^(Ready|Busy|Not Ready|Not Registered)$`)
	levelForm       = regexp.MustCompile(`^L[01]$`)
	purposeForm     = regexp.MustCompile(`^(Auth|Registration)$`)
	anyPurposeForm  = regexp.MustCompile(`^(Auth|Registration|)$`) // none while not registered
	envForm         = regexp.MustCompile(`^(Staging|Developer|Pre-Production|Production)$`)
	anyEnvForm      = regexp.MustCompile(`^(Staging|Developer|Pre-Production|Production|None)$`)
	subIDForm       = regexp.MustCompile(`^[0-3]$`)
	callbackForm    = regexp.MustCompile(`^http://127\.0\.0\.1:\d+/$`)
	codeForm        = regexp.MustCompile(`^(0|[1-9]\d\d)$`)
)

var digitalIDShape = shape{
	{name: "serialNo", form: filledForm}, {name: "make", form: filledForm}, {name: "model", form: filledForm},
	{name: "type", form: typeForm}, {name: "deviceSubType", form: filledForm},
	{name: "deviceProvider", form: filledForm}, {name: "deviceProviderId", form: filledForm}, {name: "dateTime", form: timeForm},
}

var discoveryShape = shape{
	{name: "deviceId", form: filledForm}, {name: "deviceStatus", form: statusForm}, {name: "certification", form: levelForm},
	{name: "serviceVersion", form: filledForm}, {name: "deviceSubId", form: subIDForm, list: true}, {name: "callbackId", form: callbackForm},
	{name: "digitalId", form: base64Form}, {name: "deviceCode", form: filledForm}, {name: "specVersion", form: specForm, list: true},
	{name: "purpose", form: anyPurposeForm}, {name: "error"},
}

var deviceInfoShape = shape{
	{name: "deviceId", form: filledForm}, {name: "deviceStatus", form: statusForm}, {name: "certification", form: levelForm},
	{name: "serviceVersion", form: filledForm}, {name: "deviceSubId", form: subIDForm, list: true}, {name: "callbackId", form: callbackForm},
	{name: "digitalId", form: filledForm}, {name: "deviceCode", form: filledForm}, {name: "specVersion", form: specForm, list: true},
	{name: "purpose", form: anyPurposeForm}, {name: "firmware", form: filledForm}, {name: "env", form: anyEnvForm},
}

var infoShape = shape{{name: "deviceInfo"}, {name: "error"}}

var errorShape = shape{{name: "errorCode", form: codeForm}, {name: "errorInfo", form: filledForm}}

// biometricShape is an element of an answer; forAuth has what is encrypted, too.
func biometricShape(forAuth bool) shape {
	s := shape{{name: "specVersion", form: specForm}, {name: "data", form: filledForm}, {name: "hash", form: hashForm}, {name: "error"}}
	if forAuth {
		s = append(s, member{name: "sessionKey", form: base64Form}, member{name: "thumbprint", form: hashForm})
	}
	return s
}

// failedShape is an element that is nothing but an error.
var failedShape = shape{
	{name: "specVersion", form: anyForm, optional: true}, {name: "data"}, {name: "hash"}, {name: "error"},
	{name: "sessionKey", optional: true}, {name: "thumbprint", optional: true},
}

// payloadShape is what the data of a biometric carries.
func payloadShape(forAuth, isFace bool) shape {
	s := shape{
		{name: "digitalId", form: filledForm}, {name: "deviceCode", form: filledForm}, {name: "deviceServiceVersion", form: filledForm},
		{name: "bioType", form: typeForm}, {name: "purpose", form: purposeForm}, {name: "env", form: envForm},
		{name: "bioValue", form: base64Form}, {name: "transactionId", form: transactionForm}, {name: "timestamp", form: timeForm},
		{name: "requestedScore", form: scoreForm}, {name: "qualityScore", form: scoreForm},
	}
	if !isFace {
		s = append(s, member{name: "bioSubType", form: filledForm})
	}
	if forAuth {
		s = append(s, member{name: "domainUri", form: anyForm, optional: true})
	}
	return s
}
