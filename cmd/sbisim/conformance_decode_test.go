package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// decode does what the toolkit's page does with an answer before anything else
// sees it: it decodes the payloads inside, leaves out other devices than the one
// that is tested, and keeps only the members that it knows. The page drops what
// it cannot decode, or does not know, in silence; here that is an error.
func (r *ctkRun) decode(verb string, body []byte) (answer any, elements []map[string]any, err error) {
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, nil, err
	}
	list, isList := answer.([]any)
	top, isObject := answer.(map[string]any)
	capture := strings.HasSuffix(verb, "CAPTURE")
	if capture && isObject {
		list, isList = top["biometrics"].([]any)
	}
	if !isList {
		return nil, nil, errors.New("no array where the elements should be")
	}
	kept := []any{}
	for i, v := range list {
		e, ok := v.(map[string]any)
		if !ok {
			return nil, nil, fmt.Errorf("element %d is a %T", i, v)
		}
		var id map[string]any
		switch {
		case verb == "MOSIPDISC":
			err = ctkDecodeDigitalID(e)
		case verb == "MOSIPDINFO":
			id, err = ctkDecodePayload(e, "deviceInfo", "error")
		default:
			id, err = ctkDecodePayload(e, "data", "error", "hash", "sessionKey", "specVersion", "thumbprint")
		}
		if err != nil {
			return nil, nil, fmt.Errorf("element %d: %w", i, err)
		}
		if id != nil && (id["type"] != r.project.kind || id["deviceSubType"] != r.project.subType) {
			if capture {
				return nil, nil, fmt.Errorf("element %d is of device %v %v", i, id["type"], id["deviceSubType"])
			}
			continue
		}
		kept, elements = append(kept, e), append(elements, e)
	}
	if capture {
		top["biometrics"] = kept
		return top, elements, nil
	}
	return kept, elements, nil
}

// ctkDecodeDigitalID decodes the digital ID of a device that was discovered. An
// error in its place has none.
func ctkDecodeDigitalID(e map[string]any) error {
	text, _ := e["digitalId"].(string)
	if text == "" {
		return nil
	}
	id, err := ctkAtob(text)
	if err != nil {
		return fmt.Errorf("digitalId: %w", err)
	}
	e["digitalIdDecoded"] = id
	return nil
}

// ctkDecodePayload decodes the token called name and the digital ID inside it,
// which it returns. An error that came without a token stays as it is.
func ctkDecodePayload(e map[string]any, name string, others ...string) (map[string]any, error) {
	text, ok := e[name].(string)
	if !ok {
		return nil, fmt.Errorf("%s is no text", name)
	}
	if text == "" {
		return nil, nil
	}
	payload, err := ctkAtob(ctkMiddle(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	signed, _ := payload["digitalId"].(string)
	id, err := ctkAtob(ctkMiddle(signed))
	if err != nil {
		return nil, fmt.Errorf("%s: digitalId: %w", name, err)
	}
	for member := range e {
		if member != name && !slices.Contains(others, member) {
			return nil, fmt.Errorf("nobody knows the member %q", member)
		}
	}
	payload["digitalIdDecoded"] = id
	e[name+"Decoded"] = payload
	return id, nil
}

// ctkMiddle returns the payload of a token; what is not signed is all payload.
func ctkMiddle(token string) string {
	if parts := strings.Split(token, "."); len(parts) > 2 {
		return parts[1]
	}
	return token
}

// ctkAtob decodes JSON in base64 as JavaScript's atob reads it: padding may be
// missing, but of the two alphabets it knows the one with + and / alone.
func ctkAtob(text string) (map[string]any, error) {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return nil, err
	}
	var v map[string]any
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, err
	}
	if v == nil {
		return nil, errors.New("null")
	}
	return v, nil
}

// The page cannot read what most base64url decoders can.
func TestCTKDecoding(t *testing.T) {
	r := &ctkRun{project: ctkProjects[0]}
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	id := encode(`{"type":"Finger","deviceSubType":"Slap"}`)
	other := encode(`{"type":"Iris","deviceSubType":"Double"}`)
	token := func(id, more string) string {
		return "h." + encode(fmt.Sprintf(`{"digitalId":"h.%s.s"%s}`, id, more)) + ".s"
	}
	tests := map[string]struct {
		verb, body string
		kept       int
		fails      bool
	}{
		"capture":             {"RCAPTURE", `{"biometrics":[{"data":"` + token(id, "") + `","hash":"","error":{}}]}`, 1, false},
		"error":               {"RCAPTURE", `{"biometrics":[{"data":"","more":1}]}`, 1, false},
		"data null":           {"RCAPTURE", `{"biometrics":[{"data":null}]}`, 0, true},
		"data missing":        {"RCAPTURE", `{"biometrics":[{}]}`, 0, true},
		"other device":        {"RCAPTURE", `{"biometrics":[{"data":"` + token(other, "") + `"}]}`, 0, true},
		"unknown member":      {"RCAPTURE", `{"biometrics":[{"data":"` + token(id, "") + `","more":1}]}`, 0, true},
		"hyphen in base64":    {"RCAPTURE", `{"biometrics":[{"data":"` + token(id, `,"a":"~~~"`) + `"}]}`, 0, true},
		"no array":            {"RCAPTURE", `{"biometrics":{}}`, 0, true},
		"two devices":         {"MOSIPDINFO", `[{"deviceInfo":"` + token(other, "") + `"},{"deviceInfo":"` + token(id, "") + `"}]`, 1, false},
		"unsigned":            {"MOSIPDINFO", `[{"deviceInfo":"` + encode(`{"digitalId":"`+id+`"}`) + `"}]`, 1, false},
		"info of an object":   {"MOSIPDINFO", `{}`, 0, true},
		"discovered":          {"MOSIPDISC", `[{"digitalId":"` + id + `"},{"digitalId":"` + other + `"}]`, 2, false},
		"signed in discovery": {"MOSIPDISC", `[{"digitalId":"` + token(id, "") + `"}]`, 0, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, elements, err := r.decode(tt.verb, []byte(tt.body))
			if (err != nil) != tt.fails || len(elements) != tt.kept {
				t.Errorf("%d elements, %v", len(elements), err)
			}
		})
	}
}
