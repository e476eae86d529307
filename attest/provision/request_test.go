package provision

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sbid/attest"
)

// read returns a request of the folder, as the provider gets it.
func (r Request) read(t testing.TB, folder string) *x509.CertificateRequest {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, r.File))
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(rest) > 0 {
		t.Fatalf("%s: not the PEM of one request", r.File)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(csr.Raw); !bytes.Equal(sum[:], r.SHA256) || csr.CheckSignature() != nil || csr.SignatureAlgorithm != x509.SHA256WithRSA {
		t.Errorf("%s: hash or signature is wrong", r.File)
	}
	return csr
}

// certify does what a provider far away does with a folder of requests.
func certify(t testing.TB, folder string) []*x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	var certs []*x509.Certificate
	for _, r := range m.Requests {
		csr := r.read(t, folder)
		by := pki().issuer(r.Name)
		certs = append(certs, by.leaf(csr.Subject, csr.PublicKey), by.cert, by.above[0])
	}
	return certs
}

func put(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pkcs7 is how authorities hand out certificates: signed data that nobody
// signed.
func pkcs7(t testing.TB, certs ...*x509.Certificate) []byte {
	t.Helper()
	marshal := func(v any, params string) asn1.RawValue {
		der, err := asn1.MarshalWithParams(v, params)
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: der}
	}
	var raw []byte
	for _, c := range certs {
		raw = append(raw, c.Raw...)
	}
	empty := asn1.RawValue{Tag: asn1.TagSet, IsCompound: true}
	signed := marshal([]asn1.RawValue{
		marshal(1, ""),
		empty,
		marshal([]asn1.ObjectIdentifier{{1, 2, 840, 113549, 1, 7, 1}}, ""),
		{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: raw},
		empty,
	}, "")
	return marshal([]asn1.RawValue{
		marshal(oidSignedData, ""),
		{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: signed.FullBytes},
	}, "").FullBytes
}

func TestRequests(t *testing.T) {
	m := newMachine(t)
	s := m.start()
	folder := filepath.Join(t.TempDir(), "out", "requests")
	devices := []Device{slap, {FTM, serial}, {"iris", "ACME000054321"}}
	manifest, err := s.WriteRequests(t.Context(), folder, devices...)
	if err != nil {
		t.Fatal(err)
	}
	if manifest.Module != nil || manifest.Unproven != "" {
		t.Errorf("keys in files have a TPM: %+v", manifest)
	}
	for i, d := range devices {
		r := manifest.Requests[i]
		subject := "CN=" + d.Serial + ",O=" + s.organisation(d.Name) + ",C=IN"
		if got := r.read(t, folder).Subject.String(); got != subject || r.Name != d.Name || r.Domain != domainOf(d.Name) {
			t.Errorf("%+v for %s", r, got)
		}
		if _, err := s.Device(d.Name); !errors.Is(err, attest.ErrNoKey) || !strings.Contains(err.Error(), "not been imported yet") {
			t.Error(err)
		}
		if st := s.Status(d.Name); !st.Requested || st.Serial != d.Serial {
			t.Errorf("status %+v", st)
		}
	}
	if want := []Kind{KeyMade, Requested, KeyMade, Requested, KeyMade, Requested}; !slices.Equal(m.kinds(), want) {
		t.Errorf("events %v", m.kinds())
	}
	asked := take(t, folder)
	certs := certify(t, folder)

	// The keys wait over a restart, and the same request is written again.
	s.Close()
	s = m.start()
	if _, err := s.WriteRequests(t.Context(), folder, devices...); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(take(t, folder), asked) || m.events != nil {
		t.Errorf("other requests after a restart: %v", m.kinds())
	}
	path := put(t, filepath.Join(t.TempDir(), "signed.pem"), pemOf(certs...))
	names, err := s.Import(t.Context(), path)
	if err != nil || !slices.Equal(names, []string{FTM, "iris", "slap"}) {
		t.Fatalf("imported %v, %v", names, err)
	}
	for _, d := range devices {
		m.wantSigning(s, d.Name)
		if st := s.Status(d.Name); st.Requested || st.Err != nil {
			t.Errorf("status %+v", st)
		}
	}
	m.wantKeys("device.iris.1", "device.slap.1", "ftm")
	before := take(t, m.dir)
	if names, err := s.Import(t.Context(), path); err != nil || names != nil {
		t.Errorf("the same again: %v, %v", names, err)
	}
	s.Close()
	s = m.start()
	for _, d := range devices {
		m.wantSigning(s, d.Name)
	}
	if !maps.Equal(before, take(t, m.dir)) {
		t.Error("something was changed")
	}

	// Rotation by file: the old key is in use till then.
	if _, err := s.WriteRequests(t.Context(), folder, slap); err != nil {
		t.Fatal(err)
	}
	old := m.wantSigning(s, "slap")
	s.Close()
	s = m.start()
	if names, err := s.ImportCertificates(t.Context(), certify(t, folder)); err != nil || !slices.Equal(names, []string{"slap"}) {
		t.Errorf("imported %v, %v", names, err)
	}
	if id := m.wantSigning(s, "slap"); id.Certificate().Equal(old.Certificate()) {
		t.Error("the old certificate is in use")
	}

	// The FTM key stays, so its old certificate is one of the right key.
	if _, err := s.WriteRequests(t.Context(), folder, Device{FTM, serial}); err != nil {
		t.Fatal(err)
	}
	old = m.wantSigning(s, FTM)
	if names, err := s.ImportCertificates(t.Context(), old.Chain()); err != nil || names != nil {
		t.Errorf("imported %v, %v", names, err)
	}
	if !s.Status(FTM).Requested {
		t.Error("the old certificate answered the request")
	}
	if names, err := s.ImportCertificates(t.Context(), append(old.Chain(), certify(t, folder)...)); err != nil || !slices.Equal(names, []string{FTM}) {
		t.Errorf("imported %v, %v", names, err)
	}
	if id := m.wantSigning(s, FTM); id.Certificate().Equal(old.Certificate()) {
		t.Error("the old certificate is in use")
	}
	s.Close()
	m.start()
	m.wantKeys("device.iris.1", "device.slap.2", "ftm")
}

