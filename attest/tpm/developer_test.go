//go:build unix

package tpm

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sbid/attest"
	"sbid/attest/developer"
)

// A developer trust set on a TPM: it signs, rotates, is the same after a
// restart, and after TPM2_Clear has new device keys and the old FTM key.
func TestDeveloperTrustSet(t *testing.T) {
	soft, dir := startTPM(t), t.TempDir()
	now := time.Now()
	open := func() (*developer.Set, func()) {
		store := openStore(t, soft, filepath.Join(dir, "tpm"))
		set, err := developer.OpenWith(dir, "Acme", []string{"slap", "iris"}, now, store)
		if err != nil {
			t.Fatal(err)
		}
		for domain, id := range map[attest.Domain]*attest.Identity{
			attest.DomainDevice: set.Device("slap"), attest.DomainFTM: set.FTM(),
		} {
			token, err := id.Sign([]byte("payload"))
			if err != nil {
				t.Fatal(err)
			}
			verified, err := attest.Verify(token)
			if err != nil {
				t.Fatal(err)
			}
			if err := set.Trust().Check(domain, verified.Leaf(), now); err != nil {
				t.Error(err)
			}
		}
		return set, func() {
			if err := set.Close(); err != nil {
				t.Error(err)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	set, done := open()
	slap, err := set.Rotate("slap", now)
	if err != nil {
		t.Fatal(err)
	}
	iris, ftm := set.Device("iris").Certificate(), set.FTM().Certificate()
	done()

	set, done = open()
	if !set.Device("slap").Certificate().Equal(slap.Certificate()) || !set.Device("iris").Certificate().Equal(iris) {
		t.Error("other device certificates after a restart")
	}
	done()

	soft.clear(t)
	set, done = open()
	defer done()
	if set.Device("iris").Certificate().Equal(iris) {
		t.Error("the old device certificate after TPM2_Clear")
	}
	if !set.FTM().Certificate().Equal(ftm) {
		t.Error("another FTM certificate after TPM2_Clear")
	}
	for _, name := range fileNames(t, filepath.Join(dir, "keys")) {
		if strings.HasPrefix(name, "device.") || strings.HasPrefix(name, FTMKey+".") {
			t.Errorf("%s is a key outside the TPM", name)
		}
	}
	soft.wantEmpty(t)
}
