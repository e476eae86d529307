package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"image"
	"io"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sbid/attest"
	"sbid/attest/tpm/tpmtest"
	"sbid/cmd/sbid/internal/verify"
	"sbid/driver"
	"sbid/sbi/client"
	"sbid/simulator"
	"sbid/simulator/serial"
)

// A kiosk is a machine with sbid's configuration and, mostly, a fingerprint
// module, and the commands that a person gives there.
type kiosk struct {
	t      testing.TB
	config string
	state  string
	module *serial.Twin
}

const organisation = "Acme"

// newKiosk returns one that runs nothing yet, with its keys in a TPM. settings
// are further lines of its configuration.
func newKiosk(t testing.TB, settings ...string) *kiosk {
	t.Helper()
	return newKioskOf(t, append(settings, "keys: {store: tpm, tpm: \""+tpmtest.Start(t)+"\"}")...)
}

// newKioskOf is newKiosk with the settings of a key store among the others.
func newKioskOf(t testing.TB, settings ...string) *kiosk {
	t.Helper()
	tty := filepath.Join(t.TempDir(), "tty")
	module, err := serial.StartEF01(tty, serial.EF01{Width: 192, Height: 192, Product: "R503", Serial: "00000007"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(module.Close)
	k := bareKiosk(t, append(settings, "scanners: {zfm: {ports: ["+tty+"]}, usb: {disabled: true}}")...)
	k.module = module
	return k
}

// bareKiosk is a kiosk with the scanners that the kernel has.
func bareKiosk(t testing.TB, settings ...string) *kiosk {
	t.Helper()
	dir, err := os.MkdirTemp("", "kiosk") //nolint:usetesting // a test's own directory makes the path of the socket too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	k := &kiosk{t: t, config: filepath.Join(dir, "sbid.yaml"), state: filepath.Join(dir, "state")}
	text := fmt.Sprintf("state: state\nprovider: {organisation: %s, country: IN, id: EX}\n%s\n", organisation, strings.Join(settings, "\n"))
	if err := os.WriteFile(k.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return k
}

// do gives a command and returns its exit code and what it said.
func (k *kiosk) do(command string, args ...string) (code int, stdout, stderr string) {
	k.t.Helper()
	var out, said bytes.Buffer
	words := append(strings.Fields(command), args...)
	words = append(words, "--config", k.config)
	code = run(k.t.Context(), words, &console{out: &out, err: &said})
	return code, out.String(), said.String()
}

// must gives a command that has to work.
func (k *kiosk) must(command string, args ...string) string {
	k.t.Helper()
	code, stdout, stderr := k.do(command, args...)
	if code != exitDone {
		k.t.Fatalf("sbid %s: exit %d\n%s%s", command, code, stdout, stderr)
	}
	return stdout
}

// awaitDoctor returns what the doctor says as soon as it says some words: a
// scanner is tried before it is ready.
func (k *kiosk) awaitDoctor(words string) string {
	k.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; {
		_, said, _ := k.do("doctor")
		if strings.Contains(said, words) {
			return said
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("the doctor does not say %q:\n%s", words, said)
		}
		time.Sleep(20 * time.Millisecond) // real time, of a real scanner
	}
}

// A service is sbid run.
type service struct {
	*kiosk
	ports map[string]int // by purpose
	log   *lockedLog
	stop  func()
}

type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs the service until stop, or the end of the test, and returns when
// its endpoints answer.
func (k *kiosk) start(purposes ...string) *service {
	k.t.Helper()
	s := &service{kiosk: k, ports: map[string]int{}, log: &lockedLog{}}
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		code := run(ctx, []string{"run", "--config", k.config}, &console{out: in, err: s.log})
		in.Close()
		ended <- code
	}()
	s.stop = sync.OnceFunc(func() {
		cancel()
		go func() { _, _ = io.Copy(io.Discard, out) }()
		if code := <-ended; code != exitDone {
			k.t.Errorf("sbid run: exit %d\n%s", code, s.log)
		}
	})
	k.t.Cleanup(s.stop)
	lines := bufio.NewScanner(out)
	for range purposes {
		if !lines.Scan() {
			k.t.Fatalf("sbid run does not answer\n%s", s.log)
		}
		words := strings.Fields(lines.Text())
		if len(words) != 3 {
			k.t.Fatalf("sbid run says %q", lines.Text())
		}
		u, err := url.Parse(words[2])
		if err != nil {
			k.t.Fatal(err)
		}
		if s.ports[words[1]], err = strconv.Atoi(u.Port()); err != nil {
			k.t.Fatal(err)
		}
	}
	return s
}

// await returns the one device of a purpose when it has a status.
func (s *service) await(purpose, status string) client.Device {
	s.t.Helper()
	var last []client.Device
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); {
		devices, err := client.New().Discover(s.t.Context(), s.ports[purpose], client.AnyType)
		if err == nil && len(devices) == 1 && devices[0].Status == status {
			return devices[0]
		}
		last = devices
		time.Sleep(20 * time.Millisecond) // real time, of a real port
	}
	s.t.Fatalf("no %s device for %s: %+v\n%s", status, purpose, last, s.log)
	return client.Device{}
}

// rcapture captures one finger that is put on the module.
func (s *service) rcapture(device client.Device) (client.Answer, error) {
	s.t.Helper()
	s.module.Show(finger())
	defer s.module.Show(nil)
	return s.capture(device)
}

// finger is what is put on the module.
var finger = sync.OnceValue(func() image.Image {
	return simulator.NewPerson(3).Finger(driver.RightIndex, simulator.Impression{})
})

// capture captures the right index finger.
func (s *service) capture(device client.Device) (client.Answer, error) {
	s.t.Helper()
	return client.New().RCapture(s.t.Context(), s.ports["Registration"], client.Request{
		Env: "Staging", Timeout: 20 * time.Second, TransactionID: "kiosk-1",
		Bio: []client.Bio{{Type: "Finger", Count: 1, SubTypes: []string{"Right IndexFinger"}, Score: 1, DeviceID: device.ID, SubID: "0"}},
	})
}

// A provider certifies keys somewhere else, by file.
type provider struct {
	t    testing.TB
	key  *rsa.PrivateKey
	root *x509.Certificate
}

func newProvider(t testing.TB) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t, key: key}
	p.root = p.issue(&x509.Certificate{
		Subject: pkix.Name{Organization: []string{organisation}, CommonName: "Provider"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().AddDate(5, 0, 0),
	}, key.Public())
	return p
}

