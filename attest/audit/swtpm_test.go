//go:build unix

package audit

import (
	"context"
	"crypto"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"sbid/attest/tpm"
)

// A softTPM is Debian's swtpm in a process of its own.
type softTPM struct {
	dir     string // short, as the path of a socket has to be
	process *exec.Cmd
}

func startTPM(t *testing.T) *softTPM {
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

func (s *softTPM) start(t *testing.T) {
	t.Helper()
	path, err := exec.LookPath("swtpm")
	if err != nil {
		t.Fatalf("this test needs a software TPM: install the Debian package swtpm (%v)", err)
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
	s.process.Process.Kill()
	s.process.Wait()
}

// clear is TPM2_Clear, what the firmware's menu does.
func (s *softTPM) clear(t *testing.T) {
	t.Helper()
	conn, err := net.Dial("unix", s.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = tpm2.Clear{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHLockout, Auth: tpm2.PasswordAuth(nil)}}.Execute(transport.FromReadWriter(conn))
	if err != nil {
		t.Fatal(err)
	}
}

func openStore(t *testing.T, s *softTPM, dir string) *tpm.Store {
	t.Helper()
	store, err := tpm.Open(t.Context(), tpm.Config{Device: "unix:" + s.socket(), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// known returns what one who trusts the TPM checks a log against.
func known(t *testing.T, store *tpm.Store) VerifyOptions {
	t.Helper()
	ak, err := store.AttestationKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](ak.Public)
	if err != nil {
		t.Fatal(err)
	}
	key, err := tpm2.Pub(*public)
	if err != nil {
		t.Fatal(err)
	}
	count, err := Count(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	return VerifyOptions{Keys: []crypto.PublicKey{key}, Count: count}
}

// The whole life of a log on a TPM: power cuts go unnoticed, the TPM being
// cleared and an older log put back do not.
func TestSoftwareTPM(t *testing.T) {
	soft, keys := startTPM(t), t.TempDir()
	store := openStore(t, soft, keys)
	o, messages := at(t.TempDir(), WithTPM(store))
	l := mustOpen(t, o)
	for range 2 {
		mustAppend(t, l, capture(1))
		mustCheckpoint(t, l)
	}
	old := copyDir(t, o.Dir)
	soft.stop()
	mustAppend(t, l, capture(2)) // does not wait for the TPM
	soft.start(t)
	mustCheckpoint(t, l)
	mustClose(t, l)
	report := verify(t, o.Dir, known(t, store))
	if report.Checkpoints != 3 || !report.RollbackProof || report.Tail != 0 || len(report.Gaps) != 0 || messages.Len() != 0 {
		t.Errorf("%+v, %s", report, messages)
	}

	// Who has all rights, the TPM's included, cannot have a spent count again.
	if _, err := Verify(t.Context(), old, known(t, store)); !errors.Is(err, ErrBroken) {
		t.Errorf("an older log: %v", err)
	}
	rewritten, _ := at(old, WithTPM(store))
	l = mustOpen(t, rewritten)
	mustAppend(t, l, Event{Kind: Start, Detail: "nothing happened"})
	mustCheckpoint(t, l)
	mustClose(t, l)
	if _, err := Verify(t.Context(), old, known(t, store)); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "count 4 after 2") {
		t.Errorf("a log made anew: %v", err)
	}

	// The true log shows that as well, and once cleared, the TPM goes on above.
	l = mustOpen(t, o)
	mustCheckpoint(t, l)
	soft.clear(t)
	mustCheckpoint(t, l)
	mustClose(t, l)
	report, err := Verify(t.Context(), o.Dir, known(t, store))
	if !errors.Is(err, ErrBroken) || len(report.Problems) != 2 || len(report.Gaps) != 2 {
		t.Errorf("%v, %+v", err, report)
	}
}
