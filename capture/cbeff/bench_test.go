package cbeff_test

import (
	"testing"

	"sbid/capture/cbeff"
	"sbid/driver"
)

// slap returns four signed fingers with records of 100 kB.
func slap(b *testing.B) []cbeff.SignedRecord {
	var out []cbeff.SignedRecord
	s := newSigner(b)
	for _, p := range driver.Finger.Positions(driver.Left) {
		data := append(record(p), make([]byte, 100_000)...)
		out = append(out, cbeff.SignedRecord{
			Token:  s.sign(b, `{"bioValue":"`+b64url.EncodeToString(data)+`"}`),
			Record: data, Position: p, Quality: "70", Created: created, SpecVersion: "0.9.5",
		})
	}
	return out
}

func marshalSlap(b *testing.B, slap []cbeff.SignedRecord) []byte {
	var birs []cbeff.BIR
	for _, s := range slap {
		bir, err := cbeff.New(s)
		if err != nil {
			b.Fatal(err)
		}
		birs = append(birs, bir)
	}
	doc, err := cbeff.Marshal(birs)
	if err != nil {
		b.Fatal(err)
	}
	return doc
}

func BenchmarkNewAndMarshal(b *testing.B) {
	fingers := slap(b)
	b.SetBytes(int64(len(marshalSlap(b, fingers))))
	b.ReportAllocs()
	for b.Loop() {
		marshalSlap(b, fingers)
	}
}

func BenchmarkParse(b *testing.B) {
	doc := marshalSlap(b, slap(b))
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cbeff.Parse(doc); err != nil {
			b.Fatal(err)
		}
	}
}
