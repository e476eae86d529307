package hotplug

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A burst of events is told once it is over, or after a second if it does not
// end.
func TestSettle(t *testing.T) {
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		events []time.Duration // when they come
		want   []time.Duration // when the news do
	}{
		"one":     {[]time.Duration{0}, []time.Duration{quiet}},
		"a burst": {[]time.Duration{0, 50 * ms, 240 * ms}, []time.Duration{240*ms + quiet}},
		"two":     {[]time.Duration{0, time.Second}, []time.Duration{quiet, time.Second + quiet}},
		"no end": {
			[]time.Duration{0, 150 * ms, 300 * ms, 450 * ms, 600 * ms, 750 * ms, 900 * ms, 1050 * ms, 1200 * ms},
			[]time.Duration{longest, 1200*ms + quiet},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				events := make(chan struct{}, 1)
				go func() {
					defer close(events)
					for _, at := range tt.events {
						time.Sleep(at - time.Since(start))
						events <- struct{}{}
					}
					time.Sleep(2 * time.Second)
				}()
				var got []time.Duration
				settle(t.Context(), events, func() { got = append(got, time.Since(start)) })
				if len(got) != len(tt.want) {
					t.Fatalf("told at %v, want %v", got, tt.want)
				}
				for i := range got {
					if got[i] != tt.want[i] {
						t.Errorf("told at %v, want %v", got, tt.want)
					}
				}
			})
		})
	}
}
