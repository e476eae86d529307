package verify

import (
	"encoding/json"
	"fmt"

	"sbid/attest"
	"sbid/sbi/client"
)

// discoveryAnswer judges the answer to MOSIPDISC, whose digital IDs are not
// signed.
func (v *verifier) discoveryAnswer(list []map[string]json.RawMessage) Report {
	report := Report{Kind: "discovery answer"}
	for i, element := range list {
		item := &Item{Name: deviceName(element, i+1)}
		report.Items = append(report.Items, item)
		code, info, faults := judgeError(element["error"])
		if element["digitalId"] == nil && code != "0" {
			item.judge("structure", faults, "an error")
			item.skip("device", "the service reported error %s: %s", code, info)
			continue
		}
		faults = append(faults, discoveryShape.faults(element)...)
		faults = append(faults, statusFaults(textOf(element["deviceStatus"]), code)...)
		item.judge("structure", faults, "the members of a discovered device")
		payload, err := client.Payload(textOf(element["digitalId"]))
		if err != nil {
			item.fail("digital ID", "%v", err)
			continue
		}
		judgeDigitalID(item, payload, textOf(element["deviceCode"]))
	}
	return report
}

func deviceName(element map[string]json.RawMessage, n int) string {
	if id := textOf(element["deviceId"]); id != "" {
		return "device " + id
	}
	return fmt.Sprintf("device %d", n)
}

// statusFaults compares a device's status with its error.
func statusFaults(status, code string) []string {
	if (status == client.Ready) != (code == "0") {
		return []string{fmt.Sprintf("status %s with error code %s", quote(status), quote(code))}
	}
	return nil
}

// infoAnswer judges the answer to MOSIPDINFO.
func (v *verifier) infoAnswer(list []map[string]json.RawMessage) Report {
	report := Report{Kind: "device info answer"}
	for i, element := range list {
		item := &Item{Name: fmt.Sprintf("device %d", i+1), Token: textOf(element["deviceInfo"])}
		report.Items = append(report.Items, item)
		code, info, faults := judgeError(element["error"])
		item.judge("structure", append(faults, infoShape.faults(element)...), "the members of a device info element")
		if item.Token == "" {
			item.skip("device", "the service reported error %s: %s", code, info)
			continue
		}
		signed := &attest.Verified{}
		if client.Signed(item.Token) {
			if signed = v.signature(item, "", item.Token); signed == nil {
				continue
			}
			v.trust(item, "", signed, attest.DomainDevice)
		} else {
			var err error
			if signed.Payload, err = client.Payload(item.Token); err != nil {
				item.fail("device info", "%v", err)
				continue
			}
		}
		status := v.deviceInfo(item, signed)
		if faults := statusFaults(status, code); faults != nil {
			item.judge("status", faults, "")
		}
	}
	return report
}

// deviceInfo judges the payload of a device info token and returns the status.
// Without a chain the payload came unsigned, which only a device may that is
// not registered.
func (v *verifier) deviceInfo(item *Item, signed *attest.Verified) string {
	members, err := object(signed.Payload)
	if err != nil {
		item.fail("device info", "%v", err)
		return ""
	}
	if id := textOf(members["deviceId"]); id != "" {
		item.Name = "device " + id
	}
	status := textOf(members["deviceStatus"])
	faults := deviceInfoShape.faults(members)
	faults = append(faults, plainFaults(item.Token, signed.Payload)...)
	unsigned := len(signed.Chain) == 0
	if unsigned != (status == client.NotRegistered) {
		faults = append(faults, "status "+quote(status)+map[bool]string{true: " without", false: " with"}[unsigned]+" a signature")
	}
	item.judge("device info", faults, fmt.Sprintf("%s, %s, %s", status, textOf(members["purpose"]), textOf(members["certification"])))
	digitalID, code := textOf(members["digitalId"]), textOf(members["deviceCode"])
	if unsigned || !client.Signed(digitalID) {
		if payload, err := client.Payload(digitalID); err != nil {
			item.fail("digital ID", "%v", err)
		} else {
			judgeDigitalID(item, payload, code)
		}
		if !unsigned {
			item.fail("digital ID signature", "it is not signed")
		}
		return status
	}
	domain := attest.DomainDevice
	if textOf(members["certification"]) == "L1" {
		domain = attest.DomainFTM
	}
	v.digitalID(item, digitalID, signed, domain, code)
	return status
}
