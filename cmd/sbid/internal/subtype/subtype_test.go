package subtype

import (
	"strings"
	"testing"

	"sbid/driver"
)

func TestEveryPositionHasItsOwnName(t *testing.T) {
	for p := driver.UnknownFinger; p <= driver.FullFace; p++ {
		got, ok := Position(Name(p), p.Modality())
		if !ok || got != p {
			t.Errorf("%v is %q, which is %v, %v", p, Name(p), got, ok)
		}
	}
	for _, tt := range []struct {
		name string
		m    driver.Modality
	}{{"Left", driver.Finger}, {"Left IndexFinger", driver.Iris}, {"UNKNOWN", driver.Face}, {"", driver.Finger}, {"left indexfinger", driver.Finger}} {
		if p, ok := Position(tt.name, tt.m); ok {
			t.Errorf("%q of %v is %v", tt.name, tt.m, p)
		}
	}
}

func TestParse(t *testing.T) {
	for p := driver.RightThumb; p < driver.FullFace; p++ {
		for _, s := range []string{Name(p), p.String(), strings.ToUpper(p.String())} {
			if got, err := Parse(s); s != Unknown && (got != p || err != nil) {
				t.Errorf("%q: got %v, %v, want %v", s, got, err, p)
			}
		}
	}
	if p, err := Parse("unknown"); p != driver.UnknownFinger || err != nil {
		t.Errorf("unknown: got %v, %v", p, err)
	}
	for _, s := range []string{"", "index", "left-toe", "face"} {
		if p, err := Parse(s); err == nil {
			t.Errorf("%q: got %v", s, p)
		}
	}
}
