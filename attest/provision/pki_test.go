package provision

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sbid/attest"
)

// start is when the tests begin; their certificates are valid from an hour
// before it for ninety days.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	organisation    = "Acme"
	ftmOrganisation = "Chips & Co"
	serial          = "ACME000012345"
)

var slap = Device{"slap", serial}

// testKeys are made once, because RSA keys take their time.
var testKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	if path := os.Getenv(victimKeys); path != "" {
		return readKeys(path)
	}
	keys := make([]*rsa.PrivateKey, 10)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() { keys[i] = generate(2048) })
	}
	wg.Wait()
	return keys
})

func generate(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

// An authority is a root or a provider of the tests, and issues for whom it
// is asked.
type authority struct {
	cert  *x509.Certificate
	key   *rsa.PrivateKey
	above []*x509.Certificate
	edit  func(*x509.Certificate) // of what is issued
	after func([]*x509.Certificate) ([]*x509.Certificate, error)
}

func sign(template *x509.Certificate, public crypto.PublicKey, by *authority) *x509.Certificate {
	if template.SerialNumber == nil {
		template.SerialNumber = big.NewInt(time.Now().UnixNano())
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, public, by.key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}

func newAuthority(organisation, name string, key *rsa.PrivateKey, by *authority) *authority {
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{organisation}, CommonName: name},
		NotBefore:             start.AddDate(-1, 0, 0),
		NotAfter:              start.AddDate(20, 0, 0),
		BasicConstraintsValid: true,
		IsCA:                  true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	a := &authority{key: key}
	if by == nil {
		by = &authority{cert: template, key: key}
	} else {
		a.above = append([]*x509.Certificate{by.cert}, by.above...)
	}
	a.cert = sign(template, key.Public(), by)
	return a
}

// leaf issues a certificate as providers do.
func (a *authority) leaf(subject pkix.Name, public crypto.PublicKey) *x509.Certificate {
	template := &x509.Certificate{
		Subject:               subject,
		NotBefore:             start.Add(-time.Hour),
		NotAfter:              start.Add(-time.Hour).AddDate(0, 0, 90),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
	}
	if a.edit != nil {
		a.edit(template)
	}
	return sign(template, public, a)
}

func (a *authority) Issue(ctx context.Context, r attest.CertificateRequest) ([]*x509.Certificate, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	chain := append([]*x509.Certificate{a.leaf(r.Subject(), r.Signer.Public()), a.cert}, a.above...)
	if a.after != nil {
		return a.after(chain)
	}
	return chain, nil
}

// editing returns the authority with something wrong in what it issues.
func (a *authority) editing(edit func(*x509.Certificate)) *authority {
	other := *a
	other.edit = edit
	return &other
}

func (a *authority) answering(after func([]*x509.Certificate) ([]*x509.Certificate, error)) *authority {
	other := *a
	other.after = after
	return &other
}

// A testPKI has a device provider and an FTM provider, each below a root.
type testPKI struct{ device, ftm *authority }

var pki = sync.OnceValue(func() testPKI {
	keys := testKeys()
	deviceRoot := newAuthority("Root", "DEVICE root", keys[0], nil)
	ftmRoot := newAuthority("Root", "FTM root", keys[1], nil)
	return testPKI{
		device: newAuthority(organisation, "Acme provider", keys[2], deviceRoot),
		ftm:    newAuthority(ftmOrganisation, "Chip provider", keys[3], ftmRoot),
	}
})

// trust knows the roots only.
func (p testPKI) trust() *attest.Trust {
	t := new(attest.Trust)
	t.Add(attest.DomainDevice, p.device.above...)
	t.Add(attest.DomainFTM, p.ftm.above...)
	return t
}

// issuer is the provider whose business a key is.
func (p testPKI) issuer(name string) *authority {
	if name == FTM {
		return p.ftm
	}
	return p.device
}

// A files store is a FileStore whose keys were made before.
type files struct {
	*attest.FileStore
	pool []*rsa.PrivateKey
	made atomic.Int64
	lost sync.Map // names of keys that will not come back
}

func newFiles(dir string, pool []*rsa.PrivateKey) *files {
	store, err := attest.NewFileStore(dir)
	if err != nil {
		panic(err)
	}
	return &files{FileStore: store, pool: pool}
}

func (f *files) Signer(ctx context.Context, name string) (crypto.Signer, error) {
	if err, lost := f.lost.Load(name); lost {
		return nil, err.(error)
	}
	return f.FileStore.Signer(ctx, name)
}

func (f *files) Delete(ctx context.Context, name string) error {
	f.lost.Delete(name)
	return f.FileStore.Delete(ctx, name)
}

func (f *files) Create(ctx context.Context, name string) (crypto.Signer, error) {
	n := f.made.Add(1) - 1
	return f.Import(ctx, name, f.pool[n%int64(len(f.pool))])
}

// A clock stands still until it is set.
type clock struct{ at atomic.Pointer[time.Time] }

func (c *clock) set(t time.Time) { c.at.Store(&t) }
func (c *clock) now() time.Time  { return *c.at.Load() }

// A machine has a state directory and a key store, and may be started again.
type machine struct {
	t      testing.TB
	dir    string
	keys   attest.KeyStore
	clock  clock
	config func(*Config) // if not nil, changes what newMachine says
	events []Event       // since the last start
}

func newMachine(t testing.TB) *machine {
	m := &machine{t: t, dir: t.TempDir()}
	m.keys = newFiles(filepath.Join(m.dir, "keys"), testKeys()[4:])
	m.clock.set(start)
	return m
}

func (m *machine) files() *files { return m.keys.(*files) }

func (m *machine) open() (*Set, error) {
	m.events = nil
	config := Config{
		Dir:             m.dir,
		Keys:            m.keys,
		Organisation:    organisation,
		FTMOrganisation: ftmOrganisation,
		Country:         "IN",
		Trust:           pki().trust(),
		Now:             m.clock.now,
		Changed:         func(e Event) { m.events = append(m.events, e) },
	}
	if m.config != nil {
		m.config(&config)
	}
	return Open(m.t.Context(), config)
}

// start opens the state directory for the rest of the test.
func (m *machine) start() *Set {
	m.t.Helper()
	s, err := m.open()
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			m.t.Error(err)
		}
	})
	return s
}

