package station

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sbid/capture/inventory"
	"sbid/cmd/sbid/internal/config"
	"sbid/driver"
	"sbid/sbi"
)

// A part is what a scanner plays for one purpose: a device, before it has keys.
type part struct {
	name     string // of its key, and its deviceId
	serial   string
	subType  string
	purpose  sbi.Purpose
	oneByOne bool
}

// partsOf returns the devices that a scanner makes: those of the first role
// that fits, or else those that its abilities suggest.
func partsOf(c config.Config, machine string, e inventory.Entry) []part {
	id, info := e.ID, e.Info
	var role config.Role
	for _, r := range c.Roles {
		if fits(r.Scanner, id) {
			role = r
			break
		}
	}
	if role.Disabled {
		return nil
	}
	purposes := role.Purposes
	if len(purposes) == 0 {
		purposes = suggested(c.Purposes, info)
	}
	p := part{
		serial:   role.Serial,
		subType:  role.SubType,
		oneByOne: role.OneByOne && slices.Equal(info.Sensors, []driver.Sensor{driver.Single}) && info.Modality != driver.Face,
	}
	if p.serial == "" {
		p.serial = serialOf(machine, e)
	}
	if p.subType == "" {
		p.subType = subTypeOf(info, p.oneByOne)
	}
	sum := sha256.Sum256([]byte(id))
	var parts []part
	for _, purpose := range purposes {
		if !slices.Contains(c.Purposes, purpose) {
			continue
		}
		p.purpose = sbi.Purpose(purpose)
		p.name = fmt.Sprintf("%s-%s-%s", e.Driver, hex.EncodeToString(sum[:4]), strings.ToLower(purpose))
		parts = append(parts, p)
	}
	return parts
}

// fits says whether a role is for a scanner.
func fits(pattern, id string) bool {
	if prefix, found := strings.CutSuffix(pattern, "*"); found {
		return strings.HasPrefix(id, prefix)
	}
	return pattern == id
}

// suggested: a scanner for one finger or eye is one for authentication, where
// that is served; a larger one enrols; a camera does both.
func suggested(served []string, info driver.Info) []string {
	single := slices.Equal(info.Sensors, []driver.Sensor{driver.Single})
	switch {
	case info.Modality == driver.Face:
		return served
	case single && slices.Contains(served, string(sbi.Auth)):
		return []string{string(sbi.Auth)}
	}
	return []string{string(sbi.Registration)}
}

// subTypeOf returns the deviceSubType that SBI has for a scanner.
func subTypeOf(info driver.Info, oneByOne bool) string {
	several := oneByOne || len(info.Sensors) > 1
	switch {
	case info.Modality == driver.Face:
		return "Full face"
	case info.Modality == driver.Iris && several:
		return "Double"
	case info.Modality == driver.Finger && several:
		return "Slap"
	}
	return "Single"
}

var makersSerial = regexp.MustCompile(`^[A-Za-z0-9]{12,64}$`)

// serialOf returns the maker's serial number where it is one that SBI allows,
// and that tells the scanner from others; or else a number of this machine and
// the scanner: 16 letters and digits.
func serialOf(machine string, e inventory.Entry) string {
	if own := e.Info.Serial; makersSerial.MatchString(own) && e.ID == e.Driver+":"+own {
		return own
	}
	sum := sha256.Sum256([]byte(machine + " " + e.ID))
	return "SBID" + strings.ToUpper(hex.EncodeToString(sum[:6]))
}
