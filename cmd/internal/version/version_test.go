package version

import (
	"regexp"
	"runtime/debug"
	"testing"
)

func TestOf(t *testing.T) {
	for stamped, want := range map[string]string{
		"v1.2.0": "v1.2.0",
		"v0.0.0-20261122132102-d2ae8a04e75e+dirty": "v0.0.0-20261122132102-d2ae8a04e75e+dirty",
		"(devel)": Unknown,
		"":        Unknown,
	} {
		if got := of(&debug.BuildInfo{Main: debug.Module{Version: stamped}}); got != want {
			t.Errorf("stamped %q: got %q, want %q", stamped, got, want)
		}
	}
}

// The version goes into payloads that every client must be able to decode.
func TestStringIsPlain(t *testing.T) {
	if v := String(); !regexp.MustCompile(`^[A-Za-z0-9.+-]+$`).MatchString(v) {
		t.Errorf("version %q has characters that clients stumble over", v)
	}
}
