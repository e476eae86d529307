package developer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sbid/attest"
)

func TestRotate(t *testing.T) {
	dir := whole().put(t)
	s := open(t, dir, "slap")
	old := s.Device("slap")
	later := start.Add(backdate / 2)
	id, err := s.Rotate("slap", later)
	if err != nil {
		t.Fatal(err)
	}
	if s.Device("slap") != id {
		t.Error("Device gives another identity than Rotate")
	}
	check(t, s, "slap")
	was, is := old.Certificate(), id.Certificate()
	if is.Equal(was) || string(is.RawSubjectPublicKeyInfo) == string(was.RawSubjectPublicKeyInfo) {
		t.Error("the key is the old one")
	}
	if string(is.RawSubject) != string(was.RawSubject) || is.NotBefore.Before(was.NotBefore) {
		t.Errorf("%v from %v replaces %v from %v", is.Subject, is.NotBefore, was.Subject, was.NotBefore)
	}
	if err := s.Trust().Check(attest.DomainDevice, is, later.AddDate(1, 0, 0)); err != nil {
		t.Errorf("a year later: %v", err)
	}
	// A capture that began before the rotation ends after it.
	token, err := old.Sign([]byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := attest.Verify(token); err != nil || s.Trust().Check(attest.DomainDevice, v.Leaf(), later) != nil {
		t.Errorf("the old identity has stopped working: %v", err)
	}

	want := []string{"certificates/device.slap.2.pem", "keys/device.slap.2.pem"}
	if got := ofDevices(take(dir)); !slices.Equal(got, want) {
		t.Errorf("files of the device: %v, want %v", got, want)
	}
	s.Close()
	if again := open(t, dir, "slap").Device("slap"); !again.Certificate().Equal(is) {
		t.Error("the next start has another certificate")
	}
}

// ofDevices lists the files that belong to devices.
func ofDevices(files snapshot) []string {
	return slices.DeleteFunc(files.names(), func(n string) bool { return !strings.Contains(n, "/device.") })
}

// Verifiers compare the beginnings of two certificates, so a clock that was
// set back must not show.
func TestRotateWithClockSetBack(t *testing.T) {
	s := open(t, whole().put(t), "slap")
	was := s.Device("slap").Certificate()
	id, err := s.Rotate("slap", start.Add(-48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if is := id.Certificate(); is.NotBefore.Before(was.NotBefore) {
		t.Errorf("valid from %v, the old one from %v", is.NotBefore, was.NotBefore)
	}
}

func TestRotateRejects(t *testing.T) {
	s := open(t, whole().put(t), "slap")
	if _, err := s.Rotate("iris", start); err == nil {
		t.Error("rotated a device that is not there")
	}
	s.Close()
	if _, err := s.Rotate("slap", start); err == nil {
		t.Error("rotated in a directory that may be another process's by now")
	}
}

// A rotation that fails before its end leaves the old key in use, and can be
// repeated.
func TestRotateFailing(t *testing.T) {
	for _, obstacle := range []string{"keys/device.slap.2.pem.tmp", "certificates/device.slap.2.pem.tmp"} {
		t.Run(obstacle, func(t *testing.T) {
			dir := whole().put(t)
			s := open(t, dir, "slap")
			old := s.Device("slap")
			// A full folder where the file would be written makes writing fail.
			folder := filepath.Join(dir, filepath.FromSlash(obstacle))
			if err := os.MkdirAll(filepath.Join(folder, "inner"), 0o700); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Rotate("slap", start); err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(folder, ".tmp")) {
				t.Errorf("%v does not name the file", err)
			}
			if s.Device("slap") != old {
				t.Error("the old identity is not in use any more")
			}
			check(t, s, "slap")
			if err := os.RemoveAll(folder); err != nil {
				t.Fatal(err)
			}
			if id, err := s.Rotate("slap", start); err != nil || id == old {
				t.Errorf("the second try: %v", err)
			}
			check(t, s, "slap")
		})
	}
}

// When only the old files cannot be removed, the new identity counts.
func TestRotateLeavingTheOldKey(t *testing.T) {
	dir := whole().put(t)
	s := open(t, dir, "slap")
	old := s.Device("slap")
	path := filepath.Join(dir, "certificates", "device.slap.1.pem")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path, "inner"), 0o700); err != nil {
		t.Fatal(err)
	}
	id, err := s.Rotate("slap", start)
	if err == nil || id == nil || id == old || s.Device("slap") != id {
		t.Errorf("got %v, %v", id, err)
	}
	check(t, s, "slap")
}

func TestRotateWhileSigning(t *testing.T) {
	s := open(t, whole().put(t), "slap")
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				token, err := s.Device("slap").With(s.FTM().Chain()...).Sign([]byte("{}"))
				if err != nil {
					t.Error(err)
					return
				}
				v, err := attest.Verify(token)
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Trust().Check(attest.DomainDevice, v.Leaf(), start); err != nil {
					t.Error(err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	var rotations sync.WaitGroup
	for range 2 {
		rotations.Go(func() {
			if _, err := s.Rotate("slap", start); err != nil {
				t.Error(err)
			}
		})
	}
	rotations.Wait()
	close(done)
	wg.Wait()
	if got, want := ofDevices(take(s.dir)), []string{"certificates/device.slap.3.pem", "keys/device.slap.3.pem"}; !slices.Equal(got, want) {
		t.Errorf("files of the device: %v, want %v", got, want)
	}
}
