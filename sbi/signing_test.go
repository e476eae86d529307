package sbi

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sbid/attest"
)

// A key that stays away is told of on every try and logged once, as is each
// other reason and its return.
func TestSigningTroubleIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var fault error
		told := map[string]int{}
		r := newRig(t, Registration, newFake(every(time.Second, ridges())))
		r.cfg.SigningFailed = func(deviceID string, err error) {
			mu.Lock()
			defer mu.Unlock()
			if !errors.Is(err, fault) {
				t.Errorf("told of %v, want %v", err, fault)
			}
			told[deviceID]++
		}
		id := identityOf(t, signer{benchKey(), func() error { mu.Lock(); defer mu.Unlock(); return fault }}, farFuture)
		if err := r.SetKeys(r.device, &Keys{Device: id, DigitalID: id}); err != nil {
			t.Fatal(err)
		}
		r.plugIn(t, "2") // whose key is well
		r.run()
		away, lost := errors.New("the TPM is away"), attest.ErrKeyLost
		for _, step := range []struct {
			fault          error
			logged, mended int // lines so far
		}{
			{nil, 0, 0}, {away, 1, 0}, {away, 1, 0}, {lost, 2, 0}, {nil, 2, 1}, {away, 3, 1},
		} {
			mu.Lock()
			fault = step.fault
			clear(told)
			mu.Unlock()
			time.Sleep(2 * freshFor)
			synctest.Wait()
			logged, mended := strings.Count(r.log.String(), "cannot sign"), strings.Count(r.log.String(), "is signed again")
			if logged != step.logged || mended != step.mended {
				t.Fatalf("%v: %d failures and %d recoveries in the log, want %d and %d\n%s", step.fault, logged, mended, step.logged, step.mended, r.log)
			}
			mu.Lock()
			if n := told["1"]; step.fault == nil && n != 0 || step.fault != nil && n < 10 || told["2"] != 0 {
				t.Errorf("%v: told %v", step.fault, told)
			}
			mu.Unlock()
		}
	})
}

// Of a capture that cannot be signed the one who looks after keys hears once,
// and of none that failed for another reason.
func TestCaptureTellsOfItsKey(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(*testing.T, *rig)
		told    int
	}{
		"signed":        {nil, 0},
		"key is away":   {brokenKey(errors.New("out of paper")), 1},
		"a bug":         {brokenKey(nil), 0},
		"nobody's keys": {unregister, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Auth, newFake(every(100*time.Millisecond, ridges())))
			told := 0
			r.cfg.SigningFailed = func(deviceID string, err error) {
				if told++; deviceID != "1" || CodeOf(err) != NoSigningKey {
					t.Errorf("%s: device %s: %v", name, deviceID, err)
				}
			}
			if tt.prepare != nil {
				tt.prepare(t, r)
			}
			r.run()
			r.call("CAPTURE", "/capture", strings.Replace(captureRequestBody(Auth, 3*time.Second, 1), `"count":1`, `"count":3`, 1))
			if told != tt.told {
				t.Errorf("%s: told %d times, want %d", name, told, tt.told)
			}
		})
	}
}
