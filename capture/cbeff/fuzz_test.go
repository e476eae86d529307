package cbeff_test

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sbid/capture/cbeff"
)

// What can be read can be written, reads the same again, and no check of it
// panics.
func FuzzParse(f *testing.F) {
	// Small seeds: the fuzzer spends its time on making large ones smaller.
	indent := regexp.MustCompile(`>\n *<`)
	for _, b := range append(goldenBIRs(f), fullBIR()) {
		doc, err := cbeff.Marshal([]cbeff.BIR{b})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(indent.ReplaceAll(doc, []byte("><")))
	}
	f.Add([]byte(`<BIR xmlns="http://standards.iso.org/iso-iec/19785/-3/ed-2/"><BIRInfo><Integrity>0</Integrity></BIRInfo></BIR>`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		birs, err := cbeff.Parse(doc)
		if err != nil {
			return
		}
		if faults := cbeff.Validate(doc); faults != nil {
			t.Fatalf("parsed, but not valid: %q", faults)
		}
		for _, b := range birs {
			b.Check()
			b.Position()
			if token, err := b.Token(); err == nil && token == "" {
				t.Error("an empty token")
			}
		}
		again, err := cbeff.Marshal(birs)
		if err != nil {
			t.Fatal(err)
		}
		reread, err := cbeff.Parse(again)
		if err != nil {
			t.Fatalf("%v\n%s", err, again)
		}
		if diff := cmp.Diff(birs, reread); diff != "" {
			t.Errorf("read again (-want +got):\n%s", diff)
		}
	})
}

// Whatever the payload, New makes a BIR that gives the token back, or none.
func FuzzNew(f *testing.F) {
	f.Add(vectorToken)
	f.Add("e30." + b64url.EncodeToString([]byte(`{"bioValue":"SUlSADAyMAA"}`)) + ".c2ln")
	f.Fuzz(func(t *testing.T, token string) {
		s := vector(t)
		s.Token = token
		b, err := cbeff.New(s)
		if err != nil {
			return
		}
		if got, err := b.Token(); got != token {
			t.Errorf("%q comes back as %q, %v", token, got, err)
		}
	})
}
