package station

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sbid/capture/inventory"
	"sbid/cmd/sbid/internal/config"
	"sbid/driver"
	"sbid/sbi"
)

func TestPartsOfAScanner(t *testing.T) {
	single := driver.Info{Modality: driver.Finger, Sensors: []driver.Sensor{driver.Single}, Serial: "7"}
	slap := driver.Info{Modality: driver.Finger, Sensors: []driver.Sensor{driver.Left, driver.Right, driver.Both}, Serial: "SLAPSERIAL01"}
	eyes := driver.Info{Modality: driver.Iris, Sensors: []driver.Sensor{driver.Left, driver.Right, driver.Both}}
	camera := driver.Info{Modality: driver.Face, Sensors: []driver.Sensor{driver.Single}}
	registration, both := []string{"Registration"}, []string{"Registration", "Auth"}
	type device struct {
		Purpose  sbi.Purpose
		SubType  string
		OneByOne bool
	}
	for name, tt := range map[string]struct {
		info   driver.Info
		served []string
		roles  []config.Role
		want   []device
	}{
		"slap kit":                       {info: slap, served: both, want: []device{{sbi.Registration, "Slap", false}}},
		"two eyes":                       {info: eyes, served: both, want: []device{{sbi.Registration, "Double", false}}},
		"camera":                         {info: camera, served: both, want: []device{{sbi.Registration, "Full face", false}, {sbi.Auth, "Full face", false}}},
		"one finger, no authentication":  {info: single, served: registration, want: []device{{sbi.Registration, "Single", false}}},
		"one finger and authentication":  {info: single, served: both, want: []device{{sbi.Auth, "Single", false}}},
		"finger after finger":            {info: single, served: both, roles: []config.Role{{Scanner: "zfm*", OneByOne: true, Purposes: registration}}, want: []device{{sbi.Registration, "Slap", true}}},
		"a slap kit is never one by one": {info: slap, served: registration, roles: []config.Role{{Scanner: "*", OneByOne: true}}, want: []device{{sbi.Registration, "Slap", false}}},
		"both purposes":                  {info: single, served: both, roles: []config.Role{{Scanner: "zfm@usb:1-2", Purposes: both}}, want: []device{{sbi.Registration, "Single", false}, {sbi.Auth, "Single", false}}},
		"a purpose that is not served":   {info: single, served: registration, roles: []config.Role{{Scanner: "*", Purposes: []string{"Auth"}}}},
		"disabled":                       {info: single, served: both, roles: []config.Role{{Scanner: "zfm@usb:1-2", Disabled: true}, {Scanner: "*"}}},
		"the role of another":            {info: single, served: registration, roles: []config.Role{{Scanner: "zfm@usb:1-20", Disabled: true}}, want: []device{{sbi.Registration, "Single", false}}},
		"another sub type":               {info: single, served: registration, roles: []config.Role{{Scanner: "*", SubType: "Touchless"}}, want: []device{{sbi.Registration, "Touchless", false}}},
	} {
		var got []device
		for _, p := range partsOf(config.Config{Purposes: tt.served, Roles: tt.roles}, "MACHINE", inventory.Entry{ID: "zfm@usb:1-2", Driver: "zfm", Info: tt.info}) {
			got = append(got, device{p.purpose, p.subType, p.oneByOne})
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// What a scanner is called lasts, and no two are called the same.
func TestNamesAndSerialsOfScanners(t *testing.T) {
	c := config.Config{Purposes: []string{"Registration", "Auth"}}
	info := driver.Info{Modality: driver.Face}
	seen := map[string]string{}
	for _, at := range []struct{ machine, id string }{{"A", "v4l2@usb:1-1"}, {"A", "v4l2@usb:1-2"}, {"B", "v4l2@usb:1-1"}} {
		entry := inventory.Entry{ID: at.id, Driver: "v4l2", Info: info}
		parts := partsOf(c, at.machine, entry)
		if diff := cmp.Diff(parts, partsOf(c, at.machine, entry), cmp.AllowUnexported(part{})); diff != "" {
			t.Error(diff)
		}
		for _, p := range parts {
			if !regexp.MustCompile(`^[a-z0-9-]{1,40}$`).MatchString(p.name) || !makersSerial.MatchString(p.serial) {
				t.Errorf("name %q, serial %q", p.name, p.serial)
			}
			key := at.machine + p.name
			if seen[key] != "" || seen[p.serial+string(p.purpose)] != "" {
				t.Errorf("%s %s comes twice", p.name, p.serial)
			}
			seen[key], seen[p.serial+string(p.purpose)] = "taken", "taken"
		}
	}
	for makers, kept := range map[string]bool{"": false, "123": false, "ABC-12345678": false, "ABCD12345678": true} {
		info.Serial = makers
		if got := partsOf(c, "A", inventory.Entry{ID: "v4l2:" + makers, Driver: "v4l2", Info: info})[0].serial; (got == makers) != kept {
			t.Errorf("the maker's serial %q became %q", makers, got)
		}
	}
	twin := inventory.Entry{ID: "v4l2@usb:1-1", Driver: "v4l2", Info: info} // two of them have this serial number
	if got := partsOf(c, "A", twin)[0].serial; got == info.Serial {
		t.Error("two scanners have one serial number")
	}
	role := config.Role{Scanner: twin.ID, Serial: "PRINTED00001"}
	if got := partsOf(config.Config{Purposes: c.Purposes, Roles: []config.Role{role}}, "A", twin)[0].serial; got != role.Serial {
		t.Errorf("the serial on the label became %q", got)
	}
}
