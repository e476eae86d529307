package main

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A ctkRule says what is wrong with a JSON value: nothing, or a line for each
// fault.
type ctkRule func(v any) []string

// ctkObject wants exactly these members.
func ctkObject(members map[string]ctkRule) ctkRule {
	return func(v any) []string {
		m, ok := v.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf(": %T, want an object", v)}
		}
		var faults []string
		for _, name := range slices.Sorted(maps.Keys(members)) {
			value, there := m[name]
			if !there {
				faults = append(faults, "."+name+" is missing")
				continue
			}
			for _, f := range members[name](value) {
				faults = append(faults, "."+name+f)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if members[name] == nil {
				faults = append(faults, "."+name+" must not be there")
			}
		}
		return faults
	}
}

// ctkList wants an array of at least one element, each by the rule.
func ctkList(of ctkRule) ctkRule {
	return func(v any) []string {
		list, ok := v.([]any)
		if !ok || len(list) == 0 {
			return []string{fmt.Sprintf(": %T of length %d, want an array of at least one", v, len(list))}
		}
		var faults []string
		for i, e := range list {
			for _, f := range of(e) {
				faults = append(faults, fmt.Sprintf("[%d]%s", i, f))
			}
		}
		return faults
	}
}

// ctkOne wants an array of one element.
func ctkOne(of ctkRule) ctkRule {
	return func(v any) []string {
		if list, ok := v.([]any); ok && len(list) > 1 {
			return []string{fmt.Sprintf(": %d elements, want one", len(list))}
		}
		return ctkList(of)(v)
	}
}

// ctkText wants a string that all of the pattern matches.
func ctkText(pattern string) ctkRule {
	whole := regexp.MustCompile(`\A(?:` + pattern + `)\z`)
	return func(v any) []string {
		if s, ok := v.(string); !ok || !whole.MatchString(s) {
			return []string{fmt.Sprintf(" = %.60q, want text like %s", fmt.Sprint(v), pattern)}
		}
		return nil
	}
}

// ctkBase64Parts wants base64url without padding, in parts with dots between.
// Images are long: a regular expression would take its time.
func ctkBase64Parts(n int) ctkRule {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return func(v any) []string {
		s, _ := v.(string)
		parts := strings.Split(s, ".")
		wrong := slices.ContainsFunc(parts, func(part string) bool { return part == "" || strings.Trim(part, alphabet) != "" })
		if wrong || len(parts) != n {
			return []string{fmt.Sprintf(" = %.60q, want %d parts of base64url", fmt.Sprint(v), n)}
		}
		return nil
	}
}

// ctkIs wants exactly one value.
func ctkIs(want any) ctkRule {
	return func(v any) []string {
		if !reflect.DeepEqual(v, want) {
			return []string{fmt.Sprintf(" = %.60q, want %q", fmt.Sprint(v), fmt.Sprint(want))}
		}
		return nil
	}
}

// ctkMoment wants the one form of a time that every client reads: UTC in whole
// seconds.
func ctkMoment(v any) []string {
	const form = "2006-01-02T15:04:05Z"
	s, _ := v.(string)
	if _, err := time.Parse(form, s); err != nil || len(s) != len(form) { // Parse lets fractions pass
		return []string{fmt.Sprintf(" = %q, want a time like %s", fmt.Sprint(v), form)}
	}
	return nil
}

var (
	ctkAny     = ctkText(`(?s:.+)`)
	ctkToken   = ctkBase64Parts(3) // compact JWS
	ctkBase64  = ctkBase64Parts(1)
	ctkScore   = ctkText(`100(\.0+)?|\d{1,2}(\.\d+)?`)
	ctkDigest  = ctkText(`[0-9A-F]{64}`)
	ctkVersion = ctkIs([]any{"0.9.5"})
	ctkHere    = ctkText(`http://127\.0\.0\.1:\d{4}/`)
	ctkSuccess = ctkObject(map[string]ctkRule{"errorCode": ctkIs("0"), "errorInfo": ctkIs("Success")})
)

// ctkSubTypes are the bioSubType that there are for each type; a face has none.
var ctkSubTypes = map[string]ctkRule{
	"Finger": ctkText(`(Left|Right) (IndexFinger|MiddleFinger|RingFinger|LittleFinger|Thumb)|UNKNOWN`),
	"Iris":   ctkText(`Left|Right|UNKNOWN`),
}

// ctkFailure wants an error with our code. Two texts are fixed.
func ctkFailure(code string) ctkRule {
	info := ctkText(`[^S](?s:.+)|S[^u](?s:.+)`) // not Success
	switch code {
	case "109":
		info = ctkIs("Requested number of biometric (Finger/IRIS) not supported")
	case "112":
		info = ctkIs("Invalid Transaction ID")
	}
	return ctkObject(map[string]ctkRule{"errorCode": ctkIs(code), "errorInfo": info})
}

