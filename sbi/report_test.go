package sbi

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sbid/attest"
	"sbid/capture"
)

// Whoever keeps account hears of each capture once, with what it came to.
func TestEveryCaptureIsReported(t *testing.T) {
	finger := every(100*time.Millisecond, ridges())
	for name, tt := range map[string]struct {
		body    string // "" is a valid request
		accept  string
		prepare func(*testing.T, *rig)
		want    Report
	}{
		"done": {
			want: Report{Registration, "FAKE00000001", "test-1", []string{"left-index"}, []string{"score"}, Success, true},
		},
		"failed": {
			prepare: brokenKey(attest.ErrNoKey),
			want:    Report{Registration, "FAKE00000001", "test-1", []string{"left-index"}, nil, NoSigningKey, true},
		},
		"no answer": { // bioValue stands twice in what is signed: the registration client could not cut it out
			accept: cbeffType, prepare: func(_ *testing.T, r *rig) { r.device.Serial = "bioValue0001" },
			want: Report{Registration, "bioValue0001", "test-1", []string{"left-index"}, nil, Internal, true},
		},
		"turned down": {
			prepare: unregister,
			want:    Report{Registration, "FAKE00000001", "test-1", []string{"left-index"}, nil, NotRegistered, false},
		},
		"refused": {body: `{"bio":[]}`, want: Report{Purpose: Registration, Code: InvalidRequest}},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Registration, newFake(finger))
			var got []Report
			r.cfg.Report = func(report Report) { got = append(got, report) }
			if tt.prepare != nil {
				tt.prepare(t, r)
			}
			r.run()
			if tt.body == "" {
				tt.body = captureRequestBody(Registration, time.Second, 1)
			}
			r.call("RCAPTURE", "/capture", tt.body, "Accept: "+tt.accept)
			for _, report := range got {
				for i := range report.Scores {
					report.Scores[i] = "score"
				}
			}
			if diff := cmp.Diff([]Report{tt.want}, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		})
	}
}

// A capture has not begun while another has the scanner.
func TestBusyCaptureIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Registration, newFake(every(100*time.Millisecond, emptyGlass())))
		reports := make(chan Report, 2)
		r.cfg.Report = func(report Report) { reports <- report }
		r.run()
		first := r.send("RCAPTURE", "/capture", captureRequestBody(Registration, time.Second, 1))
		synctest.Wait()
		r.call("RCAPTURE", "/capture", captureRequestBody(Registration, time.Second, 1))
		if got := <-reports; got.Code != Busy || got.Begun {
			t.Errorf("the second: code %s, begun: %v", got.Code, got.Begun)
		}
		first.answer()
		if got := <-reports; got.Code != NotDetected || !got.Begun {
			t.Errorf("the first: code %s, begun: %v", got.Code, got.Begun)
		}
	})
}

// A scanner that comes later is a device like the others.
func TestDevicesCanBeAdded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Registration, newFake(every(100*time.Millisecond, ridges()))).run()
		drv := newFake(every(100*time.Millisecond, ridges()))
		drv.info.Serial = "FAKE00000002"
		later := &Device{
			ID: "2", Scanner: capture.NewScanner(drv, drv.info), SubType: "Single", Level: "L0",
			Serial: drv.info.Serial, Purpose: Registration,
		}
		r.Add(later)
		if got := serials(t, r); !slices.Equal(got, []string{"FAKE00000001"}) {
			t.Errorf("listed before it has keys: %q", got)
		}
		id := identity(t, farFuture)
		if err := r.SetKeys(later, &Keys{Device: id, DigitalID: id}); err != nil {
			t.Fatal(err)
		}
		if got := serials(t, r); !slices.Equal(got, []string{"FAKE00000001", "FAKE00000002"}) {
			t.Errorf("listed: %q", got)
		}
		body := `{"env":"Developer","purpose":"Registration","specVersion":"0.9.5","timeout":1000,"transactionId":"test-1",
			"bio":[{"type":"Finger","count":1,"bioSubType":["Left Thumb"],"requestedScore":1,"deviceId":"2","deviceSubId":"0"}]}`
		if code := codeOf(t, r.call("RCAPTURE", "/capture", body)); code != "0" {
			t.Errorf("capture: error %s\n%s", code, r.log)
		}
	})
}

// A clock that is behind makes a certificate one of the future: the device is
// not ready, and its keys are not used.
func TestCertificateOfTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Registration, newFake(every(100*time.Millisecond, ridges())))
		id := identityBetween(t, time.Now().Add(time.Hour), farFuture)
		if err := r.SetKeys(r.device, &Keys{Device: id, DigitalID: id}); err != nil {
			t.Fatal(err)
		}
		r.run()
		if status, code := r.status(); status != StatusNotReady || code != "110" {
			t.Errorf("%s %s", status, code)
		}
		if code := codeOf(t, r.call("RCAPTURE", "/capture", captureRequestBody(Registration, time.Second, 1))); code != "110" {
			t.Errorf("capture: error %s", code)
		}
	})
}
