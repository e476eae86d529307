package verify

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"sbid/attest"
	"sbid/capture/iso19794"
	"sbid/cmd/sbid/internal/subtype"
	"sbid/driver"
	"sbid/sbi/client"
)

// captureAnswer judges the answer to CAPTURE or RCAPTURE.
func (v *verifier) captureAnswer(b []byte) Report {
	report := Report{Kind: "capture answer"}
	whole := &Item{Name: "answer"}
	top, err := object(b)
	var elements []map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(top["biometrics"], &elements)
	}
	if err != nil {
		whole.fail("structure", "%v", err)
		return Report{Kind: report.Kind, Items: []*Item{whole}}
	}
	faults := shape{{name: "biometrics"}}.faults(top)
	if len(elements) == 0 {
		faults = append(faults, "biometrics is empty")
	}
	whole.judge("structure", faults, fmt.Sprintf("biometrics: %d", len(elements)))
	report.Items = append(report.Items, whole)

	chain := &chain{}
	chain.previous, err = attest.ParsePreviousHash(v.Previous)
	if err != nil {
		chain.broken = err.Error()
	}
	for i, element := range elements {
		report.Items = append(report.Items, v.biometric(element, i+1, chain))
	}
	v.asked(whole, report.Items)
	return report
}

// asked compares what came with what was asked for.
func (v *verifier) asked(whole *Item, items []*Item) {
	if v.Asked == nil {
		return
	}
	var faults []string
	missing := slices.Clone(v.Asked)
	for _, item := range items {
		if item.Token == "" {
			continue
		}
		i := slices.Index(missing, item.Position)
		if i < 0 {
			i = slices.IndexFunc(missing, func(p driver.Position) bool {
				return subtype.Name(p) == subtype.Unknown && p.Modality() == item.Position.Modality()
			})
		}
		if i < 0 {
			faults = append(faults, item.Name+" was not asked for")
			continue
		}
		missing = slices.Delete(missing, i, i+1)
	}
	for _, p := range missing {
		faults = append(faults, p.String()+" is missing")
	}
	whole.judge("request", faults, "all that was asked for and nothing else")
}

// biometric judges one element of an answer.
func (v *verifier) biometric(element map[string]json.RawMessage, n int, chain *chain) *Item {
	item := &Item{Name: fmt.Sprintf("biometric %d", n), Token: textOf(element["data"]), Hash: textOf(element["hash"])}
	code, info, faults := judgeError(element["error"])
	if code != "0" && code != "" {
		item.judge("structure", append(faults, failedShape.faults(element)...), "an error")
		item.skip("capture", "the device reported error %s: %s", code, info)
		chain.skip("the element before it is an error")
		return item
	}
	_, forAuth := element["sessionKey"]
	item.judge("structure", append(faults, biometricShape(forAuth).faults(element)...), "the members of a biometric")
	if signed := v.signature(item, "", item.Token); signed != nil {
		v.capture(item, signed, element)
	}
	chain.judge(item)
	return item
}

// judgeError reads an error element.
func judgeError(raw json.RawMessage) (code, info string, faults []string) {
	members, err := object(raw)
	if err != nil || members == nil {
		return "", "", []string{"error is not an object"}
	}
	code, info = textOf(members["errorCode"]), textOf(members["errorInfo"])
	faults = errorShape.faults(members)
	if (code == "0") != (info == "Success") {
		faults = append(faults, fmt.Sprintf("error code %s with the text %s", quote(code), quote(info)))
	}
	return code, info, faults
}