// level is the certification of a project's device.
func (p ctkProject) level() string {
	if p.purpose == "Auth" {
		return "L1"
	}
	return "L0"
}

func (p ctkProject) digitalID() ctkRule {
	return ctkObject(map[string]ctkRule{
		"serialNo": ctkText(`[A-Za-z0-9]{12,}`), "make": ctkAny, "model": ctkAny,
		"type": ctkIs(p.kind), "deviceSubType": ctkIs(p.subType),
		"deviceProvider": ctkAny, "deviceProviderId": ctkAny, "dateTime": ctkMoment,
	})
}

func (p ctkProject) discovery(string) ctkRule {
	return ctkOne(ctkObject(map[string]ctkRule{
		"deviceId": ctkAny, "deviceStatus": ctkIs("Ready"), "certification": ctkIs(p.level()),
		"serviceVersion": ctkAny, "deviceSubId": ctkIs(p.subIDs()), "callbackId": ctkHere,
		"digitalId": ctkBase64, "digitalIdDecoded": p.digitalID(), "deviceCode": ctkAny,
		"specVersion": ctkVersion, "purpose": ctkIs(p.purpose), "error": ctkSuccess,
	}))
}

func (p ctkProject) discoveryError(code string) ctkRule {
	return ctkOne(ctkObject(map[string]ctkRule{"error": ctkFailure(code)}))
}

// ctkInfo returns the rule for an answer to MOSIPDINFO with a status.
func ctkInfo(status string) func(ctkProject, string) ctkRule {
	return func(p ctkProject, code string) ctkRule {
		signed, env, purpose, outcome := ctkToken, "Developer", p.purpose, ctkSuccess
		if status == "Not Registered" {
			signed, env, purpose = ctkBase64, "None", ""
		}
		if code != "" {
			outcome = ctkFailure(code)
		}
		return ctkOne(ctkObject(map[string]ctkRule{
			"deviceInfo": signed,
			"deviceInfoDecoded": ctkObject(map[string]ctkRule{
				"env": ctkIs(env), "digitalId": signed, "digitalIdDecoded": p.digitalID(), "purpose": ctkIs(purpose),
				"serviceVersion": ctkAny, "deviceStatus": ctkIs(status), "firmware": ctkAny,
				"certification": ctkIs(p.level()), "specVersion": ctkVersion, "deviceSubId": ctkIs(p.subIDs()),
				"callbackId": ctkHere, "deviceId": ctkAny, "deviceCode": ctkAny,
			}),
			"error": outcome,
		}))
	}
}

func (p ctkProject) biometrics(string) ctkRule {
	data := map[string]ctkRule{
		"digitalId": ctkToken, "digitalIdDecoded": p.digitalID(), "deviceCode": ctkAny, "deviceServiceVersion": ctkAny,
		"bioType": ctkIs(p.kind), "purpose": ctkIs(p.purpose), "env": ctkIs("Developer"), "bioValue": ctkBase64,
		"transactionId": ctkText(`[A-Za-z0-9-]{4,50}`), "timestamp": ctkMoment,
		"requestedScore": ctkScore, "qualityScore": ctkScore,
	}
	if rule := ctkSubTypes[p.kind]; rule != nil {
		data["bioSubType"] = rule
	}
	element := map[string]ctkRule{
		"specVersion": ctkIs("0.9.5"), "data": ctkToken, "dataDecoded": ctkObject(data), "hash": ctkDigest, "error": ctkSuccess,
	}
	if p.purpose == "Auth" {
		data["domainUri"] = ctkIs("")
		element["sessionKey"], element["thumbprint"] = ctkBase64, ctkDigest
	}
	return ctkObject(map[string]ctkRule{"biometrics": ctkList(ctkObject(element))})
}

func (p ctkProject) biometricsError(code string) ctkRule {
	return ctkObject(map[string]ctkRule{"biometrics": ctkOne(ctkObject(map[string]ctkRule{
		"specVersion": ctkIs("0.9.5"), "data": ctkIs(""), "hash": ctkIs(""), "error": ctkFailure(code),
	}))})
}