func (m *machine) kinds() []Kind {
	var kinds []Kind
	for _, e := range m.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// provisioned returns an open set with a device in use.
func (m *machine) provisioned() *Set {
	m.t.Helper()
	s := m.start()
	m.provision(s, slap)
	m.events = nil
	return s
}

func (m *machine) provision(s *Set, d Device) *attest.Identity {
	m.t.Helper()
	id, err := s.Provision(m.t.Context(), d, pki().issuer(d.Name))
	if err != nil {
		m.t.Fatal(err)
	}
	return id
}

func (m *machine) rotate(s *Set, name string) *attest.Identity {
	m.t.Helper()
	id, err := s.Rotate(m.t.Context(), name, pki().issuer(name))
	if err != nil {
		m.t.Fatal(err)
	}
	return id
}

// wantKeys fails unless the key store holds these and no others.
func (m *machine) wantKeys(want ...string) {
	m.t.Helper()
	names, err := m.keys.List(m.t.Context())
	if err != nil || !slices.Equal(names, want) {
		m.t.Errorf("keys %v, %v, want %v", names, err, want)
	}
}

// wantSigning fails unless a device signs, in the name of its provider.
func (m *machine) wantSigning(s *Set, name string) *attest.Identity {
	m.t.Helper()
	id, err := s.Device(name)
	if err != nil {
		m.t.Error(err)
		return nil
	}
	m.signs(id, domainOf(name))
	return id
}

func (m *machine) signs(id *attest.Identity, domain attest.Domain) {
	m.t.Helper()
	token, err := id.Sign([]byte("payload"))
	if err != nil {
		m.t.Error(err)
		return
	}
	v, err := attest.Verify(token)
	if err != nil {
		m.t.Error(err)
		return
	}
	if err := pki().trust().CheckChain(domain, v.Chain, m.clock.now()); err != nil {
		m.t.Error(err)
	}
}

// A snapshot has the content of every file below a directory but the lock.
type snapshot map[string]string

func take(t testing.TB, dir string) snapshot {
	t.Helper()
	all := snapshot{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "lock" {
			return err
		}
		text, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir+string(filepath.Separator))] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func pemOf(certs ...*x509.Certificate) []byte {
	var text []byte
	for _, c := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}
