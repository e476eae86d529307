package developer

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sbid/attest"
)

// start is when the sets of these tests are made.
var start = time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)

const organisation = "Acme Devices"

// snapshot is the content of a state directory by relative path.
type snapshot map[string][]byte

// whole is a set with one device, made once: RSA keys take their time.
var whole = sync.OnceValue(func() snapshot {
	dir, err := os.MkdirTemp("", "developer")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	s, err := Open(dir, organisation, []string{"slap"}, start)
	if err != nil {
		panic(err)
	}
	if err := s.Close(); err != nil {
		panic(err)
	}
	return take(dir)
})

func take(dir string) snapshot {
	files := snapshot{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(rel)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		panic(err)
	}
	return files
}

// put writes the files into a new state directory.
func (files snapshot) put(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// names of all files but the lock.
func (files snapshot) names() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(files)), func(n string) bool { return n == "lock" })
}

func open(t testing.TB, dir string, names ...string) *Set {
	t.Helper()
	s, err := Open(dir, organisation, names, start)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// check signs with every identity of the set and follows the chains from the
// certificates on the disk.
func check(t testing.TB, s *Set, names ...string) {
	t.Helper()
	trust, err := attest.ReadTrust(filepath.Join(s.dir, "trust"))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(id *attest.Identity, domain attest.Domain) *attest.Verified {
		token, err := id.Sign([]byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		v, err := attest.Verify(token)
		if err != nil {
			t.Fatal(err)
		}
		for _, trust := range []*attest.Trust{trust, s.Trust()} {
			if err := trust.Check(domain, v.Leaf(), start); err != nil {
				t.Error(err)
			}
		}
		return v
	}
	for _, name := range names {
		v := sign(s.Device(name), attest.DomainDevice)
		if err := attest.CheckOrganisation(v.Leaf(), s.organisation); err != nil {
			t.Error(err)
		}
		if left := v.Leaf().NotAfter.Sub(start); left < 365*24*time.Hour {
			t.Errorf("%s: certificate lives for %v", name, left)
		}
		if err := trust.Check(attest.DomainFTM, v.Leaf(), start); !errors.Is(err, attest.ErrUntrusted) {
			t.Errorf("%s may speak for the FTM: %v", name, err)
		}
	}
	v := sign(s.FTM(), attest.DomainFTM)
	if err := trust.Check(attest.DomainDevice, v.Leaf(), start); !errors.Is(err, attest.ErrUntrusted) {
		t.Errorf("the FTM key may speak for a device: %v", err)
	}

	if err := attest.CheckEncryptionCertificate(s.Encryption(), start); err != nil {
		t.Error(err)
	}
	sealed, err := attest.Seal([]byte("record"), "2026-01-02T03:04:05Z", "1234", s.Encryption())
	if err != nil {
		t.Fatal(err)
	}
	key, err := attest.ReadKey(filepath.Join(s.dir, "trust", "encryption-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := attest.Open(sealed, "2026-01-02T03:04:05Z", "1234", key); err != nil || string(got) != "record" {
		t.Errorf("the simulator's key opens %q, %v", got, err)
	}
}

func TestFirstStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "sbisim")
	s := open(t, dir, "slap", "iris", "slap")
	check(t, s, "slap", "iris")
	if s.Device("face") != nil {
		t.Error("an identity for a device that was not asked for")
	}
	if id := s.MachineID(); len(id) != 16 || strings.ToUpper(id) != id {
		t.Errorf("machine id %q", id)
	}
	want := []string{
		"certificates/device.iris.1.pem", "certificates/device.slap.1.pem", "certificates/ftm.pem",
		"keys/device-provider.pem", "keys/device-root.pem", "keys/device.iris.1.pem", "keys/device.slap.1.pem",
		"keys/ftm-provider.pem", "keys/ftm-root.pem", "keys/ftm.pem", "machine-id",
		"trust/device-provider.pem", "trust/device-root.pem", "trust/encryption-key.pem", "trust/encryption.pem",
		"trust/ftm-provider.pem", "trust/ftm-root.pem",
	}
	if got := take(dir).names(); !slices.Equal(got, want) {
		t.Errorf("files\n%v, want\n%v", got, want)
	}
	if got := len(s.Made()); got != 8 {
		t.Errorf("made %v", s.Made())
	}
	if runtime.GOOS == "windows" {
		return
	}
	for _, name := range append(want, ".", "keys", "trust") {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		mode, secret := info.Mode().Perm(), name == "." || strings.HasPrefix(name, "keys") || strings.HasSuffix(name, "-key.pem")
		if secret && mode&0o077 != 0 || !secret && mode&0o444 != 0o444 {
			t.Errorf("%s: mode %04o", name, mode)
		}
	}
}

func TestProfiles(t *testing.T) {
	s := open(t, whole().put(t), "slap")
	read := func(name string) *x509.Certificate {
		certs, err := attest.ReadCertificates(filepath.Join(s.dir, "trust", name))
		if err != nil || len(certs) != 1 {
			t.Fatal(err)
		}
		return certs[0]
	}
	authority := x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	tests := map[string]struct {
		cert    *x509.Certificate
		subject string
		ca      bool
		pathLen int
		usage   x509.KeyUsage
		years   int
	}{
		"device root":     {read("device-root.pem"), "CN=Developer DEVICE root,O=Developer trust set", true, 1, authority, 20},
		"device provider": {read("device-provider.pem"), "CN=Developer device provider,O=Acme Devices", true, 0, authority, 20},
		"FTM root":        {read("ftm-root.pem"), "CN=Developer FTM root,O=Developer trust set", true, 1, authority, 20},
		"FTM provider":    {read("ftm-provider.pem"), "CN=Developer FTM provider,O=Developer trust set", true, 0, authority, 20},
		"FTM":             {s.FTM().Certificate(), "CN=" + s.MachineID() + ",O=Developer trust set", false, -1, x509.KeyUsageDigitalSignature, 20},
		"device":          {s.Device("slap").Certificate(), "CN=slap,O=Acme Devices", false, -1, x509.KeyUsageDigitalSignature, 2},
		"encryption":      {s.Encryption(), "CN=Developer encryption,O=Developer trust set", false, -1, x509.KeyUsageKeyEncipherment, 20},
	}
	serials := map[string]bool{}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := tt.cert
			if got := c.Subject.String(); got != tt.subject {
				t.Errorf("subject %s, want %s", got, tt.subject)
			}
			if c.IsCA != tt.ca || c.MaxPathLen != tt.pathLen || !c.BasicConstraintsValid || c.KeyUsage != tt.usage {
				t.Errorf("authority %v, path length %d, usage %b", c.IsCA, c.MaxPathLen, c.KeyUsage)
			}
			if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) != 0 {
				t.Error("has extended key usages")
			}
			if c.Version != 3 || c.SignatureAlgorithm != x509.SHA256WithRSA || c.PublicKey.(*rsa.PublicKey).N.BitLen() != 2048 {
				t.Errorf("version %d, %v", c.Version, c.SignatureAlgorithm)
			}
			if c.SerialNumber.Sign() <= 0 || c.SerialNumber.Cmp(new(big.Int).Lsh(big.NewInt(1), 127)) > 0 || serials[c.SerialNumber.String()] {
				t.Errorf("serial number %v", c.SerialNumber)
			}
			serials[c.SerialNumber.String()] = true
			if len(c.SubjectKeyId) != 20 {
				t.Errorf("subject key id %x", c.SubjectKeyId)
			}
			if !c.NotBefore.Before(start) || start.Sub(c.NotBefore) > 24*time.Hour {
				t.Errorf("valid from %v", c.NotBefore)
			}
			if years := c.NotAfter.Sub(start).Hours() / 24 / 365.25; years < float64(tt.years)-0.01 || years > float64(tt.years)+0.01 {
				t.Errorf("valid for %f years", years)
			}
		})
	}
}

