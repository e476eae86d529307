package station

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sbid/attest"
	"sbid/attest/provision"
	"sbid/capture"
	"sbid/capture/inventory"
	"sbid/cmd/internal/daemon"
	"sbid/cmd/sbid/internal/config"
	"sbid/driver"
	"sbid/sbi"
)

// A moody key store has keys that fail as a test says.
type moody struct {
	attest.KeyStore
	mu   sync.Mutex
	fail map[string]error // by key; "" stands for all
}

func (m *moody) trouble(key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail[""]; err != nil {
		return err
	}
	return m.fail[key]
}

func (m *moody) set(key string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail[key] = err
}

type moodySigner struct {
	crypto.Signer
	store *moody
	key   string
}

func (s moodySigner) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := s.store.trouble(s.key); err != nil {
		return nil, err
	}
	return s.Signer.Sign(r, digest, opts)
}

func (m *moody) Signer(ctx context.Context, key string) (crypto.Signer, error) {
	if err := m.trouble(key); errors.Is(err, attest.ErrKeyLost) {
		return nil, err
	}
	signer, err := m.KeyStore.Signer(ctx, key)
	return moodySigner{signer, m, key}, err
}

func (m *moody) Create(ctx context.Context, key string) (crypto.Signer, error) {
	signer, err := m.KeyStore.Create(ctx, key)
	return moodySigner{signer, m, key}, err
}

// An authority certifies whatever it is asked, unless it is away.
type authority struct {
	key  *rsa.PrivateKey
	root *x509.Certificate
	away error
}

var authorityKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: authorityKey()}
	var err error
	a.root, err = a.issue(&x509.Certificate{
		Subject: pkix.Name{Organization: []string{"Acme"}, CommonName: "Root"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}, a.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) issue(template *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(0, 3, 0)
	template.BasicConstraintsValid = true
	issuer := a.root
	if issuer == nil {
		issuer = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func (a *authority) Issue(_ context.Context, r attest.CertificateRequest) ([]*x509.Certificate, error) {
	if a.away != nil {
		return nil, a.away
	}
	cert, err := a.issue(&x509.Certificate{Subject: r.Subject(), KeyUsage: x509.KeyUsageDigitalSignature}, r.Signer.Public())
	return []*x509.Certificate{cert, a.root}, err
}

// serving returns a station with one scanner, whose device was not served yet.
func serving(t *testing.T) (*Station, *device, *moody, *authority) {
	t.Helper()
	const directory = "https://provider.test/directory"
	a := newAuthority(t)
	c := config.Defaults()
	c.State = t.TempDir()
	c.Provider = config.Provider{Organisation: "Acme", ID: "ACME"}
	c.Certificates.ACME = &config.ACME{Directory: directory}
	log := slog.New(slog.DiscardHandler)
	s := newStation(c, nil, log)
	s.machine, s.auth = "MACHINE0MACHINE0", noEncryption{}
	s.issuers[directory] = a
	files, err := attest.NewFileStore(filepath.Join(c.State, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	keys := &moody{KeyStore: files, fail: map[string]error{}}
	s.keys = keys
	if err := s.openSet(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.openAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	// Not those of SBI, which tests of other packages scan: nobody answers here.
	if s.daemon, err = (daemon.Options{Ports: "4700-4790", Purpose: c.Purposes}).New(t.Context(), daemon.Settings{Environment: c.Environment}, log, io.Discard); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.daemon.Close)
	info := driver.Info{Modality: driver.Finger, Sensors: []driver.Sensor{driver.Single}, Serial: "SCANNER00001"}
	added := s.take(inventory.Entry{ID: "zfm:SCANNER00001", Driver: "zfm", Info: info, Scanner: capture.NewScanner(nil, info)})
	if len(added) != 1 {
		t.Fatalf("%d devices", len(added))
	}
	return s, added[0], keys, a
}

func newCarer(s *Station) *carer {
	return &carer{s, map[string]time.Time{}, map[string]time.Duration{}, map[string]time.Time{}, time.Time{}}
}

// wants fails unless clients are told a status.
func (s *Station) wants(t *testing.T, when string, status sbi.Status) {
	t.Helper()
	server := s.server(sbi.Registration)
	r := httptest.NewRequest("MOSIPDISC", server.Origin()+"/device", nil)
	w := httptest.NewRecorder()
	server.Handler().ServeHTTP(w, r)
	if !strings.Contains(w.Body.String(), `"deviceStatus":"`+string(status)+`"`) {
		t.Errorf("%s: want %s, got %s", when, status, w.Body)
	}
}

// A key that cannot sign when its scanner comes is used as soon as it can.
func TestKeyThatCannotSignForAWhile(t *testing.T) {
	s, d, keys, a := serving(t)
	c := newCarer(s)
	if _, err := s.set.Provision(t.Context(), provision.Device{Name: d.name, Serial: d.serial}, a); err != nil {
		t.Fatal(err)
	}
	keys.set("", errors.New("TPM is busy"))
	s.serveDevice(d)
	s.wants(t, "while it cannot sign", sbi.StatusNotReady)
	c.mend(t.Context())
	s.wants(t, "while it still cannot", sbi.StatusNotReady)
	keys.set("", nil)
	c.mend(t.Context())
	s.wants(t, "when it can", sbi.StatusReady)
}

// A rotation whose key cannot sign yet takes nothing out of service.
func TestOldKeyServesUntilTheNewOneCan(t *testing.T) {
	s, d, keys, _ := serving(t)
	c := newCarer(s)
	c.attend(t.Context(), d.name)
	s.serveDevice(d)
	s.wants(t, "at first", sbi.StatusReady)
	keys.set("", errors.New("TPM is busy"))
	s.arm(d)
	s.wants(t, "while the new key cannot sign", sbi.StatusReady)
	if d.unarmed() == nil {
		t.Error("nobody knows that the new key is not in use")
	}
	keys.set("", nil)
	c.mend(t.Context())
	if err := d.unarmed(); err != nil {
		t.Error(err)
	}
}

// A key that is lost while the service runs makes its device one that is not
// registered, and is replaced.
func TestKeyIsLost(t *testing.T) {
	s, d, keys, _ := serving(t)
	c := newCarer(s)
	c.attend(t.Context(), d.name)
	s.serveDevice(d)
	before := s.set.Status(d.name)
	keys.set(before.Key, fmt.Errorf("%w: the TPM was cleared", attest.ErrKeyLost))
	s.signingFailed(d.name, attest.ErrKeyLost)
	c.mend(t.Context())
	s.wants(t, "once that is known", sbi.StatusNotRegistered)
	c.attend(t.Context(), d.name)
	s.wants(t, "with a new key", sbi.StatusReady)
	if after := s.set.Status(d.name); after.Key == before.Key || after.Err != nil {
		t.Errorf("key %s after %s, %v", after.Key, before.Key, after.Err)
	}
}

// An old key is destroyed once its captures are over, and not before.
func TestOldKeysAreDestroyed(t *testing.T) {
	s, d, keys, _ := serving(t)
	c := newCarer(s)
	c.attend(t.Context(), d.name)
	s.serveDevice(d)
	if outcomes, err := s.Rotate(t.Context(), Which{}); err != nil || len(outcomes) != 1 || !outcomes[0].Done {
		t.Fatal(outcomes, err)
	}
	count := func() int {
		t.Helper()
		names, err := keys.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, "device.") }))
	}
	s.retireOld(t.Context())
	if n := count(); n != 2 {
		t.Errorf("%d keys right after a rotation, want the old one and the new one", n)
	}
	s.mu.Lock()
	for name := range s.retire {
		s.retire[name] = time.Now().Add(-time.Second)
	}
	s.mu.Unlock()
	s.retireOld(t.Context())
	if n := count(); n != 1 {
		t.Errorf("%d keys when the captures of the old one are over", n)
	}
}

// A machine that was started before its network asks again soon, and then less
// often.
func TestRegistrationIsTriedAgain(t *testing.T) {
	s, d, _, a := serving(t)
	c := newCarer(s)
	a.away = attest.ErrManagementServer
	s.serveDevice(d)
	var pauses []time.Duration
	for range 8 {
		c.attend(t.Context(), d.name)
		pauses = append(pauses, c.pause[d.name].Round(time.Second))
		c.next[d.name] = time.Time{}
	}
	if pauses[0] != firstRetry || pauses[1] != 2*firstRetry || pauses[7] > 70*time.Minute {
		t.Errorf("pauses %v", pauses)
	}
	s.wants(t, "meanwhile", sbi.StatusNotRegistered)
	a.away = nil
	c.attend(t.Context(), d.name)
	s.wants(t, "when the server is there", sbi.StatusReady)
	if status := s.set.Status(d.name); status.Origin != provision.Made {
		t.Errorf("%+v", status)
	}
}