// ctkSample returns an answer that is right for a project. The tokens in it are
// not: rules do not look into them.
func ctkSample(p ctkProject, answer, code string) any {
	success := map[string]any{"errorCode": "0", "errorInfo": "Success"}
	failure := map[string]any{"errorCode": code, "errorInfo": "What the operator reads"}
	if code == "109" {
		failure["errorInfo"] = "Requested number of biometric (Finger/IRIS) not supported"
	}
	digitalID := map[string]any{
		"serialNo": "SBID00112233", "make": "sbid", "model": "X", "type": p.kind, "deviceSubType": p.subType,
		"deviceProvider": "p", "deviceProviderId": "P", "dateTime": "2026-01-02T03:04:05Z",
	}
	switch {
	case answer == "Discover":
		return []any{map[string]any{
			"deviceId": "1", "deviceStatus": "Ready", "certification": p.level(), "serviceVersion": "1", "deviceSubId": p.subIDs(),
			"callbackId": "http://127.0.0.1:4501/", "digitalId": "e30", "digitalIdDecoded": digitalID, "deviceCode": "SBID00112233",
			"specVersion": []any{"0.9.5"}, "purpose": p.purpose, "error": success,
		}}
	case answer == "DiscoverError":
		return []any{map[string]any{"error": failure}}
	case strings.HasPrefix(answer, "Info"):
		info := map[string]any{
			"env": "Developer", "digitalId": "a.b.c", "digitalIdDecoded": digitalID, "purpose": p.purpose, "serviceVersion": "1",
			"deviceStatus": "Ready", "firmware": "1", "certification": p.level(), "specVersion": []any{"0.9.5"},
			"deviceSubId": p.subIDs(), "callbackId": "http://127.0.0.1:4501/", "deviceId": "1", "deviceCode": "SBID00112233",
		}
		return []any{map[string]any{"deviceInfo": "a.b.c", "deviceInfoDecoded": info, "error": success}}
	case code != "":
		return map[string]any{"biometrics": []any{map[string]any{"specVersion": "0.9.5", "data": "", "hash": "", "error": failure}}}
	}
	var elements []any
	for range 2 {
		data := map[string]any{
			"digitalId": "a.b.c", "digitalIdDecoded": digitalID, "deviceCode": "SBID00112233", "deviceServiceVersion": "1",
			"bioType": p.kind, "purpose": p.purpose, "env": "Developer", "bioValue": "AAAA", "transactionId": "SBI1002-123",
			"timestamp": "2026-01-02T03:04:05Z", "requestedScore": "40", "qualityScore": "87.5",
		}
		if p.kind != "Face" {
			data["bioSubType"] = "UNKNOWN"
		}
		digest := strings.Repeat("0F", 32)
		e := map[string]any{"specVersion": "0.9.5", "data": "a.b.c", "dataDecoded": data, "hash": digest, "error": success}
		if p.purpose == "Auth" {
			data["domainUri"] = ""
			e["sessionKey"], e["thumbprint"] = "AAAA", digest
		}
		elements = append(elements, e)
	}
	return map[string]any{"biometrics": elements}
}

// ctkDamage sets a member of a JSON value to something else, or with nothing
// removes it. The path is like biometrics.1.hash.
func ctkDamage(t *testing.T, v any, path string, value any) {
	t.Helper()
	steps := strings.Split(path, ".")
	for _, step := range steps[:len(steps)-1] {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			v = in[step[0]-'0']
		}
	}
	in, ok := v.(map[string]any)
	if !ok {
		t.Fatalf("no object at %s", path)
	}
	if value == (ctkAbsent{}) {
		delete(in, steps[len(steps)-1])
		return
	}
	in[steps[len(steps)-1]] = value
}

// ctkAbsent stands for a member that is not there.
type ctkAbsent struct{}

