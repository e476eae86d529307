//go:build unix

package provision

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"maps"
	"math/big"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"software.sslmate.com/src/go-pkcs12"

	"sbid/attest"
	"sbid/attest/tpm"
)

// A softTPM is a TPM 2.0 in a process of its own: Debian's swtpm.
type softTPM struct {
	dir     string // state and socket; the path is short, as sockets want it
	process *exec.Cmd
}

func startTPM(t testing.TB) *softTPM {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm") //nolint:usetesting // a test's own directory makes the path of the socket too long
	if err != nil {
		t.Fatal(err)
	}
	s := &softTPM{dir: dir}
	t.Cleanup(func() {
		s.stop()
		os.RemoveAll(dir)
	})
	s.start(t)
	return s
}

func (s *softTPM) socket() string { return filepath.Join(s.dir, "s") }
func (s *softTPM) device() string { return "unix:" + s.socket() }

// start starts the process, on the state of the last one.
func (s *softTPM) start(t testing.TB) {
	t.Helper()
	path, err := exec.LookPath("swtpm")
	if err != nil {
		t.Fatalf("these tests need a software TPM: install the Debian package swtpm (%v)", err)
	}
	os.Remove(s.socket())
	s.process = exec.CommandContext(context.Background(), path, "socket", "--tpm2", "--tpmstate", "dir="+s.dir,
		"--server", "type=unixio,path="+s.socket(), "--ctrl", "type=unixio,path="+s.socket()+".ctrl", "--flags", "not-need-init")
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		conn, err := net.Dial("unix", s.socket())
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("swtpm does not listen: %v", err)
		}
	}
}

// stop kills the process, as a power cut would.
func (s *softTPM) stop() {
	if s.process != nil {
		s.process.Process.Kill()
		s.process.Wait()
		s.process = nil
	}
}

// connect gives the test itself a turn at the TPM.
func (s *softTPM) connect(t testing.TB) (transport.TPM, func() error) {
	t.Helper()
	conn, err := net.Dial("unix", s.socket())
	if err != nil {
		t.Fatal(err)
	}
	return transport.FromReadWriter(conn), conn.Close
}

// clear is TPM2_Clear, what the firmware's menu does.
func (s *softTPM) clear(t testing.TB) {
	t.Helper()
	chip, done := s.connect(t)
	defer done()
	if _, err := (tpm2.Clear{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHLockout, Auth: tpm2.PasswordAuth(nil)}}).Execute(chip); err != nil {
		t.Fatal(err)
	}
}

