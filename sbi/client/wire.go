package client

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// text is a scalar of an answer. Services send strings or numbers for the same
// member, and null for one that they leave empty.
type text string

// UnmarshalJSON reads a string, number, boolean or null.
func (t *text) UnmarshalJSON(b []byte) error {
	switch {
	case len(b) > 0 && b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = text(s)
	case string(b) == "null":
		*t = ""
	case len(b) > 0 && (b[0] == '{' || b[0] == '['):
		return fmt.Errorf("%.20q is not a string or a number", b)
	default:
		*t = text(b)
	}
	return nil
}

// texts is a list of scalars. Some services send a single one bare.
type texts []string

// UnmarshalJSON reads an array, a scalar or null.
func (t *texts) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || b[0] != '[' {
		var one text
		if err := one.UnmarshalJSON(b); err != nil {
			return err
		}
		*t = nil
		if one != "" {
			*t = texts{string(one)}
		}
		return nil
	}
	var all []text
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	*t = make(texts, len(all))
	for i, s := range all {
		(*t)[i] = string(s)
	}
	return nil
}

// wireError is an error element; code 0 and an absent one are success.
type wireError struct {
	Code text `json:"errorCode"`
	Info text `json:"errorInfo"`
}

// asError returns nil for success.
func (w *wireError) asError() (*Error, error) {
	if w == nil || w.Code == "" {
		return nil, nil
	}
	code, err := strconv.Atoi(strings.TrimSpace(string(w.Code)))
	if err != nil {
		return nil, fmt.Errorf("error code %.20q is not a number", w.Code)
	}
	if code == 0 {
		return nil, nil
	}
	return &Error{Code: code, Info: string(w.Info)}, nil
}

// reportedError finds the error in an answer that is nothing but an error, in
// any of the shapes that services give it: bare, in an object, in an array, in
// a biometrics array. It returns nil if there is none.
func reportedError(answer []byte) *Error {
	type element struct {
		wireError
		Error *wireError `json:"error"`
	}
	var object struct {
		element
		Biometrics []element `json:"biometrics"`
	}
	var elements []element
	if err := json.Unmarshal(answer, &elements); err != nil {
		if err := json.Unmarshal(answer, &object); err != nil {
			return nil //nolint:nilerr // neither form: no error is reported in it
		}
		elements = append(object.Biometrics, object.element)
	}
	for _, e := range elements {
		for _, w := range []*wireError{e.Error, &e.wireError} {
			if sbiErr, _ := w.asError(); sbiErr != nil {
				return sbiErr
			}
		}
	}
	return nil
}

// decodeBase64 reads base64url as SBI means it, without padding, and what
// services send in its place: with padding, or in the standard alphabet.
func decodeBase64(s string) ([]byte, error) {
	s = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(s, "="))
	return base64.RawURLEncoding.DecodeString(s)
}

// Payload returns what a token carries: the second part of a compact JWS, or
// all of an unsigned base64url text, as devices that are not registered send
// it. It does not verify the signature.
func Payload(token string) ([]byte, error) {
	part := token
	if parts := strings.Split(token, "."); len(parts) == 3 {
		part = parts[1]
	} else if len(parts) != 1 {
		return nil, fmt.Errorf("token has %d parts: want 3 for a JWS, 1 if unsigned", len(parts))
	}
	b, err := decodeBase64(part)
	if err != nil {
		return nil, fmt.Errorf("decode token: %w", err)
	}
	return b, nil
}

// Signed reports whether a token has the three parts of a JWS.
func Signed(token string) bool { return strings.Count(token, ".") == 2 }

// decodePayload reads the JSON that a token carries into v.
func decodePayload(token string, v any) error {
	b, err := Payload(token)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode payload: %w", err)
	}
	return nil
}
