package all

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"sbid/driver"
	"sbid/driver/all/usb"
	"sbid/driver/gt511"
	"sbid/driver/zfm"
)

func TestEveryDriverIsListed(t *testing.T) {
	drivers, err := Drivers(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Sorted(maps.Keys(drivers)), []string{"gt511", "nb1010", "uru4000", "v4l2", "zfm"}; !slices.Equal(got, want) {
		t.Errorf("drivers %v, want %v", got, want)
	}
	drivers, err = Drivers(Config{NoUSB: true})
	if err != nil || drivers["uru4000"] != nil {
		t.Errorf("without USB: %v, %v", slices.Sorted(maps.Keys(drivers)), err)
	}
}

// The names that the daemon knows are those that the helper has.
func TestHelperHasWhatIsNamed(t *testing.T) {
	drivers, err := usb.Drivers(usb.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(drivers)); !slices.Equal(got, usbDrivers) {
		t.Errorf("the helper has %v, the daemon names %v", got, usbDrivers)
	}
}

func TestMissingHelperIsSaid(t *testing.T) {
	drivers, err := Drivers(Config{USBHelper: filepath.Join(t.TempDir(), "none")})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range usbDrivers {
		if _, err := drivers[id].Probe(t.Context()); !errors.Is(err, driver.ErrUnavailable) {
			t.Errorf("%s: %v; want it unavailable", id, err)
		}
	}
}

func TestBadConfigurationIsSaid(t *testing.T) {
	for name, c := range map[string]Config{
		"zfm":   {ZFM: zfm.Config{Ridges: "green"}},
		"gt511": {GT511: gt511.Config{Model: "C9"}},
	} {
		if _, err := Drivers(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestHelperIsBesideTheProgram(t *testing.T) {
	if got := helperPath("/opt/x"); got != "/opt/x" {
		t.Errorf("configured: %s", got)
	}
	if got := helperPath(""); !filepath.IsAbs(got) {
		t.Errorf("beside the program: %s", got)
	}
}
