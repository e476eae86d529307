package verify

import (
	"encoding/json"
	"errors"
	"time"

	"sbid/attest"
)

// tokenFile judges a JWS that stands alone, by what its payload seems to be.
func (v *verifier) tokenFile(token string) Report {
	item := &Item{Name: "token", Token: token}
	signed := v.signature(item, "", token)
	if signed == nil {
		return Report{Kind: "token", Items: []*Item{item}}
	}
	members, err := object(signed.Payload)
	switch {
	case err != nil:
		item.fail("structure", "payload: %v", err)
	case members["bioValue"] != nil:
		v.capture(item, signed, nil)
	case members["deviceStatus"] != nil:
		v.trust(item, "", signed, attest.DomainDevice)
		v.deviceInfo(item, signed)
	case members["serialNo"] != nil:
		item.Name = "digital ID"
		item.judge("structure", digitalIDShape.faults(members), "the members of a digital ID")
		v.trustEither(item, signed)
	default:
		item.skip("structure", "the payload is nothing that SBI defines")
		v.trustEither(item, signed)
	}
	return Report{Kind: "token", Items: []*Item{item}}
}

// signature verifies a JWS and returns nil if that fails. what is in front of
// the names of the checks.
func (v *verifier) signature(item *Item, what, token string) *attest.Verified {
	signed, err := attest.Verify(token)
	if err != nil {
		item.fail(what+"signature", "%v", err)
		return nil
	}
	item.ok(what+"signature", "RS256 by %s", signed.Leaf().Subject)
	return signed
}

// trust judges the certificate of the key that signed.
func (v *verifier) trust(item *Item, what string, signed *attest.Verified, domain attest.Domain) {
	leaf := signed.Leaf()
	if err := attest.CheckValidity(leaf, v.At); err != nil {
		item.fail(what+"certificate", "%v", err)
	} else {
		item.ok(what+"certificate", "valid until %s", leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	switch err := v.trusts(domain, signed); {
	case errors.Is(err, errNoTrust):
		item.skip(what+"trust", "%v", err)
	case err != nil:
		item.fail(what+"trust", "%v", err)
	default:
		item.ok(what+"trust", "a path leads to a trusted root of domain %s", domain)
	}
	if domain != attest.DomainDevice || v.Organisation == "" {
		return
	}
	if err := attest.CheckOrganisation(leaf, v.Organisation); err != nil {
		item.fail(what+"organisation", "%v", err)
	} else {
		item.ok(what+"organisation", "%s", v.Organisation)
	}
}

var errNoTrust = errors.New("no trusted certificates were given")

func (v *verifier) trusts(domain attest.Domain, signed *attest.Verified) error {
	if v.Trust == nil {
		return errNoTrust
	}
	return v.Trust.Check(domain, signed.Leaf(), v.At)
}

// trustEither is trust for a token that may be of the device key or of the FTM
// key: it takes the domain that trusts it.
func (v *verifier) trustEither(item *Item, signed *attest.Verified) {
	domain := attest.DomainDevice
	if v.Trust != nil && v.trusts(attest.DomainFTM, signed) == nil {
		domain = attest.DomainFTM
	}
	v.trust(item, "", signed, domain)
}

// digitalID judges the digital ID inside a signed payload and returns the type
// of the device, "" if it cannot be read.
func (v *verifier) digitalID(item *Item, token string, outer *attest.Verified, domain attest.Domain, deviceCode string) string {
	const what = "digital ID "
	signed := v.signature(item, what, token)
	if signed == nil {
		return ""
	}
	if domain != attest.DomainDevice || !signed.Leaf().Equal(outer.Leaf()) { // else it was judged with the token around it
		v.trust(item, what, signed, domain)
	}
	return judgeDigitalID(item, signed.Payload, deviceCode)
}

// judgeDigitalID judges the members of a digital ID and returns its type.
func judgeDigitalID(item *Item, payload []byte, deviceCode string) string {
	members, err := object(payload)
	if err != nil {
		item.fail("digital ID", "%v", err)
		return ""
	}
	faults := digitalIDShape.faults(members)
	deviceType := textOf(members["type"])
	if sub := textOf(members["deviceSubType"]); !subTypesOf[deviceType][sub] {
		faults = append(faults, "deviceSubType "+quote(sub)+" is none of a "+deviceType)
	}
	if serial := textOf(members["serialNo"]); deviceCode != serial {
		faults = append(faults, "serialNo is not the deviceCode "+quote(deviceCode))
	}
	item.judge("digital ID", faults, textOf(members["make"])+" "+textOf(members["model"])+", serial number "+textOf(members["serialNo"]))
	return deviceType
}

var subTypesOf = map[string]map[string]bool{
	"Finger": {"Slap": true, "Single": true, "Touchless": true},
	"Iris":   {"Single": true, "Double": true},
	"Face":   {"Full face": true},
}

// object decodes a JSON object without looking into its members.
func object(b []byte) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil {
		return nil, err
	}
	return members, nil
}
