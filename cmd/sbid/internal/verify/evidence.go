package verify

import (
	"encoding/json"

	"sbid/attest/evidence"
)

// isEvidence tells evidence from all else: a collection of labelled parts, the
// claims among them, in JSON; or in CBOR, of which nothing else here is made.
func isEvidence(b []byte) bool {
	const major, maps = 0xE0, 0xA0 // of a first byte: RFC 8949 section 3.1
	if len(b) > 0 && b[0]&major == maps {
		return true
	}
	var labels map[string]json.RawMessage
	return json.Unmarshal(b, &labels) == nil && labels["claims"] != nil && labels["ak"] != nil
}

// evidence judges what a machine proves of itself.
func (v verifier) evidence(document []byte) Report {
	o := v.Evidence
	o.Now = v.At
	report := evidence.Verify(document, o)
	item := &Item{Name: "machine"}
	if c := report.Claims; c != nil {
		item.Name = c.Name + " " + c.Version[0]
	}
	for _, check := range report.Checks {
		switch check.Result {
		case evidence.Passed:
			item.ok(check.Name, "%s", check.Text)
		case evidence.Failed:
			item.fail(check.Name, "%s", check.Text)
		default:
			item.skip(check.Name, "%s", check.Text)
		}
	}
	if err := report.Err(); err != nil {
		item.fail("verdict", "%v", err)
	} else {
		item.ok("verdict", "the keys named here are in the TPM that this evidence is from")
	}
	return Report{Kind: "evidence of a machine and its keys", Items: []*Item{item}}
}
