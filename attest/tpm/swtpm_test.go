//go:build unix

package tpm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A softTPM is a TPM 2.0 in a process of its own: Debian's swtpm.
type softTPM struct {
	dir     string // state and socket; the path is short, as sockets want it
	process *exec.Cmd
	said    bytes.Buffer
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

func (s *softTPM) device() string { return "unix:" + s.socket() }
func (s *softTPM) socket() string { return filepath.Join(s.dir, "s") }

// start starts the process, on the state of the last one.
func (s *softTPM) start(t testing.TB) { s.serve(t, "type=unixio,path="+s.socket(), "unix", s.socket()) }

func (s *softTPM) serve(t testing.TB, server, network, address string) {
	t.Helper()
	path, err := exec.LookPath("swtpm")
	if err != nil {
		t.Fatalf("these tests need a software TPM: install the Debian package swtpm (%v)", err)
	}
	os.Remove(s.socket())
	s.process = exec.CommandContext(context.Background(), path, "socket", "--tpm2", "--tpmstate", "dir="+s.dir,
		"--server", server, "--ctrl", "type=unixio,path="+s.socket()+".ctrl", "--flags", "not-need-init")
	s.process.Stdout, s.process.Stderr = &s.said, &s.said
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		conn, err := net.Dial(network, address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			s.stop()
			t.Fatalf("swtpm does not listen: %v\n%s", err, &s.said)
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

func (s *softTPM) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := s.process.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// task sends commands of the test's own.
func (s *softTPM) task() *task {
	c := &chip{wire: &socket{network: "unix", address: s.socket()}, raw: true}
	return &task{chip: c, tpm: c.transport(context.Background())}
}

// clear is TPM2_Clear, what the firmware's menu does.
func (s *softTPM) clear(t *testing.T) {
	t.Helper()
	_, err := tpm2.Clear{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHLockout, Auth: tpm2.PasswordAuth(nil)}}.Execute(s.task().tpm)
	if err != nil {
		t.Fatal(err)
	}
}

// wantEmpty fails if an object or a session is loaded.
func (s *softTPM) wantEmpty(t *testing.T) {
	t.Helper()
	for _, first := range []uint32{transientFirst, sessionFirst} {
		if handles, err := s.task().handles(first, maxHandles); err != nil || len(handles) > 0 {
			t.Errorf("left in the TPM: %#x, %v", handles, err)
		}
	}
}

func openStore(t testing.TB, s *softTPM, dir string) *Store {
	t.Helper()
	store, err := Open(t.Context(), Config{Device: s.device(), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func create(t testing.TB, s *Store, name string) crypto.Signer {
	t.Helper()
	signer, err := s.Create(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// sign signs a text and verifies the signature.
func sign(signer crypto.Signer, text string) error {
	digest := sha256.Sum256([]byte(text))
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return err
	}
	return rsa.VerifyPKCS1v15(signer.Public().(*rsa.PublicKey), crypto.SHA256, digest[:], signature)
}

func mustSign(t testing.TB, signer crypto.Signer) {
	t.Helper()
	if err := sign(signer, "text"); err != nil {
		t.Error(err)
	}
}

func samePublic(a, b crypto.Signer) bool {
	return a.Public().(*rsa.PublicKey).Equal(b.Public())
}

// fileNames lists a directory.
func fileNames(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}
