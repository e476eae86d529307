package usb

import (
	"errors"
	"testing"

	"sbid/driver"
)

func TestErrorsOfLibusb(t *testing.T) {
	for name, tt := range map[string]struct{ got, want error }{
		"no device":          {fromCode(-4), driver.ErrRemoved},
		"not found":          {fromCode(-5), driver.ErrRemoved},
		"access":             {fromCode(-3), driver.ErrPermission},
		"busy":               {fromCode(-6), driver.ErrHeld},
		"timeout":            {fromCode(-7), ErrTimeout},
		"overflow":           {fromCode(-8), ErrOverflow},
		"pipe":               {fromCode(-9), ErrStall},
		"other":              {fromCode(-99), ErrTransfer},
		"transfer removed":   {fromStatus(5), driver.ErrRemoved},
		"transfer stalled":   {fromStatus(4), ErrStall},
		"transfer overflows": {fromStatus(6), ErrOverflow},
		"transfer cancelled": {fromStatus(3), ErrTimeout},
		"transfer broken":    {fromStatus(1), ErrTransfer},
		"string after unplug": {
			fromText("failed to get string descriptor 2: libusb: no device [code -4]"), driver.ErrRemoved,
		},
		"claimed by somebody": {
			fromText("failed to claim interface 0 on vid=05ba,pid=000a,bus=1,addr=2: libusb: device or resource busy [code -6]"), driver.ErrHeld,
		},
		"text without a code":  {fromText("bad\x1b[31m things"), ErrTransfer},
		"text with a bad code": {fromText("[code -]"), ErrTransfer},
	} {
		t.Run(name, func(t *testing.T) {
			if !errors.Is(tt.got, tt.want) {
				t.Errorf("%v is no %v", tt.got, tt.want)
			}
		})
	}
	for _, err := range []error{ErrTimeout, ErrStall, ErrTransfer} {
		if !errors.Is(err, driver.ErrNotReady) {
			t.Errorf("%v: it is worth another try", err)
		}
	}
	for _, err := range []error{ErrOverflow, ErrDescriptors} {
		if !errors.Is(err, driver.ErrBroken) {
			t.Errorf("%v: it does not keep to its protocol", err)
		}
	}
}

func TestCleanLeavesPrintableASCII(t *testing.T) {
	if got := Clean(" U.are.U\x00\x1b[2J(R) ☠4500\n"); got != "U.are.U[2J(R) 4500" {
		t.Errorf("%q", got)
	}
}

func TestInfo(t *testing.T) {
	i := Info{ID: ID{0x05BA, 0x000A}, Release: 0x0103}
	if i.Version() != "1.03" || i.String() != "05ba:000a" {
		t.Errorf("%s %s", i, i.Version())
	}
}

// On any machine, with a bus or without: an answer, and no crash.
func TestSystemAnswers(t *testing.T) {
	nobody := []ID{{0xFFFF, 0xFFFF}}
	bus := System()
	for range 2 {
		if found, err := bus.List(t.Context(), nobody); len(found) != 0 || err != nil && !errors.Is(err, driver.ErrUnavailable) {
			t.Errorf("list: %v, %v", found, err)
		}
	}
	d, err := bus.Open(t.Context(), "usb:99-9", Claim{IDs: nobody})
	if err == nil {
		d.Close()
	}
	if !errors.Is(err, driver.ErrRemoved) && !errors.Is(err, driver.ErrUnavailable) {
		t.Errorf("open of nothing: %v", err)
	}
}