// Certificates come as authorities like to send them.
func TestImportForms(t *testing.T) {
	for name, store := range map[string]func(t *testing.T, certs []*x509.Certificate, folder string) string{
		"PEM": func(t *testing.T, c []*x509.Certificate, folder string) string {
			return put(t, filepath.Join(folder, "a.txt"), pemOf(c...))
		},
		"PEM in another order": func(t *testing.T, c []*x509.Certificate, folder string) string {
			slices.Reverse(c)
			return put(t, filepath.Join(folder, "a.pem"), pemOf(c...))
		},
		"PKCS #7": func(t *testing.T, c []*x509.Certificate, folder string) string {
			return put(t, filepath.Join(folder, "a.p7b"), pkcs7(t, c...))
		},
		"PKCS #7 in PEM": func(t *testing.T, c []*x509.Certificate, folder string) string {
			return put(t, filepath.Join(folder, "a.p7b"), pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: pkcs7(t, c...)}))
		},
		"folder": func(t *testing.T, c []*x509.Certificate, folder string) string {
			put(t, filepath.Join(folder, "slap.cer"), c[0].Raw)
			put(t, filepath.Join(folder, "chain.P7B"), pkcs7(t, c[1:]...))
			put(t, filepath.Join(folder, "slap.csr"), []byte("a request"))
			put(t, filepath.Join(folder, "notes.txt"), []byte("notes"))
			return folder
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, folder := newMachine(t), t.TempDir()
			s := m.start()
			if _, err := s.WriteRequests(t.Context(), folder, slap); err != nil {
				t.Fatal(err)
			}
			names, err := s.Import(t.Context(), store(t, certify(t, folder), t.TempDir()))
			if err != nil || !slices.Equal(names, []string{"slap"}) {
				t.Errorf("imported %v, %v", names, err)
			}
			m.wantSigning(s, "slap")
		})
	}
}

