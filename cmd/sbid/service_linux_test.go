package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sbid/sbi/client"
)

// The whole of it, as a provider without a network does it: a scanner on a
// serial line, keys made here, certified elsewhere, brought back, a capture that
// verifies, and all of it in the audit log.
func TestFromScannerToSignedRecord(t *testing.T) {
	p := newProvider(t)
	k := newKiosk(t, "certificates: {device-roots: ["+p.roots()+"]}")
	if code, said, _ := k.do("doctor"); code != exitFailed || !strings.Contains(said, "not running") || !strings.Contains(said, "R503") {
		t.Errorf("doctor before all: exit %d\n%s", code, said)
	}

	s := k.start("Registration")
	device := s.await("Registration", "Not Registered")
	if _, err := s.rcapture(device); sbiCode(err) != 100 {
		t.Errorf("a capture before registration: %v", err)
	}
	requests := filepath.Join(t.TempDir(), "requests")
	k.must("provision --requests", requests)
	k.must("provision --import", p.certify(requests, nil))
	device = s.await("Registration", "Ready")
	if said := k.must("provision"); !strings.Contains(said, "unchanged") {
		t.Errorf("provisioning what is provisioned: %s", said)
	}
	if code, said, _ := k.do("rotate"); code != exitFailed || !strings.Contains(said, "by file") {
		t.Errorf("a rotation without a server: exit %d\n%s", code, said)
	}
	answer, err := s.rcapture(device)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.log)
	}
	p.verified(answer)

	if code, said, _ := k.do("doctor"); code != exitDone || !strings.Contains(said, "is idle") || !strings.Contains(said, "keys are in the TPM") {
		t.Errorf("doctor: exit %d\n%s", code, said)
	}
	k.module.Unplug()
	s.await("Registration", "Not Ready")
	if code, said, _ := k.do("doctor"); code != exitFailed || !strings.Contains(said, "plug it in") {
		t.Errorf("doctor without the scanner: exit %d\n%s", code, said)
	}
	if err := k.module.Plug(); err != nil {
		t.Fatal(err)
	}
	s.await("Registration", "Ready")
	s.stop()

	s = k.start("Registration") // a restart asks nobody for anything
	if again := s.await("Registration", "Ready"); again.ID != device.ID || again.Code != device.Code {
		t.Errorf("the device was %s %s and is %s %s", device.ID, device.Code, again.ID, again.Code)
	}
	s.stop()
	if said := k.must("audit verify"); !strings.Contains(said, "Nothing was changed") {
		t.Error(said)
	}
	log := readAll(t, filepath.Join(k.state, "audit"))
	for _, want := range []string{`"capture"`, "kiosk-1", device.Code, "right-index", `"start"`, `"stop"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit log has no %s", want)
		}
	}
}

// Keys in files are for development, and whoever looks after the machine hears it.
func TestKeysInFiles(t *testing.T) {
	k := newKioskOf(t, "keys: {store: file}")
	if code, said, _ := k.do("doctor"); code != exitFailed || !strings.Contains(said, "for development only") {
		t.Errorf("doctor: exit %d\n%s", code, said)
	}
	if code, _, stderr := k.do("attest --nonce 0011223344556677"); code != exitFailed || !strings.Contains(stderr, "takes a TPM") {
		t.Errorf("evidence: exit %d\n%s", code, stderr)
	}
}

// What a provider sends back wrong is refused, says why, and can be put right.
func TestWrongCertificatesAreRefused(t *testing.T) {
	p := newProvider(t)
	k := newKiosk(t, "certificates: {device-roots: ["+p.roots()+"]}")
	requests := filepath.Join(t.TempDir(), "requests")
	k.must("provision --requests", requests)
	for name, tt := range map[string]struct {
		spoil func(*x509.Certificate)
		want  string
	}{
		"another organisation": {func(c *x509.Certificate) {
			c.RawSubject, c.Subject = nil, pkix.Name{Organization: []string{"Others"}, CommonName: "X"}
		}, "organisation"},
		"expired":       {func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, "expired"},
		"not yet valid": {func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, "not yet valid"},
		"an authority":  {func(c *x509.Certificate) { c.IsCA = true }, "authority"},
		"other usage":   {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, "digital signatures"},
	} {
		code, said, stderr := k.do("provision --import", p.certify(requests, tt.spoil))
		if code == exitDone || !strings.Contains(said+stderr, tt.want) {
			t.Errorf("%s: exit %d\n%s%s", name, code, said, stderr)
		}
	}
	stranger := newProvider(t)
	if code, said, stderr := k.do("provision --import", stranger.certify(requests, nil)); code == exitDone || !strings.Contains(said+stderr, "not trusted") {
		t.Errorf("a provider that nobody knows: exit %d\n%s%s", code, said, stderr)
	}
	k.must("provision --import", p.certify(requests, nil))
}

// One sbid at a time works on a state folder, and the second says so.
func TestTwoServices(t *testing.T) {
	k := newKiosk(t)
	k.start("Registration")
	if code, _, stderr := k.do("run"); code != exitFailed || !strings.Contains(stderr, "Another sbid") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// sbiCode returns the code of an error that a device answered with.
func sbiCode(err error) int {
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e.Code
	}
	return -1
}

// readAll returns the texts of all files in a folder.
func readAll(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