func TestOpenSSLFollowsTheChains(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Log("no openssl to compare with")
		return
	}
	s := open(t, whole().put(t), "slap")
	for _, tt := range []struct{ domain, leaf string }{{"device", "device.slap.1.pem"}, {"ftm", "ftm.pem"}} {
		trust := func(name string) string { return filepath.Join(s.dir, "trust", tt.domain+name) }
		out, err := exec.Command(openssl, "verify", "-x509_strict", "-attime", "1767400000", "-CAfile", trust("-root.pem"),
			"-untrusted", trust("-provider.pem"), filepath.Join(s.dir, "certificates", tt.leaf)).CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

func TestLoadChangesNothing(t *testing.T) {
	dir := whole().put(t)
	s := open(t, dir, "slap")
	check(t, s, "slap")
	if made := s.Made(); made != nil {
		t.Errorf("made %v", made)
	}
	compare(t, whole(), take(dir))
}

// compare reports files that differ.
func compare(t *testing.T, want, got snapshot) {
	t.Helper()
	if !slices.Equal(want.names(), got.names()) {
		t.Errorf("files %v, want %v", got.names(), want.names())
	}
	for name, data := range want {
		if !bytes.Equal(got[name], data) {
			t.Errorf("%s changed", name)
		}
	}
}

func TestMoreDevicesLater(t *testing.T) {
	dir := whole().put(t)
	s := open(t, dir, "slap", "iris-double")
	check(t, s, "slap", "iris-double")
	if got := s.Made(); !slices.Equal(got, []string{filepath.FromSlash("certificates/device.iris-double.1.pem")}) {
		t.Errorf("made %v", got)
	}
	before := take(dir)
	s.Close()
	// A device that is not listed for a while keeps its key.
	open(t, dir).Close()
	s = open(t, dir, "iris-double")
	check(t, s, "iris-double")
	compare(t, before, take(dir))
}

func TestOtherOrganisation(t *testing.T) {
	dir := whole().put(t)
	old := open(t, dir, "slap")
	oldLeaf := old.Device("slap").Certificate()
	old.Close()

	s, err := Open(dir, "Other Devices", []string{"slap"}, start)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	check(t, s, "slap")
	leaf := s.Device("slap").Certificate()
	if attest.Organisation(leaf) != "Other Devices" || leaf.Equal(oldLeaf) {
		t.Errorf("certificate of %q", attest.Organisation(leaf))
	}
	before, after := whole(), take(dir)
	for _, same := range []string{"machine-id", "trust/device-root.pem", "trust/ftm-provider.pem", "certificates/ftm.pem", "trust/encryption.pem"} {
		if !bytes.Equal(before[same], after[same]) {
			t.Errorf("%s changed", same)
		}
	}
	for _, gone := range []string{"keys/device.slap.1.pem", "certificates/device.slap.1.pem"} {
		if _, there := after[gone]; there {
			t.Errorf("%s is left", gone)
		}
	}
}

// Long before a device certificate ends, Open replaces it.
func TestRenewal(t *testing.T) {
	dir := whole().put(t)
	first := open(t, dir, "slap")
	leaf := first.Device("slap").Certificate()
	first.Close()
	for _, tt := range []struct {
		left time.Duration
		kept bool
	}{{366 * 24 * time.Hour, true}, {364 * 24 * time.Hour, false}} {
		s, err := Open(dir, organisation, []string{"slap"}, leaf.NotAfter.Add(-tt.left))
		if err != nil {
			t.Fatal(err)
		}
		if kept := s.Device("slap").Certificate().Equal(leaf); kept != tt.kept {
			t.Errorf("%v before its end the certificate was kept: %v", tt.left, kept)
		}
		s.Close()
	}
}

func TestOpenRejects(t *testing.T) {
	for name, tt := range map[string]struct {
		organisation string
		device       string
	}{
		"no organisation": {"", "slap"},
		"no name":         {organisation, ""},
		"path":            {organisation, "../slap"},
		"capitals":        {organisation, "Slap"},
		"dot":             {organisation, "slap.1"},
		"long":            {organisation, strings.Repeat("a", 41)},
	} {
		dir := t.TempDir()
		if s, err := Open(dir, tt.organisation, []string{tt.device}, start); err == nil || s != nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
		if files := take(dir); len(files) != 0 {
			t.Errorf("%s: left %v", name, files.names())
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, organisation, nil, start); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file as state directory: %v", err)
	}
}

func TestOneAtATime(t *testing.T) {
	dir := whole().put(t)
	s := open(t, dir, "slap")
	if _, err := Open(dir, organisation, nil, start); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("opened twice: %v", err)
	}
	check(t, s, "slap")
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	check(t, open(t, dir, "slap"), "slap")
}

func BenchmarkOpen(b *testing.B) {
	names := []string{"a", "b", "c", "d", "e", "f"}
	dir := whole().put(b)
	open(b, dir, names...).Close()
	for b.Loop() {
		s, err := Open(dir, organisation, names, start)
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