// What is refused leaves its request waiting, and does not keep others out.
func TestImportRefused(t *testing.T) {
	m, folder := newMachine(t), t.TempDir()
	s := m.start()
	manifest, err := s.WriteRequests(t.Context(), folder, slap, Device{"iris", serial})
	if err != nil {
		t.Fatal(err)
	}
	good := certify(t, folder)
	csr := manifest.Requests[0].read(t, folder)
	bad := pki().device.editing(func(c *x509.Certificate) { c.Subject.Organization[0] = "Emca" }).leaf(csr.Subject, csr.PublicKey)
	authority := pki().device.editing(func(c *x509.Certificate) { c.IsCA = true }).leaf(csr.Subject, csr.PublicKey)
	foreign := pki().device.leaf(csr.Subject, testKeys()[0].Public())

	before := take(t, m.dir)
	for name, tt := range map[string]struct {
		data []byte
		want error
	}{
		"organisation":   {pemOf(bad, pki().device.cert), attest.ErrOrganisation},
		"key":            {pemOf(foreign, pki().device.cert), ErrNotRequested},
		"no authority":   {pemOf(good[0]), attest.ErrUntrusted},
		"made authority": {pemOf(authority, pki().device.cert), ErrAuthority},
		"authorities":    {pemOf(pki().device.cert), ErrNotRequested},
		"nothing":        {nil, nil},
		"garbage":        {[]byte("\x30\x03\x02\x01"), nil},
		"empty PKCS 7":   {pkcs7(t), nil},
	} {
		names, err := s.Import(t.Context(), put(t, filepath.Join(t.TempDir(), "signed"), tt.data))
		if names != nil || tt.want != nil && !errors.Is(err, tt.want) || err == nil {
			t.Errorf("%s: imported %v, %v, want %v", name, names, err, tt.want)
		}
	}
	for _, path := range []string{filepath.Join(folder, "absent"), t.TempDir()} {
		if _, err := s.Import(t.Context(), path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if !maps.Equal(before, take(t, m.dir)) {
		t.Error("something was changed")
	}
	m.wantKeys("device.iris.1", "device.slap.1")

	// Beside the good one of another.
	names, err := s.ImportCertificates(t.Context(), append(slices.Clone(good[3:]), bad, foreign))
	if !slices.Equal(names, []string{"iris"}) || !errors.Is(err, attest.ErrOrganisation) || !errors.Is(err, ErrNotRequested) {
		t.Errorf("imported %v, %v", names, err)
	}
	m.wantSigning(s, "iris")
	if names, err := s.ImportCertificates(t.Context(), good[:3]); err != nil || !slices.Equal(names, []string{"slap"}) {
		t.Errorf("the good one after the bad: %v, %v", names, err)
	}
}

// Authorities that are known need not come along.
func TestImportBareCertificates(t *testing.T) {
	m, folder := newMachine(t), t.TempDir()
	m.config = func(c *Config) {
		c.Trust.Add(attest.DomainDevice, pki().device.cert)
	}
	s := m.start()
	if _, err := s.WriteRequests(t.Context(), folder, slap, Device{"iris", serial}); err != nil {
		t.Fatal(err)
	}
	certs := slices.DeleteFunc(certify(t, folder), func(c *x509.Certificate) bool { return c.IsCA })
	if names, err := s.ImportCertificates(t.Context(), certs); err != nil || !slices.Equal(names, []string{"iris", "slap"}) {
		t.Errorf("imported %v, %v", names, err)
	}
	if id, err := s.Device("slap"); err != nil || len(id.Chain()) != 1 {
		t.Error(err)
	}
}

// A key that waits makes room for one that is in use before, for one of another
// serial number, and when it is lost.
func TestRequestReplaced(t *testing.T) {
	m, folder := newMachine(t), t.TempDir()
	s := m.start()
	write := func(d Device) {
		t.Helper()
		if _, err := s.WriteRequests(t.Context(), folder, d); err != nil {
			t.Fatal(err)
		}
	}
	write(slap)
	late := certify(t, folder)
	write(Device{"slap", "ACME000054321"})
	m.wantKeys("device.slap.1") // a number that is free again
	if names, err := s.ImportCertificates(t.Context(), late); names != nil || !errors.Is(err, ErrNotRequested) {
		t.Errorf("imported %v, %v", names, err)
	}
	m.files().lost.Store("device.slap.1", attest.ErrKeyLost)
	write(Device{"slap", "ACME000054321"})
	late = certify(t, folder)
	m.provision(s, slap)
	m.wantKeys("device.slap.1", "device.slap.2")
	if names, err := s.ImportCertificates(t.Context(), late); names != nil || !errors.Is(err, ErrNotRequested) {
		t.Errorf("imported %v, %v", names, err)
	}
	if err := s.Retire(t.Context(), "slap"); err != nil {
		t.Error(err)
	}
	m.wantKeys("device.slap.2")
	m.wantSigning(s, "slap")

	// And one that waits behind the one in use stays.
	write(slap)
	if err := s.Retire(t.Context(), "slap"); err != nil {
		t.Error(err)
	}
	s.Close()
	s = m.start()
	m.wantKeys("device.slap.2", "device.slap.3")
	m.wantSigning(s, "slap")
	if names, err := s.ImportCertificates(t.Context(), certify(t, folder)); err != nil || !slices.Equal(names, []string{"slap"}) {
		t.Errorf("imported %v, %v", names, err)
	}
}

func TestRequestNotWritten(t *testing.T) {
	m := newMachine(t)
	s := m.start()
	file := put(t, filepath.Join(t.TempDir(), "file"), nil)
	if _, err := s.WriteRequests(t.Context(), file, slap); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("%v does not name the folder", err)
	}
	if _, err := s.WriteRequests(t.Context(), t.TempDir(), slap); err != nil {
		t.Error(err)
	}
	m.wantKeys("device.slap.1")
}

// Whatever comes, certificates come out whole or not at all.
func FuzzParseCertificates(f *testing.F) {
	f.Add(pkcs7(f, pki().device.cert, pki().ftm.cert))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: pkcs7(f, pki().device.cert)}))
	f.Add(pemOf(pki().device.cert))
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		certs, err := parseCertificates(b)
		if (err == nil) != (len(certs) > 0) {
			t.Fatalf("%d certificates, %v", len(certs), err)
		}
		again, err := parseCertificates(pkcs7(t, certs...))
		if len(certs) > 0 && (err != nil || !slices.EqualFunc(certs, again, (*x509.Certificate).Equal)) {
			t.Errorf("%d certificates became %d, %v", len(certs), len(again), err)
		}
	})
}
