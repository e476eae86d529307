package station

import (
	"testing"
	"time"
)

func TestRefusalsAreBounded(t *testing.T) {
	var r refusals
	now := time.Unix(1000, 0)
	written := 0
	for range 1000 {
		if ok, left := r.allow(now); ok {
			written++
		} else if left != 0 {
			t.Errorf("%d left out, said in the minute itself", left)
		}
		now = now.Add(time.Millisecond)
	}
	if written != mostRefusals {
		t.Errorf("%d written", written)
	}
	if ok, left := r.allow(now.Add(time.Minute)); !ok || left != 1000-mostRefusals {
		t.Errorf("a minute later: %v, %d left out before", ok, left)
	}
	if ok, left := r.allow(now.Add(-time.Hour)); !ok || left != 0 {
		t.Errorf("a clock that was set back: %v, %d", ok, left)
	}
}
