package provision

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace runs a test again in a process that may mount, and says whether
// this is that process.
func inNamespace(t *testing.T) bool {
	const variable = "PROVISION_TEST_NAMESPACE"
	if os.Getenv(variable) == t.Name() {
		return true
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), variable+"="+t.Name(), victimKeys+"="+writeKeys(t, filepath.Join(t.TempDir(), "keys.pem")))
	again.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := again.CombinedOutput()
	if len(out) == 0 && err != nil {
		t.Skipf("a small disk cannot be mounted: this system allows no user namespaces (%v)", err)
	}
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// A disk is a small one in memory.
type disk struct{ path string }

func mount(t *testing.T) disk {
	t.Helper()
	d := disk{t.TempDir()}
	if err := unix.Mount("tmpfs", d.path, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(d.path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return d
}

// fill leaves room for some pages, which a file takes at least one of.
func (d disk) fill(t *testing.T, room int) (undo func()) {
	t.Helper()
	path := filepath.Join(d.path, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	size, err := io.Copy(f, io.LimitReader(zeros{}, 1<<20))
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	if err := errors.Join(f.Truncate(size-int64(room*os.Getpagesize())), f.Close()); err != nil {
		t.Fatal(err)
	}
	return func() { os.Remove(path) }
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// However little room there is, a rotation succeeds, or leaves all as it was.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	m, disk := newMachine(t), mount(t)
	m.dir = filepath.Join(disk.path, "state")
	m.keys = newFiles(filepath.Join(m.dir, "keys"), testKeys()[4:])
	s := m.provisioned()
	succeeded, failed := 0, 0
	for room := range 5 {
		before := take(t, m.dir)
		undo := disk.fill(t, room)
		_, err := s.Rotate(t.Context(), "slap", pki().device)
		switch {
		case err == nil:
			succeeded++
		case !errors.Is(err, syscall.ENOSPC):
			t.Errorf("room for %d: %v", room, err)
		default:
			failed++
			if !maps.Equal(before, take(t, m.dir)) {
				t.Errorf("room for %d: something was changed", room)
			}
		}
		id := m.wantSigning(s, "slap")
		s.Close()
		s = m.start() // still full
		if again := m.wantSigning(s, "slap"); !again.Certificate().Equal(id.Certificate()) {
			t.Error("another certificate after a restart")
		}
		undo()
	}
	if succeeded == 0 || failed < 2 {
		t.Errorf("%d rotations succeeded, %d failed", succeeded, failed)
	}
	m.rotate(s, "slap")

	// A device that was never provisioned.
	undo := disk.fill(t, 0)
	if _, err := s.Provision(t.Context(), Device{"iris", serial}, pki().device); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	undo()
	m.provision(s, Device{"iris", serial})
}

// On a disk that became read-only devices go on signing, and what would change
// something fails.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	m, disk := newMachine(t), mount(t)
	m.dir = filepath.Join(disk.path, "state")
	m.keys = newFiles(filepath.Join(m.dir, "keys"), testKeys()[4:])
	s := m.provisioned()
	m.rotate(s, "slap") // and the old key is left
	s.Close()
	remount := func(flags uintptr) {
		t.Helper()
		if err := unix.Mount("", disk.path, "", unix.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	before := take(t, m.dir)
	remount(unix.MS_RDONLY)
	s = m.start()
	m.wantSigning(s, "slap")
	if m.events != nil {
		t.Errorf("events %v", m.events)
	}
	_, rotated := s.Rotate(t.Context(), "slap", pki().device)
	_, provisioned := s.Provision(t.Context(), Device{"iris", serial}, pki().device)
	_, requested := s.WriteRequests(t.Context(), t.TempDir(), slap)
	for _, err := range []error{rotated, provisioned, requested, s.Retire(t.Context(), "slap")} {
		if !errors.Is(err, syscall.EROFS) {
			t.Error(err)
		}
	}
	m.wantSigning(s, "slap")
	s.Close()
	remount(0)
	if !maps.Equal(before, take(t, m.dir)) {
		t.Error("something was changed")
	}
	s = m.start()
	m.wantSigning(s, "slap")
	m.wantKeys("device.slap.2")
}
