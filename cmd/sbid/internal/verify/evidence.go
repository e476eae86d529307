package verify

import (
	"encoding/json"

	"sbid/attest/evidence"
)

// isEvidence tells evidence from answers: a collection of labelled parts, the
// claims among them.
func isEvidence(text []byte) bool {
	var labels map[string]json.RawMessage
	return json.Unmarshal(text, &labels) == nil && labels["claims"] != nil && labels["ak"] != nil
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