// capture judges the payload of a capture token and what is in it, and names
// the item by its position. element is what came beside the token; nil if the
// token stands alone.
func (v *verifier) capture(item *Item, signed *attest.Verified, element map[string]json.RawMessage) {
	members, err := object(signed.Payload)
	if err != nil {
		item.fail("payload", "%v", err)
		return
	}
	forAuth := textOf(members["purpose"]) == client.Auth
	modality, known := modalities[textOf(members["bioType"])]
	faults := payloadShape(forAuth, modality == driver.Face).faults(members)
	faults = append(faults, plainFaults(item.Token, signed.Payload)...)
	subType := textOf(members["bioSubType"])
	position, ok := subtype.Position(subType, modality)
	if known = known && ok; known {
		item.Position, item.Name = position, position.String()
	} else {
		faults = append(faults, "bioSubType is "+quote(subType))
	}
	if _, sealed := element["sessionKey"]; element != nil && sealed != forAuth {
		faults = append(faults, "an encrypted key belongs to purpose Auth and to no other")
	}
	if id := textOf(members["transactionId"]); v.Transaction != "" && id != v.Transaction {
		faults = append(faults, "transactionId is "+quote(id)+", not that of the request")
	}
	item.Score = textOf(members["qualityScore"])
	item.judge("payload", faults, fmt.Sprintf("%s, quality %s, captured %s", textOf(members["purpose"]), item.Score, textOf(members["timestamp"])))
	v.trust(item, "", signed, attest.DomainDevice)

	domain := attest.DomainDevice
	digitalID := textOf(members["digitalId"])
	inner, err := attest.Verify(digitalID)
	if forAuth || err == nil && !inner.Leaf().Equal(signed.Leaf()) {
		domain = attest.DomainFTM // as at level L1
	}
	if !forAuth && err == nil && !signed.Covers(inner) {
		item.fail("digital ID certificates", "the token around it does not list them all, which the registration processor demands")
	}
	deviceType := v.digitalID(item, digitalID, signed, domain, textOf(members["deviceCode"]))
	if bioType := textOf(members["bioType"]); deviceType != "" && deviceType != bioType {
		item.fail("digital ID type", "the device is of type %s, the biometric of type %s", quote(deviceType), quote(bioType))
	}
	profile := iso19794.Registration
	if forAuth {
		profile = iso19794.Auth
	}
	if v.content(item, members, element, forAuth) && known {
		judgeRecord(item, profile)
	}
}

// content takes the record out of a payload, decrypted where it is encrypted
// and there is a key, and says whether it could.
func (v *verifier) content(item *Item, payload, element map[string]json.RawMessage, encrypted bool) bool {
	value, err := base64.RawURLEncoding.Strict().DecodeString(textOf(payload["bioValue"]))
	switch {
	case err != nil:
		item.fail("record", "bioValue: %v", err)
		return false
	case !encrypted:
		item.Record = value
		return true
	}
	item.Encrypted = true
	switch {
	case v.Key == nil:
		item.skip("record", "it is encrypted, and no key was given")
		return false
	case element == nil:
		item.skip("record", "it is encrypted, and its key is in the answer that it came with")
		return false
	}
	item.Record, err = attest.Open(attest.Sealed{Value: value, SessionKey: textOf(element["sessionKey"])},
		textOf(payload["timestamp"]), textOf(payload["transactionId"]), v.Key)
	if err != nil {
		item.fail("record", "%v", err)
		return false
	}
	item.Encrypted = false
	return true
}

var modalities = map[string]driver.Modality{
	driver.Finger.String(): driver.Finger, driver.Iris.String(): driver.Iris, driver.Face.String(): driver.Face,
}

// plainFaults says what keeps browser code from decoding a payload: it takes
// base64url for base64.
func plainFaults(token string, payload []byte) []string {
	for _, b := range payload {
		if b >= 0x80 {
			return []string{"the payload is not plain ASCII"}
		}
	}
	segment := token
	if parts := strings.Split(token, "."); len(parts) == 3 {
		segment = parts[1]
	}
	if strings.ContainsAny(segment, "-_") {
		return []string{"the payload's base64url has - or _, which browser code cannot decode"}
	}
	return nil
}

// A chain follows the hashes of an answer.
type chain struct {
	previous attest.Hash
	broken   string // why previous is not known
}

func (c *chain) skip(why string) { c.broken = why }

// judge compares the hash of item with the one that its record and the hash
// before make, and goes on from what it should be, so that only the element
// that is wrong is blamed.
func (c *chain) judge(item *Item) {
	const name = "hash chain"
	switch {
	case item.Record == nil:
		item.skip(name, "the record cannot be read")
	case c.broken != "":
		item.skip(name, "%s", c.broken)
	default:
		c.previous = attest.ChainHash(c.previous, item.Record)
		if want := c.previous.String(); want == item.Hash {
			item.ok(name, "follows from the record and the hash before")
		} else {
			item.fail(name, "the record and the hash before make %s, the answer says %s", want, quote(item.Hash))
		}
		return
	}
	// What it should be is not known: go on from what it says.
	stated, err := attest.ParsePreviousHash(item.Hash)
	c.previous, c.broken = stated, ""
	if err != nil || item.Hash == "" {
		c.broken = "the hash before it cannot be read"
	}
}
