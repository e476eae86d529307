package sbi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sbid/capture"
)

// Browsers drop all devices of a port that has one without a signed deviceInfo,
// so such a one is shown only where there is nothing to lose.
func TestOneDeviceHidesNoOther(t *testing.T) {
	for name, tt := range map[string]struct {
		first, second func(*testing.T, *rig)
		discovered    []string // deviceId and code
		info          []string // kind of deviceInfo and code
	}{
		"both registered":             {nil, nil, []string{"1 0", "2 0"}, []string{"signed 0", "signed 0"}},
		"one never registered":        {nil, unregister, []string{"1 0"}, []string{"signed 0"}},
		"one that could not sign":     {nil, unsigned(StatusNotReady), []string{"1 0"}, []string{"signed 0"}},
		"one that could not and busy": {nil, unsigned(StatusBusy), []string{"1 0"}, []string{"signed 0"}},
		"one expired":                 {nil, expired, []string{"1 0", "2 107"}, []string{"signed 0"}},
		"one claims a status":         {nil, claims(StatusNotReady), []string{"1 0", "2 110"}, []string{"signed 0", "signed 110"}},
		"one claims no registration":  {nil, claims(StatusNotRegistered), []string{"1 0", "2 100"}, []string{"signed 0", "unsigned 100"}},
		"none and it says so":         {nil, unsigned(StatusNotRegistered), []string{"1 0", "2 100"}, []string{"signed 0", "unsigned 100"}},
		"none could sign":             {unsigned(StatusNotReady), unsigned(StatusNotReady), []string{"1 110", "2 110"}, []string{"empty 110", "empty 110"}},
		"none is registered":          {unregister, unregister, []string{"1 100", "2 100"}, []string{"unsigned 100", "unsigned 100"}},
		"all expired":                 {expired, expired, []string{"1 107", "2 107"}, []string{"empty 107", "empty 107"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Registration, newFake(every(time.Second, ridges())))
			for i, prepare := range []func(*testing.T, *rig){tt.first, tt.second} {
				if i == 1 {
					r.plugIn(t, "2")
				}
				if prepare != nil {
					prepare(t, r)
				}
			}
			r.run()
			var devices []discoveryEntry
			if err := json.Unmarshal(r.call("MOSIPDISC", "/device", ""), &devices); err != nil {
				t.Fatal(err)
			}
			var discovered []string
			for _, d := range devices {
				discovered = append(discovered, d.DeviceID+" "+d.Error.Code)
			}
			if !slices.Equal(discovered, tt.discovered) {
				t.Errorf("%s: discovered %q, want %q", name, discovered, tt.discovered)
			}
			if info := kinds(t, r); !slices.Equal(info, tt.info) {
				t.Errorf("%s: info %q, want %q", name, info, tt.info)
			}
		})
	}
}

// plugIn makes one more registered device known, and r.device that one.
func (b *rig) plugIn(t *testing.T, id string) {
	t.Helper()
	drv := newFake(every(time.Second, ridges()))
	drv.info.Serial = fmt.Sprintf("FAKE%08s", id)
	b.device = &Device{ID: id, Scanner: capture.NewScanner(drv, drv.info), SubType: "Single", Level: "L0", Serial: drv.info.Serial, Purpose: b.cfg.Purpose}
	keys := identity(t, time.Now().AddDate(1, 0, 0))
	if err := b.SetKeys(b.device, &Keys{Device: keys, DigitalID: keys}); err != nil {
		t.Fatal(err)
	}
	b.Add(b.device)
}

// unsigned takes the device's keys away and has it claim a status, as one that
// could not sign when it was plugged in.
func unsigned(status Status) func(*testing.T, *rig) {
	return func(t *testing.T, r *rig) {
		t.Helper()
		unregister(t, r)
		r.device.SetStatus(status)
	}
}

func claims(status Status) func(*testing.T, *rig) {
	return func(_ *testing.T, r *rig) { r.device.SetStatus(status) }
}

// kinds says of each entry of an answer to MOSIPDINFO what kind of deviceInfo
// and which code it has.
func kinds(t *testing.T, r *rig) (list []string) {
	t.Helper()
	var entries []struct {
		DeviceInfo *string
		Error      errorInfo
	}
	if err := json.Unmarshal(r.call("MOSIPDINFO", "/info", ""), &entries); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		kind := "unsigned"
		switch {
		case e.DeviceInfo == nil:
			kind = "no"
		case *e.DeviceInfo == "":
			kind = "empty"
		case strings.Count(*e.DeviceInfo, ".") == 2:
			kind = "signed"
		}
		list = append(list, kind+" "+e.Error.Code)
	}
	return list
}
