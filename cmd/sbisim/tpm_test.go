//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sbid/attest"
)

// softwareTPM starts a TPM 2.0 of Debian's swtpm until the test ends, and
// returns its address for --tpm.
func softwareTPM(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm") //nolint:usetesting // a test's own directory makes the path of the socket too long
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	var said bytes.Buffer
	cmd := exec.CommandContext(context.Background(), "swtpm", "socket", "--tpm2", "--tpmstate", "dir="+dir,
		"--server", "type=unixio,path="+socket, "--ctrl", "type=unixio,path="+socket+".ctrl", "--flags", "not-need-init")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("start a software TPM (Debian package swtpm): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		os.RemoveAll(dir)
	})
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
			return "unix:" + socket
		}
		if time.Now().After(deadline) {
			t.Fatalf("swtpm does not listen: %v\n%s", err, &said)
		}
		time.Sleep(5 * time.Millisecond) // real time, of another process
	}
}

// inTPM returns the arguments that keep the signing keys in a software TPM of
// the test's own.
func inTPM(t testing.TB) []string {
	t.Helper()
	return []string{"--tpm", softwareTPM(t)}
}

// With keys in a TPM everything is signed as with keys in files, rotation
// included, and no signing key is on the disk.
func TestKeysInTPM(t *testing.T) {
	device := softwareTPM(t)
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
