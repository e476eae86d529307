package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sbid/attest"
	"sbid/attest/acme/acmetest"
	"sbid/attest/authority"
	"sbid/attest/tpm"
	"sbid/attest/tpm/tpmtest"
	"sbid/cmd/sbid/internal/doctor"
	"sbid/cmd/sbid/internal/verify"
	"sbid/sbi/client"
)

// An online is a kiosk whose provider is on the network.
type online struct {
	*kiosk
	ek, serial string
}

// newOnline returns a kiosk with a TPM of its own that knows a provider, who
// does not know it yet.
func newOnline(t testing.TB, p *acmetest.Provider) *online {
	t.Helper()
	device := tpmtest.Start(t)
	root := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(root, acmetest.PEM(p.Root.Cert), 0o600); err != nil {
		t.Fatal(err)
	}
	k := &online{kiosk: newKioskOf(t,
		`keys: {store: tpm, tpm: "`+device+`"}`,
		`certificates: {device-roots: [`+root+`], acme: {directory: "`+p.Directory(acmetest.WithWebhook)+`", attestation: "`+p.AttestationURL+`", roots: [`+root+`]}}`)}
	store, err := tpm.Open(t.Context(), tpm.Config{Device: device, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ek, err := store.Endorsement(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(ek.Public)
	k.ek = hex.EncodeToString(sum[:])
	var said struct{ Findings []doctor.Finding }
	_, out, _ := k.do("doctor --json")
	if err := json.Unmarshal([]byte(out), &said); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, f := range said.Findings {
		if text, found := strings.CutPrefix(f.Text, "Registration Single, "); f.Subject == "device" && found {
			k.serial, _, _ = strings.Cut(text, ":")
		}
	}
	if k.serial == "" {
		t.Fatalf("the doctor names no device: %s", out)
	}
	return k
}

// signedBy returns the thumbprint of the certificate that an answer is signed
// with, after checking that it leads to the provider's root.
func signedBy(t testing.TB, p *acmetest.Provider, answer client.Answer) string {
	t.Helper()
	data, err := attest.Verify(answer.Biometrics[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	trust := new(attest.Trust)
	trust.Add(attest.DomainDevice, p.Root.Cert, data.Chain[1])
	report, err := verify.Bytes(answer.Raw, verify.Options{Trust: trust, Organisation: organisation})
	if err != nil {
		t.Fatal(err)
	}
	if failures := report.Failures(); len(failures) > 0 {
		t.Errorf("%q", failures)
	}
	return attest.Thumbprint(data.Leaf())
}

// From a new TPM to a signed record, without a person: the service registers its
// scanner with the provider by itself. Then its key rotates while captures go
// on, and it proves what it is.
func TestRegistersByItself(t *testing.T) {
	p := acmetest.Start(t)
	k := newOnline(t, p)
	p.SetRegister(t, authority.Device{Serial: k.serial, EK: k.ek})
	s := k.start("Registration")
	device := s.await("Registration", "Ready")
	answer, err := s.rcapture(device)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.log)
	}
	before := signedBy(t, p, answer)

	var captures sync.WaitGroup
	defer captures.Wait()
	rotated := make(chan struct{})
	captures.Go(func() {
		for {
			answer, err := s.rcapture(device)
			if err != nil {
				t.Errorf("a capture while the key rotates: %v\n%s", err, s.log)
				return
			}
			signedBy(t, p, answer)
			select {
			case <-rotated:
				return
			default:
			}
		}
	})
	for range 3 {
		if said := k.must("rotate"); !strings.Contains(said, "new") {
			t.Errorf("rotate says %q", said)
		}
	}
	close(rotated)
	captures.Wait()
	answer, err = s.rcapture(device)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.log)
	}
	if signedBy(t, p, answer) == before {
		t.Error("the key did not rotate")
	}
	k.proves(p)
	s.stop()
	k.proves(p) // the same without the service
	if said := k.must("audit verify"); !strings.Contains(said, "never goes back") {
		t.Errorf("the audit log's checkpoints are not by the TPM: %s", said)
	}
}

// proves fails unless the kiosk's evidence is good, and any other is not.
func (k *online) proves(p *acmetest.Provider) {
	k.t.Helper()
	dir := k.t.TempDir()
	roots, document := filepath.Join(dir, "ak.pem"), filepath.Join(dir, "evidence.json")
	if err := os.WriteFile(roots, acmetest.PEM(p.AttestationRoot.Cert), 0o600); err != nil {
		k.t.Fatal(err)
	}
	const nonce = "00112233445566778899aabbccddeeff"
	binary := filepath.Join(dir, "evidence.cbor")
	k.must("attest --nonce "+nonce, "--out", document)
	k.must("attest --cbor --nonce "+nonce, "--out", binary)
	check := func(args ...string) (int, string) {
		var out, said lockedLog
		code := run(k.t.Context(), append([]string{"verify"}, args...), &console{out: &out, err: &said})
		return code, out.String() + said.String()
	}
	for _, file := range []string{document, binary} {
		if code, said := check(file, "--nonce", nonce, "--ak-roots", roots, "--ek", k.ek); code != exitDone {
			k.t.Errorf("%s: exit %d\n%s", file, code, said)
		}
	}
	if code, said := check(document, "--nonce", "ff"+nonce[2:], "--ak-roots", roots, "--ek", k.ek); code != exitVerification {
		k.t.Errorf("evidence of another time: exit %d\n%s", code, said)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, at := range []int{len(text) / 3, len(text) / 2, len(text) - 20} {
		spoilt := []byte(string(text))
		spoilt[at] ^= 1
		if err := os.WriteFile(document, spoilt, 0o600); err != nil {
			k.t.Fatal(err)
		}
		if code, said := check(document, "--nonce", nonce, "--ak-roots", roots, "--ek", k.ek); code == exitDone {
			k.t.Errorf("evidence with byte %d changed is accepted\n%s", at, said)
		}
	}
}

// A machine that the provider does not know gets nothing, is told why, and is
// not registered.
func TestStrangersAreNotRegistered(t *testing.T) {
	p := acmetest.Start(t)
	known, stranger := newOnline(t, p), newOnline(t, p)
	p.SetRegister(t, authority.Device{Serial: stranger.serial, EK: known.ek}) // its name, and another's TPM
	code, said, stderr := stranger.do("provision")
	if code != exitFailed || !strings.Contains(said+stderr, "register") {
		t.Errorf("exit %d\n%s%s", code, said, stderr)
	}
	s := stranger.start("Registration")
	if _, err := s.rcapture(s.await("Registration", "Not Registered")); sbiCode(err) != 100 {
		t.Errorf("a capture: %v", err)
	}
}
