package sbi

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// asciiJSON marshals v as JSON whose base64url has no '-' or '_', since some
// browser code decodes payloads as plain base64: only ASCII, and none of the
// characters (>, ?, ~ and DEL) that would bring those two about. They can only
// stand inside strings, where an escape means the same.
func asciiJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types always marshal
	}
	clean := true
	for _, b := range raw {
		if needsEscape(rune(b)) {
			clean = false
			break
		}
	}
	if clean {
		return raw
	}
	out := make([]byte, 0, len(raw)+64)
	for len(raw) > 0 {
		r, n := utf8.DecodeRune(raw)
		switch {
		case r > 0xFFFF:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xD800+r>>10, 0xDC00+r&0x3FF)
		case needsEscape(r):
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = append(out, raw[:n]...)
		}
		raw = raw[n:]
	}
	return out
}

func needsEscape(r rune) bool {
	return r == '>' || r == '?' || r == '~' || r >= 0x7F
}
