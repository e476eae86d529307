package verify

import (
	"fmt"
	"strconv"

	"sbid/capture/cbeff"
	"sbid/capture/iso19794"
	"sbid/sbi/client"
)

// cbeffDocument judges a CBEFF document the way MOSIP's registration processor
// does: it puts the signed tokens together again.
func (v *verifier) cbeffDocument(b []byte) Report {
	whole := &Item{Name: "document"}
	report := Report{Kind: "CBEFF document", Items: []*Item{whole}}
	if faults := cbeff.Validate(b); len(faults) > 0 {
		const shown = 5
		if more := len(faults) - shown; more > 0 {
			faults = append(faults[:shown], fmt.Sprintf("and %d more", more))
		}
		whole.judge("schema", faults, "")
		return report
	}
	whole.ok("schema", "valid by MOSIP's CBEFF schema")
	birs, err := cbeff.Parse(b)
	if err != nil {
		whole.fail("container", "%v", err)
		return report
	}
	whole.ok("container", "%d BIRs", len(birs))
	for i, bir := range birs {
		item := &Item{Name: fmt.Sprintf("BIR %d", i+1)}
		report.Items = append(report.Items, item)
		v.bir(item, bir)
	}
	v.asked(whole, report.Items)
	return report
}

func (v *verifier) bir(item *Item, bir cbeff.BIR) {
	position, known := bir.Position()
	if known {
		item.Name, item.Position = position.String(), position
	}
	item.judge("BIR", bir.Check(), "as MOSIP's registration client writes it")
	if bir.IsException() {
		item.skip("record", "the person does not have it")
		return
	}
	token, err := bir.Token()
	if err != nil {
		item.fail("token", "%v", err)
		v.unsigned(item, bir, known)
		return
	}
	item.Token = token
	signed := v.signature(item, "", token)
	if signed == nil {
		v.unsigned(item, bir, known)
		return
	}
	v.capture(item, signed, nil)
	var faults []string
	if known && item.Position != position {
		faults = append(faults, fmt.Sprintf("the BIR is of %v, what was signed of %v", position, item.Position))
	}
	if q := bir.BDBInfo.Quality; q != nil {
		if score, err := strconv.ParseFloat(item.Score, 64); err != nil || int(score) != q.Score {
			faults = append(faults, fmt.Sprintf("the BIR has score %d, what was signed %s", q.Score, quote(item.Score)))
		}
	}
	if version, _ := bir.Other(cbeff.KeySpecVersion); version != client.SpecVersion {
		faults = append(faults, cbeff.KeySpecVersion+" is "+quote(version))
	}
	item.judge("BIR and token", faults, "say the same")
}

// unsigned judges the record of a BIR that no signature vouches for.
func (v *verifier) unsigned(item *Item, bir cbeff.BIR, known bool) {
	item.Record = bir.BDB
	if known && len(bir.BDB) > 0 {
		judgeRecord(item, iso19794.Registration)
	}
}
