package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sbid/sbi/client"
)

// A kiosk whose TPM is not there starts all the same, says so, and goes on as
// soon as it is.
func TestStartsWithoutItsTPM(t *testing.T) {
	k := newKioskOf(t, `keys: {store: tpm, tpm: "unix:/nowhere/tpm"}`)
	s := k.start("Registration")
	if _, err := s.rcapture(s.await("Registration", "Not Registered")); sbiCode(err) != 100 {
		t.Errorf("a capture: %v", err)
	}
	if said := k.awaitDoctor("is idle"); !strings.Contains(said, "no TPM 2.0 found") {
		t.Error(said)
	}
	if code, _, stderr := k.do("provision --requests", filepath.Join(t.TempDir(), "r")); code != exitFailed || !strings.Contains(stderr, "no TPM 2.0 found") {
		t.Errorf("provision: exit %d\n%s", code, stderr)
	}
}

// An audit log that was touched is found out, and does not stop the service.
func TestAuditLogIsTouched(t *testing.T) {
	k := newKiosk(t)
	k.start("Registration").stop()
	files, err := filepath.Glob(filepath.Join(k.state, "audit", "*"))
	if err != nil {
		t.Fatal(err)
	}
	touched := false
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		spoilt := strings.Replace(string(text), "level L0", "level L1", 1)
		touched = touched || spoilt != string(text)
		if err := os.WriteFile(file, []byte(spoilt), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !touched {
		t.Fatal("the start is not in the log")
	}
	if code, said, stderr := k.do("audit verify"); code != exitVerification || !strings.Contains(said, "BROKEN") {
		t.Errorf("exit %d\n%s%s", code, said, stderr)
	}
	s := k.start("Registration")
	s.await("Registration", "Not Registered")
}

// A log whose signatures nobody can check is not called good.
func TestAuditLogOfAnUnknownKey(t *testing.T) {
	k := newKiosk(t)
	k.start("Registration").stop()
	if said := k.must("audit verify"); !strings.Contains(said, "Nothing was changed") {
		t.Error(said)
	}
	code, said, stderr := k.do("audit verify", filepath.Join(k.state, "audit"))
	if code != exitVerification || strings.Contains(said, "Nothing was changed") || !strings.Contains(said, "consistent in itself") || !strings.Contains(stderr, "--keys") {
		t.Errorf("without keys: exit %d\n%s%s", code, said, stderr)
	}
	if err := os.RemoveAll(filepath.Join(k.state, "audit")); err != nil {
		t.Fatal(err)
	}
	k.must("provision --requests", filepath.Join(t.TempDir(), "requests")) // begins another log, without checkpoints
	code, said, stderr = k.do("audit verify")
	if code != exitVerification || !strings.Contains(said, "the end of the log is missing") {
		t.Errorf("a log that took the place of the first: exit %d\n%s%s", code, said, stderr)
	}
}

// A configuration that cannot be meant starts nothing.
func TestWrongConfiguration(t *testing.T) {
	k := newKioskOf(t, "level: L3")
	for _, command := range []string{"run", "provision", "rotate", "audit verify"} {
		if code, _, stderr := k.do(command); code != exitUsage || !strings.Contains(stderr, `level is "L3"`) || !strings.Contains(stderr, "Mend the configuration: "+k.config) {
			t.Errorf("%s: exit %d: %s", command, code, stderr)
		}
	}
	if code, said, _ := k.do("doctor"); code != exitFailed || !strings.Contains(said, `level is "L3"`) {
		t.Errorf("doctor: exit %d: %s", code, said)
	}
}

// An L1 machine signs its digital IDs with the FTM key, and serves
// authentication with whatever certificate of the adopter there is: without
// one, error 108 at once.
func TestAuthentication(t *testing.T) {
	p := newProvider(t)
	adopter := filepath.Join(t.TempDir(), "adopter.pem")
	k := newKiosk(t, "level: L1", "purposes: [Registration, Auth]", "encryption: {file: "+adopter+"}",
		"certificates: {device-roots: ["+p.roots()+"], ftm-roots: ["+p.roots()+"]}")
	s := k.start("Registration", "Auth")
	s.await("Auth", "Not Registered")
	requests := filepath.Join(t.TempDir(), "requests")
	k.must("provision --requests", requests)
	k.must("provision --import", p.certify(requests, nil))
	device := s.await("Auth", "Ready")
	if device.Level != "L1" {
		t.Errorf("level %s", device.Level)
	}
	capture := func() (client.Answer, error) {
		k.module.Show(finger())
		defer k.module.Show(nil)
		return client.New().Capture(t.Context(), s.ports["Auth"], client.Request{
			Env: "Staging", Timeout: 20 * time.Second, TransactionID: "kiosk-2",
			Bio: []client.Bio{{Type: "Finger", Count: 1, SubTypes: []string{"UNKNOWN"}, Score: 1, DeviceID: device.ID, SubID: "0"}},
		})
	}
	before := time.Now()
	if _, err := capture(); sbiCode(err) != 108 || time.Since(before) > 5*time.Second {
		t.Errorf("without the adopter's certificate: %v after %v", err, time.Since(before))
	}
	if code, said, _ := k.do("doctor"); code != exitFailed || !strings.Contains(said, "encryption certificate") {
		t.Errorf("doctor: exit %d\n%s", code, said)
	}
	p.write(adopter, p.root)
	for deadline := time.Now().Add(60 * time.Second); ; { // the file is looked at every few seconds
		answer, err := capture()
		if err == nil {
			p.verified(answer)
			return
		}
		if sbiCode(err) != 108 || time.Now().After(deadline) {
			t.Fatalf("with the adopter's certificate: %v\n%s", err, s.log)
		}
		time.Sleep(200 * time.Millisecond) // real time, of a file
	}
}
