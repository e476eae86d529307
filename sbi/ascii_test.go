package sbi

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the text, the payload survives being decoded as plain base64, and
// means the same.
func TestASCIIJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := map[string]string{"a": rapid.String().Draw(t, "text"), "b": "x>?~\x7fé€😀<&"}
		out := asciiJSON(in)
		for _, b := range out {
			if b < 0x20 || b >= 0x7F || strings.ContainsRune(">?~", rune(b)) {
				t.Fatalf("byte %q in %s", b, out)
			}
		}
		if strings.ContainsAny(base64.RawURLEncoding.EncodeToString(out), "-_") {
			t.Fatalf("base64url of %s differs from base64", out)
		}
		var back map[string]string
		if err := json.Unmarshal(out, &back); err != nil || back["a"] != strings.ToValidUTF8(in["a"], "\uFFFD") || back["b"] != in["b"] {
			t.Fatalf("%q became %q (%v)", in, back, err)
		}
	})
}