func (p *provider) issue(template *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	p.t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		p.t.Fatal(err)
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1))
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	issuer := p.root
	if issuer == nil {
		issuer = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, p.key)
	if err != nil {
		p.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		p.t.Fatal(err)
	}
	return cert
}

// roots writes the provider's root into a file, and returns its path.
func (p *provider) roots() string {
	return p.write(filepath.Join(p.t.TempDir(), "root.pem"), p.root)
}

func (p *provider) write(path string, certs ...*x509.Certificate) string {
	p.t.Helper()
	var text bytes.Buffer
	for _, cert := range certs {
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// certify answers the requests in a folder, and returns a folder with the
// certificates. change may spoil them.
func (p *provider) certify(folder string, change func(*x509.Certificate)) string {
	p.t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.csr"))
	if err != nil || len(files) == 0 {
		p.t.Fatalf("no requests in %s: %v", folder, err)
	}
	out := p.t.TempDir()
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			p.t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		if block == nil {
			p.t.Fatalf("%s is no PEM file", file)
		}
		request, err := x509.ParseCertificateRequest(block.Bytes)
		if err == nil {
			err = request.CheckSignature()
		}
		if err != nil {
			p.t.Fatal(err)
		}
		template := &x509.Certificate{
			RawSubject: request.RawSubject, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageDigitalSignature, NotAfter: time.Now().AddDate(0, 3, 0),
		}
		if change != nil {
			change(template)
		}
		p.write(filepath.Join(out, fmt.Sprintf("%d.pem", i)), p.issue(template, request.PublicKey), p.root)
	}
	return out
}

// verified fails unless an answer is what clients accept who know the provider.
func (p *provider) verified(answer client.Answer) {
	p.t.Helper()
	trust := new(attest.Trust)
	trust.Add(attest.DomainDevice, p.root)
	trust.Add(attest.DomainFTM, p.root)
	report, err := verify.Bytes(answer.Raw, verify.Options{Trust: trust, Organisation: organisation})
	if err != nil {
		p.t.Fatal(err)
	}
	if failures := report.Failures(); len(failures) > 0 {
		p.t.Errorf("%q", failures)
	}
}
