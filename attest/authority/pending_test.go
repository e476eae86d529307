package authority

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPendingExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pending
		first, second := []byte("first"), []byte("second")
		if err := p.add(first, candidate{ek: "A"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(pendingTime - time.Second)
		if err := p.add(second, candidate{ek: "A"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, ok := p.take(first); ok {
			t.Errorf("a secret was good for %s", pendingTime)
		}
		if c, ok := p.take(second); !ok || c.ek != "A" {
			t.Error("a secret was not good for a second")
		}
	})
}

func TestPendingForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pending
		for i := range byte(maxPending) {
			if err := p.add([]byte{i}, candidate{ek: "A"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.add([]byte("one more"), candidate{ek: "A"}); err == nil {
			t.Errorf("more than %d for one TPM", maxPending)
		}
		if err := p.add([]byte("another's"), candidate{ek: "B"}); err != nil {
			t.Errorf("one TPM keeps another out: %v", err)
		}
		time.Sleep(pendingTime)
		if err := p.add([]byte("later"), candidate{ek: "A"}); err != nil {
			t.Error(err)
		}
		if len(p.list) != 1 {
			t.Errorf("%d are kept, want 1", len(p.list))
		}
	})
}
