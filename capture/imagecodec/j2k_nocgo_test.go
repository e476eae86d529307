//go:build !cgo

package imagecodec

import (
	"errors"
	"testing"
)

// Without OpenJPEG a JP2 file fails with what is missing, and only where it is:
// its boxes and headers are still read.
func TestNoOpenJPEG(t *testing.T) {
	if _, err := EncodeJP2(noise(9, 9), JP2Options{}); !errors.Is(err, ErrNoOpenJPEG) {
		t.Errorf("encoding: %v, want %v", err, ErrNoOpenJPEG)
	}
	if _, _, err := DecodeJP2(minimalJP2()); !errors.Is(err, ErrNoOpenJPEG) {
		t.Errorf("decoding: %v, want %v", err, ErrNoOpenJPEG)
	}
	if _, _, err := DecodeJP2(minimalJP2()[:40]); err == nil || errors.Is(err, ErrNoOpenJPEG) {
		t.Errorf("decoding half a file: %v", err)
	}
}