// forget flushes what a process that was killed left loaded, as the resource
// manager of the kernel does.
func (s *softTPM) forget(t testing.TB) {
	t.Helper()
	chip, done := s.connect(t)
	defer done()
	for _, first := range []uint32{0x80000000, 0x02000000} { // transient objects, loaded sessions
		rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: 64}.Execute(chip)
		if err != nil {
			t.Fatal(err)
		}
		handles, err := rsp.CapabilityData.Data.Handles()
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range handles.Handle {
			if _, err := (tpm2.FlushContext{FlushHandle: h}).Execute(chip); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// on lets a machine keep its keys in a TPM from now on.
func (m *machine) on(s *softTPM) {
	m.t.Helper()
	store, err := tpm.Open(m.t.Context(), tpm.Config{Device: s.device(), Dir: filepath.Join(m.dir, "tpm")})
	if err != nil {
		m.t.Fatal(err)
	}
	m.keys = store
	m.t.Cleanup(func() { store.Close() })
}

// restart opens the state directory and the TPM anew.
func (m *machine) restart(s *Set, soft *softTPM) *Set {
	m.t.Helper()
	if err := errors.Join(s.Close(), m.keys.(*tpm.Store).Close()); err != nil {
		m.t.Error(err)
	}
	m.on(soft)
	return m.start()
}

// All of it on a TPM; no private key is on the disk, in whatever form, and only
// the owner may read what is.
func TestTPM(t *testing.T) {
	t.Parallel()
	m, soft := newMachine(t), startTPM(t)
	os.RemoveAll(filepath.Join(m.dir, "keys"))
	m.on(soft)
	s := m.provisioned()
	m.provision(s, Device{FTM, serial})
	m.rotate(s, "slap")
	folder := t.TempDir()
	manifest, err := s.WriteRequests(t.Context(), folder, slap, Device{FTM, serial})
	if err != nil || manifest.Unproven != "" {
		t.Fatal(manifest.Unproven, err)
	}
	for _, r := range manifest.Requests {
		wantProof(t, r, manifest.Module, r.read(t, folder))
	}
	m.wantNoPrivateKey(s)
	s = m.restart(s, soft)
	m.wantSigning(s, "slap")
	m.wantSigning(s, FTM)
	if names, err := s.ImportCertificates(t.Context(), certify(t, folder)); err != nil || !slices.Equal(names, []string{FTM, "slap"}) {
		t.Errorf("imported %v, %v", names, err)
	}
	s = m.restart(s, soft)
	m.wantSigning(s, "slap")
	m.wantSigning(s, FTM)
	m.wantKeys("device.slap.3", "ftm")

	// A key from outside.
	key := testKeys()[0]
	data := pkcs12File(t, pkcs12.Modern2023, key, pki().device.leaf(partner, key.Public()), pki().device.cert)
	if _, err := s.ImportPKCS12(t.Context(), Device{"iris", serial}, data, password); err != nil {
		t.Fatal(err)
	}
	s = m.restart(s, soft)
	m.wantSigning(s, "iris")
	if st := s.Status("iris"); st.Origin != Imported {
		t.Errorf("status %+v", st)
	}
	m.wantNoPrivateKey(s)
}

// wantProof fails unless the TPM says that it holds the key of a request.
func wantProof(t *testing.T, r Request, module *Module, csr *x509.CertificateRequest) {
	t.Helper()
	if module == nil || r.Proof == nil {
		t.Fatal("nothing is proven")
	}
	attested, err := tpm2.Unmarshal[tpm2.TPMSAttest](r.Proof.Attest)
	if err != nil {
		t.Fatal(err)
	}
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](r.Proof.Public)
	if err != nil {
		t.Fatal(err)
	}
	unique, err := public.Unique.RSA()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(attested.ExtraData.Buffer, r.SHA256) || !bytes.Equal(unique.Buffer, csr.PublicKey.(*rsa.PublicKey).N.Bytes()) {
		t.Errorf("%s: the proof is of something else", r.Name)
	}
	if _, err := x509.ParsePKIXPublicKey(module.Endorsement); err != nil || len(module.AttestationKey.Public) == 0 {
		t.Errorf("TPM %+v, %v", module, err)
	}
}

// wantNoPrivateKey searches every file of a machine.
func (m *machine) wantNoPrivateKey(s *Set) {
	m.t.Helper()
	var moduli []*big.Int
	for _, name := range s.Names() {
		if id, err := s.Device(name); err == nil {
			moduli = append(moduli, id.Certificate().PublicKey.(*rsa.PublicKey).N)
		}
	}
	for name, text := range take(m.t, m.dir) {
		if hit := privateKeyIn([]byte(text), moduli); hit != "" {
			m.t.Errorf("%s holds %s", name, hit)
		}
		info, err := os.Stat(filepath.Join(m.dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			m.t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// privateKeyIn looks for what Go reads as a private key, in PEM or DER anywhere
// in a text, and for a prime factor of a modulus.
func privateKeyIn(text []byte, moduli []*big.Int) string {
	forms := [][]byte{text}
	for rest := text; ; {
		block, after := pem.Decode(rest)
		if block == nil {
			break
		}
		forms, rest = append(forms, block.Bytes), after
	}
	for _, form := range forms {
		for i := range form {
			var inner asn1.RawValue
			if form[i] != 0x30 { // SEQUENCE
				continue
			}
			if _, err := asn1.Unmarshal(form[i:], &inner); err != nil {
				continue
			}
			_, err8 := x509.ParsePKCS8PrivateKey(inner.FullBytes)
			_, err1 := x509.ParsePKCS1PrivateKey(inner.FullBytes)
			if err8 == nil || err1 == nil {
				return "a private key"
			}
		}
		for _, modulus := range moduli {
			size := modulus.BitLen() / 16
			for i := 0; i+size <= len(form); i++ {
				n := new(big.Int).SetBytes(form[i : i+size])
				if n.BitLen() > 8*size-8 && new(big.Int).Mod(modulus, n).Sign() == 0 {
					return "a prime factor"
				}
			}
		}
	}
	return ""
}

// The search finds what it is for.
func TestPrivateKeyIn(t *testing.T) {
	m := newMachine(t)
	s := m.provisioned()
	id := m.wantSigning(s, "slap")
	moduli := []*big.Int{id.Certificate().PublicKey.(*rsa.PublicKey).N}
	files := take(t, m.dir)
	if hit := privateKeyIn([]byte(files["keys/device.slap.1.pem"]), moduli); hit != "a private key" {
		t.Errorf("in a key file: %q", hit)
	}
	if hit := privateKeyIn([]byte(files["certificates/device.slap.1.json"]), moduli); hit != "" {
		t.Errorf("in a certificate file: %s", hit)
	}
	for _, key := range testKeys() {
		if key.N.Cmp(moduli[0]) == 0 && privateKeyIn(append([]byte("before"), key.Primes[1].Bytes()...), moduli) != "a prime factor" {
			t.Error("a prime is not found")
		}
	}
}

// TPM2_Clear takes the device key, not the FTM key.
func TestTPMCleared(t *testing.T) {
	t.Parallel()
	m, soft := newMachine(t), startTPM(t)
	m.on(soft)
	s := m.provisioned()
	ftm := m.provision(s, Device{FTM, serial})
	soft.clear(t)
	s = m.restart(s, soft)
	if _, err := s.Device("slap"); !errors.Is(err, attest.ErrKeyLost) || !errors.Is(err, tpm.ErrCleared) {
		t.Error(err)
	}
	if due := s.Due("slap"); !due.Rotate {
		t.Errorf("%+v", due)
	}
	if id := m.wantSigning(s, FTM); id != nil && !id.Certificate().Equal(ftm.Certificate()) {
		t.Error("another FTM certificate")
	}
	m.rotate(s, "slap")
	s = m.restart(s, soft)
	m.wantSigning(s, "slap")
	m.wantKeys("device.slap.2", "ftm")
}

// On another board nothing is destroyed until somebody provisions it, so the
// old one can be put back.
func TestOtherTPM(t *testing.T) {
	t.Parallel()
	m, soft, other := newMachine(t), startTPM(t), startTPM(t)
	m.on(soft)
	s := m.provisioned()
	m.provision(s, Device{FTM, serial})
	before := take(t, m.dir)
	s = m.restart(s, other)
	for _, name := range s.Names() {
		if _, err := s.Device(name); !errors.Is(err, tpm.ErrOtherTPM) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !maps.Equal(before, take(t, m.dir)) {
		t.Error("something was changed")
	}
	s = m.restart(s, soft)
	m.wantSigning(s, "slap")
	m.wantSigning(s, FTM)
	s = m.restart(s, other)
	for _, name := range []string{"slap", FTM} {
		m.provision(s, Device{name, serial})
	}
	s = m.restart(s, other)
	m.wantSigning(s, "slap")
	m.wantSigning(s, FTM)
}

// A TPM that goes away in the midst of a rotation leaves the old key, and works
// again when it is back.
func TestTPMStopped(t *testing.T) {
	t.Parallel()
	m, soft := newMachine(t), startTPM(t)
	m.on(soft)
	s := m.provisioned()
	before := take(t, m.dir)
	for what, issuer := range map[string]*authority{
		"before the key is made": pki().device,
		"before it is tried": pki().device.answering(func(c []*x509.Certificate) ([]*x509.Certificate, error) {
			soft.stop()
			return c, nil
		}),
	} {
		if what == "before the key is made" {
			soft.stop()
		}
		_, err := s.Rotate(t.Context(), "slap", issuer)
		if err == nil || errors.Is(err, attest.ErrKeyLost) {
			t.Errorf("%s: %v", what, err)
		}
		if after := take(t, m.dir); !maps.Equal(before, after) {
			t.Errorf("%s: left %v", what, slices.Sorted(maps.Keys(after)))
		}
		soft.start(t)
		m.wantSigning(s, "slap")
	}
	m.rotate(s, "slap")

	// Away at the start: not lost, and there again after Reload.
	soft.stop()
	s.Close()
	s = m.start()
	if _, err := s.Device("slap"); err == nil || errors.Is(err, attest.ErrKeyLost) {
		t.Error(err)
	}
	soft.start(t)
	if err := s.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	m.wantSigning(s, "slap")
}

// Whichever file is damaged, its device signs or is not in service, the other
// works, and nothing is removed.
func TestDamagedFilesOfTPM(t *testing.T) {
	t.Parallel()
	m, soft := newMachine(t), startTPM(t)
	m.on(soft)
	s := m.provisioned()
	m.provision(s, Device{FTM, serial})
	whole := take(t, m.dir)
	unusable := 0
	for _, name := range slices.Sorted(maps.Keys(whole)) {
		flipped := []byte(whole[name])
		flipped[len(flipped)/2] ^= 4
		for kind, text := range map[string]string{"cut": whole[name][:len(whole[name])/2], "flipped": string(flipped)} {
			damaged := maps.Clone(whole)
			damaged[name] = text
			damaged.write(t, m.dir)
			s = m.restart(s, soft)
			holder, other := "slap", FTM
			if strings.Contains(name, "ftm.") {
				holder, other = FTM, "slap"
			}
			m.wantSigning(s, other)
			if id, err := s.Device(holder); err == nil {
				m.signs(id, domainOf(holder))
			} else if unusable++; errors.Is(err, attest.ErrNoKey) {
				t.Errorf("%s %s: %v", name, kind, err)
			}
			if !maps.Equal(damaged, take(t, m.dir)) {
				t.Errorf("%s %s: something was changed", name, kind)
			}
		}
		whole.write(t, m.dir)
		s = m.restart(s, soft)
		m.wantSigning(s, "slap")
		m.wantSigning(s, FTM)
	}
	if files := len(whole); unusable < files { // one is not needed while the TPM keeps the key ready
		t.Errorf("%d of %d files were damaged and nobody noticed", unusable, 2*files)
	}
}

// As TestKilled, with the keys in a TPM, which goes on when the process ends.
func TestKilledOnTPM(t *testing.T) {
	t.Parallel()
	soft := startTPM(t)
	keys := writeKeys(t, filepath.Join(t.TempDir(), "keys.pem"))
	v := &survivor{dir: t.TempDir(), device: soft.device()}
	hunt := func(times int) {
		for range times {
			kill(t, v.dir, v.device, keys, rand.N(time.Second))
			soft.forget(t)
			v.check(t)
		}
	}
	hunt(2)
	// The FTM key takes its time, so the rest are killed while they rotate.
	store, done, err := victimStore(t.Context(), v.dir, v.device)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), victimConfig(v.dir, store))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{FTM, "slap"} {
		if _, err := s.Provision(t.Context(), Device{name, serial}, pki().issuer(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Close(), done()); err != nil {
		t.Fatal(err)
	}
	hunt(4)
	t.Logf("%d times there was something to tidy up, after %d rotations", v.tidied, v.slap)
}