// Every rule refuses what clients stumble over, in every element, and passes
// what is right. The toolkit's own schemas judge alike, but for what they do
// not look at.
func TestCTKRules(t *testing.T) {
	slap, camera, single := ctkProjects[0], ctkProjects[2], ctkProjects[3]
	tests := []struct {
		project      ctkProject
		answer, code string
		path         string
		value        any
		lenient      bool // the toolkit would let it pass
	}{
		{slap, "RegOK", "", "biometrics.1.sessionKey", "AAAA", false},
		{slap, "RegOK", "", "biometrics.1.thumbprint", nil, false},
		{slap, "RegOK", "", "biometrics.1.additionalInfo", "", false},
		{slap, "RegOK", "", "biometrics.1.hash", strings.Repeat("0f", 32), false},
		{slap, "RegOK", "", "biometrics.1.error.errorCode", 0.0, false},
		{slap, "RegOK", "", "biometrics.1.error.errorInfo", "Erfolg", false},
		{slap, "RegOK", "", "biometrics.1.error", nil, false},
		{slap, "RegOK", "", "biometrics.1.data", "", false},
		{slap, "RegOK", "", "biometrics.1.data", "not a token", true},
		{slap, "RegOK", "", "biometrics.1.dataDecoded.domainUri", "", false},
		{slap, "RegOK", "", "biometrics.1.dataDecoded.iat", 1.0, false},
		{slap, "RegOK", "", "biometrics.1.dataDecoded.bioSubType", "Left Index", false},
		{slap, "RegOK", "", "biometrics.1.dataDecoded.bioSubType", ctkAbsent{}, false},
		{slap, "RegOK", "", "biometrics.1.dataDecoded.qualityScore", 87.5, false},
		{slap, "RegOK", "", "biometrics.1.dataDecoded.qualityScore", "100.5", false},
		{slap, "RegOK", "", "biometrics.1.dataDecoded.requestedScore", "4e1", false},
		{slap, "RegOK", "", "biometrics.1.dataDecoded.timestamp", "2026-13-02T03:04:05Z", false},
		{slap, "RegOK", "", "biometrics.1.dataDecoded.timestamp", "2026-01-02T03:04:05.678Z", true},
		{slap, "RegOK", "", "biometrics.1.dataDecoded.timestamp", "2026-01-02T03:04:05+00:00", true},
		{slap, "RegOK", "", "biometrics.1.dataDecoded.transactionId", "a_b", false},
		{slap, "RegOK", "", "biometrics.1.dataDecoded.digitalIdDecoded.type", "Iris", false},
		{slap, "RegOK", "", "biometrics.1.dataDecoded.digitalIdDecoded.vendor", "", false},
		{camera, "RegOK", "", "biometrics.1.dataDecoded.bioSubType", nil, false},
		{camera, "RegOK", "", "biometrics.1.dataDecoded.bioSubType", "", false},
		{camera, "RegOK", "", "biometrics.1.dataDecoded.bioSubType", "null", true},
		{single, "AuthOK", "", "biometrics.1.sessionKey", ctkAbsent{}, false},
		{single, "AuthOK", "", "biometrics.1.thumbprint", "0F", false},
		{single, "AuthOK", "", "biometrics.1.dataDecoded.domainUri", ctkAbsent{}, false},
		{slap, "CapErr", "101", "biometrics.0.data", nil, true},
		{slap, "CapErr", "101", "biometrics.0.hash", ctkAbsent{}, false},
		{slap, "CapErr", "101", "biometrics.0.specVersion", ctkAbsent{}, false},
		{slap, "CapErr", "101", "biometrics.0.error.errorCode", "0", false},
		{slap, "CapErr", "101", "biometrics.0.error.errorInfo", "Success", false},
		{slap, "CountReg", "109", "biometrics.0.error.errorCode", "101", false},
		{slap, "CountReg", "109", "biometrics.0.error.errorInfo", "Too many", false},
		{slap, "CountReg", "109", "biometrics.0.sessionKey", "", false},
		{slap, "Discover", "", "0.specVersion", []any{"0.9.5", "0.9.2"}, false},
		{slap, "Discover", "", "0.deviceSubId", []any{}, false},
		{slap, "Discover", "", "0.deviceSubId", []any{"1", 2.0, 3.0}, false},
		{slap, "Discover", "", "0.deviceStatus", "ready", false},
		{slap, "Discover", "", "0.callbackId", "http://127.0.0.1:4501", true},
		{slap, "Discover", "", "0.digitalIdDecoded.dateTime", "yesterday", false},
		{slap, "Discover", "", "0.vendor", "", false},
		{slap, "DiscoverError", "500", "0.error", ctkAbsent{}, false},
		{slap, "InfoReady", "", "0.deviceInfoDecoded.deviceStatus", "Busy", false},
		{slap, "InfoReady", "", "0.deviceInfoDecoded.exp", 1.0, false},
		{slap, "InfoReady", "", "0.deviceInfoDecoded.certification", "L2", false},
		{slap, "InfoReady", "", "0.deviceInfo", nil, false},
	}
	schemas := ctkSchemasOf(t)
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s/%s=%v", tt.answer, tt.path, tt.value), func(t *testing.T) {
			rule := ctkAnswers[tt.answer].rule(tt.project, tt.code)
			judge := func() (ours []string, theirs error) {
				v := ctkSample(tt.project, tt.answer, tt.code)
				if tt.path != "" {
					ctkDamage(t, v, tt.path, tt.value)
				}
				return rule(v), schemas.check(v, ctkAnswers[tt.answer].schemas...)
			}
			if ours, _ := judge(); len(ours) == 0 {
				t.Error("our rule lets it pass")
			}
			if _, theirs := judge(); schemas != nil && (theirs == nil) != tt.lenient {
				t.Errorf("the toolkit's schema says %v", theirs)
			}
			tt.path = ""
			if ours, theirs := judge(); len(ours) > 0 || theirs != nil {
				t.Errorf("undamaged: %q, %v", ours, theirs)
			}
		})
	}
}
