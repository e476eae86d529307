package iso19794_test

import (
	"bytes"
	"testing"

	"sbid/capture/iso19794"
)

// Whatever can be decoded and is fit to be encoded comes out as it went in, and
// none of the checks panics on it.
func fuzzDecode[R iso19794.Record](f *testing.F, decode func([]byte) (R, error)) {
	for _, g := range goldens(f) {
		f.Add(g.bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decode(b)
		if err != nil {
			return
		}
		for _, p := range []iso19794.Profile{iso19794.Registration, iso19794.Auth} {
			iso19794.Check(r, p)
			iso19794.CheckImage(r, p, iso19794.Decoded{})
		}
		again, err := r.MarshalBinary()
		if err != nil {
			return
		}
		if !bytes.Equal(again, b) {
			t.Errorf("decoded and encoded %x\nto %x", b, again)
		}
	})
}

func FuzzDecodeFinger(f *testing.F) { fuzzDecode(f, iso19794.DecodeFinger) }
func FuzzDecodeIris(f *testing.F)   { fuzzDecode(f, iso19794.DecodeIris) }
func FuzzDecodeFace(f *testing.F)   { fuzzDecode(f, iso19794.DecodeFace) }
func FuzzDecode(f *testing.F)       { fuzzDecode(f, iso19794.Decode) }
