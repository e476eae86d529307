//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sbid/attest"
	"sbid/attest/tpm/tpmtest"
)

// inTPM returns the arguments that keep the signing keys in a software TPM of
// the test's own.
func inTPM(t testing.TB) []string {
	t.Helper()
	return []string{"--tpm", tpmtest.Start(t)}
}

// With keys in a TPM everything is signed as with keys in files, rotation
// included, and no signing key is on the disk.
func TestKeysInTPM(t *testing.T) {
	device := tpmtest.Start(t)
	s, err := newSim(filepath.Join(t.TempDir(), "state"), "--tpm", device) // no keys yet: they are made in the TPM
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("sbisim: %v\n%s", err, s.log)
		}
	})
	s = s.in(t)
	trust, err := attest.ReadTrust(filepath.Join(s.state, "trust"))
	if err != nil {
		t.Fatal(err)
	}
	signedBy := func(verb, url, body string, domain attest.Domain) string {
		t.Helper()
		_, answer := s.call(verb, url+"/capture", body)
		var got struct{ Biometrics []struct{ Data string } }
		if err := json.Unmarshal(answer, &got); err != nil || len(got.Biometrics) != 1 {
			t.Fatalf("%s: %.300s", verb, answer)
		}
		data, err := attest.Verify(got.Biometrics[0].Data)
		if err != nil {
			t.Fatalf("%s: %v: %.300s", verb, err, answer)
		}
		var block struct{ DigitalID string }
		if err := json.Unmarshal(data.Payload, &block); err != nil {
			t.Fatal(err)
		}
		id, err := attest.Verify(block.DigitalID)
		if err != nil {
			t.Fatal(err)
		}
		if err := trust.Check(attest.DomainDevice, data.Leaf(), time.Now()); err != nil {
			t.Error(err)
		}
		if err := trust.Check(domain, id.Leaf(), time.Now()); err != nil {
			t.Error(err)
		}
		return attest.Thumbprint(data.Leaf())
	}
	registration := func() string {
		return signedBy("RCAPTURE", s.registration, `{"env":"Developer","purpose":"Registration","specVersion":"0.9.5","timeout":"20000",
			"transactionId":"tpm-1","bio":[{"type":"Iris","count":"1","requestedScore":"20","deviceId":"2","deviceSubId":"1"}]}`, attest.DomainDevice)
	}
	signedBy("CAPTURE", s.auth, `{"env":"Developer","purpose":"Auth","specVersion":"0.9.5","timeout":"20000","transactionId":"tpm-1",
		"bio":[{"type":"Finger","count":"1","bioSubType":["UNKNOWN"],"requestedScore":"20","deviceId":"4","deviceSubId":"0"}]}`, attest.DomainFTM)
	before := registration()
	s.control("rotate", `{"type":"Iris"}`)
	if registration() == before {
		t.Error("the key did not rotate")
	}
	noPrivateKeys(t, s.state)
}

// noPrivateKeys fails for each key in plain that signs for a device. Those of
// the developer's authorities, and the one that opens auth captures, are files.
func noPrivateKeys(t *testing.T, state string) {
	t.Helper()
	err := filepath.WalkDir(state, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := filepath.Base(path)
		authority := strings.HasSuffix(name, "-root.pem") || strings.HasSuffix(name, "-provider.pem") || name == "encryption-key.pem"
		if bytes.Contains(data, []byte("BEGIN PRIVATE KEY")) && !authority {
			t.Errorf("%s is a private key", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
