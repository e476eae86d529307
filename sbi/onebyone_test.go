package sbi

import (
	"context"
	"encoding/json"
	"image"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sbid/attest"
	"sbid/driver"
)

// A scanner for one finger at a time takes a slap as a slap scanner does, as far
// as a client can see.
func TestFingerAfterFingerIsASlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Registration, newFake(fingers))
		r.device.OneByOne, r.device.SubType = true, "Slap"
		r.run()
		var entries []discoveryEntry
		if err := json.Unmarshal(r.call("MOSIPDISC", "/device", ""), &entries); err != nil || len(entries) != 1 {
			t.Fatalf("%d devices: %v", len(entries), err)
		}
		if got := entries[0].DeviceSubID; !slices.Equal(got, []string{"1", "2", "3"}) {
			t.Errorf("deviceSubId %q", got)
		}
		answer := r.call("RCAPTURE", "/capture", `{"env":"Developer","purpose":"Registration","specVersion":"0.9.5","timeout":60000,
			"transactionId":"test-1","bio":[{"type":"Finger","count":3,"bioSubType":[],"exception":["Right RingFinger"],
			"requestedScore":1,"deviceId":"1","deviceSubId":"2"}]}`)
		var got captureAnswer
		if err := json.Unmarshal(answer, &got); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, b := range got.Biometrics {
			data, err := attest.Verify(b.Data)
			if err != nil {
				t.Fatalf("%v: %.300s\n%s", err, answer, r.log)
			}
			var block dataBlock
			if err := json.Unmarshal(data.Payload, &block); err != nil {
				t.Fatal(err)
			}
			names = append(names, block.BioSubType)
		}
		if want := []string{"Right IndexFinger", "Right MiddleFinger", "Right LittleFinger"}; !slices.Equal(names, want) {
			t.Errorf("captured %q, want %q", names, want)
		}
	})
}

// fingers yields a finger for a second, then an empty glass for another, and
// then the next finger.
func fingers(ctx context.Context, yield func(driver.Frame, error) bool) {
	hand := []*image.Gray{ridgesRound(120, 420), ridgesRound(-60, 160), ridgesRound(300, -80)}
	for i := 0; ; i++ {
		frame := driver.Frame{Image: hand[i/20%3], DPI: 500}
		if i/10%2 == 1 {
			frame.Image = emptyGlass()
		}
		if !yield(frame, nil) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}
