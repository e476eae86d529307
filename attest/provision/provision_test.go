package provision

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sbid/attest"
	"sbid/attest/tpm"
)

func TestProvision(t *testing.T) {
	m := newMachine(t)
	s := m.start()
	if _, err := s.Device("slap"); !errors.Is(err, attest.ErrNoKey) {
		t.Errorf("before: %v", err)
	}
	id := m.provision(s, slap)
	if want := []Kind{KeyMade, InUse}; !slices.Equal(m.kinds(), want) {
		t.Errorf("events %v, want %v", m.kinds(), want)
	}
	for _, e := range m.events {
		if e.Name != "slap" || e.Key != "device.slap.1" || e.Serial != serial || !e.Time.Equal(start) {
			t.Errorf("event %+v", e)
		}
	}
	if got := m.events[1].Thumbprint; got != attest.Thumbprint(id.Certificate()) {
		t.Errorf("thumbprint %s", got)
	}
	if subject := id.Certificate().Subject.String(); subject != "CN="+serial+",O="+organisation+",C=IN" {
		t.Errorf("subject %s", subject)
	}
	if len(id.Chain()) != 2 {
		t.Errorf("chain of %d, want the provider's certificate and no root", len(id.Chain()))
	}
	ftm := m.provision(s, Device{FTM, serial})
	if m.wantSigning(s, "slap") != id || m.wantSigning(s, FTM) != ftm {
		t.Error("Device gives another identity than Provision")
	}
	if got, err := s.FTM(); err != nil || got != ftm {
		t.Errorf("FTM gives another identity, %v", err)
	}
	if got := attest.Organisation(ftm.Certificate()); got != ftmOrganisation {
		t.Errorf("FTM certificate with O %q", got)
	}

	// A second time, and after a restart, there is nothing to do.
	before := take(t, m.dir)
	if again := m.provision(s, slap); again != id {
		t.Error("provisioned again")
	}
	s.Close()
	s = m.start()
	for name, want := range map[string]*attest.Identity{"slap": id, FTM: ftm} {
		if again := m.wantSigning(s, name); again != nil && !again.Certificate().Equal(want.Certificate()) {
			t.Errorf("%s: another certificate after a restart", name)
		}
	}
	m.provision(s, slap)
	if !maps.Equal(take(t, m.dir), before) || m.events != nil {
		t.Errorf("something changed: %v", m.kinds())
	}
	m.wantKeys("device.slap.1", "ftm")
	if got := s.Names(); !slices.Equal(got, []string{FTM, "slap"}) {
		t.Errorf("names %v", got)
	}

	// Another serial number is another certificate.
	m.provision(s, Device{"slap", "ACME000099999"})
	if st := s.Status("slap"); st.Key != "device.slap.2" || st.Serial != "ACME000099999" || st.Origin != Made {
		t.Errorf("status %+v", st)
	}
}

// Package tpm keeps the key of this name where TPM2_Clear does not reach.
func TestNameOfTheFTMKey(t *testing.T) {
	if FTM != tpm.FTMKey {
		t.Errorf("%q, in a TPM %q", FTM, tpm.FTMKey)
	}
}

func TestFilesAreTheOwners(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such permissions")
	}
	m := newMachine(t)
	m.dir = filepath.Join(m.dir, "state")
	m.provisioned()
	err := filepath.WalkDir(m.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRotate(t *testing.T) {
	m := newMachine(t)
	s := m.provisioned()
	old, err := s.Device("slap")
	if err != nil {
		t.Fatal(err)
	}
	id := m.rotate(s, "slap")
	if m.wantSigning(s, "slap") != id {
		t.Error("Device gives another identity than Rotate")
	}
	was, is := old.Certificate(), id.Certificate()
	if string(is.RawSubjectPublicKeyInfo) == string(was.RawSubjectPublicKeyInfo) {
		t.Error("the key is the old one")
	}
	if string(is.RawSubject) != string(was.RawSubject) || is.NotBefore.Before(was.NotBefore) {
		t.Errorf("%v from %v replaces %v from %v", is.Subject, is.NotBefore, was.Subject, was.NotBefore)
	}
	// A capture that began before ends after: its key is there until Retire.
	m.signs(old, attest.DomainDevice)
	m.wantKeys("device.slap.1", "device.slap.2")
	if err := s.Retire(t.Context(), "slap"); err != nil {
		t.Error(err)
	}
	m.wantKeys("device.slap.2")
	if want := []Kind{KeyMade, InUse, KeyDestroyed}; !slices.Equal(m.kinds(), want) || m.events[2].Key != "device.slap.1" {
		t.Errorf("events %v, want %v", m.events, want)
	}
	m.wantSigning(s, "slap")

	// Without Retire, the next start does it, and keeps some certificates.
	for range 2 * keepOld {
		m.rotate(s, "slap")
	}
	last := m.rotate(s, "slap")
	s.Close()
	s = m.start()
	if again := m.wantSigning(s, "slap"); again != nil && !again.Certificate().Equal(last.Certificate()) {
		t.Error("another certificate after a restart")
	}
	m.wantKeys("device.slap.11")
	if files, err := s.list(); err != nil || !slices.Equal(files["slap"], []int{11, 10, 9, 8, 7}) {
		t.Errorf("generations %v, %v", files["slap"], err)
	}
}

// The FTM key stays; what is replaced is its certificate.
func TestRotateFTM(t *testing.T) {
	m := newMachine(t)
	s := m.start()
	old := m.provision(s, Device{FTM, serial})
	id := m.rotate(s, FTM)
	if id.Certificate().Equal(old.Certificate()) || string(id.Certificate().RawSubjectPublicKeyInfo) != string(old.Certificate().RawSubjectPublicKeyInfo) {
		t.Error("not a new certificate of the same key")
	}
	if err := s.Retire(t.Context(), FTM); err != nil {
		t.Error(err)
	}
	s.Close()
	s = m.start()
	m.wantSigning(s, FTM)
	m.wantKeys("ftm")

	refusing := pki().ftm.answering(refuse)
	if _, err := s.Rotate(t.Context(), FTM, refusing); err == nil {
		t.Error("rotated without a certificate")
	}
	m.wantSigning(s, FTM)
	m.wantKeys("ftm")
}

// No signature fails while keys are replaced, and none is by a key that is not
// certified.
func TestRotateWhileSigning(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	s := m.provisioned()
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				m.wantSigning(s, "slap")
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range 20 {
		m.rotate(s, "slap")
		if err := s.Retire(t.Context(), "slap"); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
	m.wantKeys("device.slap.21")
}

func TestInUse(t *testing.T) {
	m := newMachine(t)
	s := m.start()
	if _, err := m.open(); !errors.Is(err, ErrInUse) {
		t.Errorf("a second Open: %v", err)
	}
	s.Close()
	if _, err := s.Provision(t.Context(), slap, pki().device); err == nil {
		t.Error("provisioned in a directory that may be another process's by now")
	}
	if err := errors.Join(s.Retire(t.Context(), "slap"), s.Close()); err == nil {
		t.Error("Retire after Close")
	}
}

func TestNames(t *testing.T) {
	m := newMachine(t)
	s := m.start()
	for _, d := range []Device{
		{"", serial}, {"Slap", serial}, {"-slap", serial}, {"slap.1", serial}, {"../slap", serial}, {strings.Repeat("a", 41), serial},
		{"slap", ""}, {"slap", "ACME0000123"}, {"slap", "ACME 00001234"}, {"slap", strings.Repeat("A", 65)},
	} {
		if _, err := s.Provision(t.Context(), d, pki().device); err == nil {
			t.Errorf("%+v was provisioned", d)
		}
		if _, err := s.WriteRequests(t.Context(), t.TempDir(), d); err == nil {
			t.Errorf("%+v was requested", d)
		}
	}
	longest := Device{strings.Repeat("a", 40), strings.Repeat("A", 64)}
	m.provision(s, longest)
	if st := s.Status(longest.Name); !attest.ValidName(st.Key) {
		t.Errorf("%s cannot name a key", st.Key)
	}
	if _, err := s.Rotate(t.Context(), "iris", pki().device); !errors.Is(err, attest.ErrNoKey) {
		t.Errorf("rotated a device that is not there: %v", err)
	}
}

// Who looks after the machine puts keys where they belong, so keys without a
// file here are nobody's leftovers.
func TestForeignKeys(t *testing.T) {
	m := newMachine(t)
	for _, name := range []string{"device.slap.7", "device.iris.1", "audit", "ftm"} {
		if _, err := m.keys.Create(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	s := m.provisioned()
	m.wantKeys("audit", "device.iris.1", "device.slap.7", "device.slap.8", "ftm")
	if err := s.Retire(t.Context(), "slap"); err != nil {
		t.Error(err)
	}
	s.Close()
	m.start()
	m.wantKeys("audit", "device.iris.1", "device.slap.7", "device.slap.8", "ftm")
}

func TestCancelled(t *testing.T) {
	m := newMachine(t)
	s := m.provisioned()
	before := take(t, m.dir)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.Rotate(ctx, "slap", issuerFunc(func(ctx context.Context, r attest.CertificateRequest) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}))
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if after := take(t, m.dir); !maps.Equal(before, after) {
		t.Errorf("left %v", slices.Sorted(maps.Keys(after)))
	}
	if _, err := s.Rotate(ctx, "slap", pki().device); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	m.wantSigning(s, "slap")
}

func TestDue(t *testing.T) {
	const day = 24 * time.Hour
	m := newMachine(t)
	s := m.provisioned()
	m.provision(s, Device{FTM, serial})
	expires := start.Add(-time.Hour).Add(90 * day)
	type want struct {
		rotate, warn bool
		retry        time.Duration
	}
	for _, tt := range []struct {
		after       time.Duration
		device, ftm want
	}{
		{0, want{false, false, retry}, want{false, false, retry}},
		{30*day - time.Second, want{false, false, retry}, want{false, false, retry}},
		{30 * day, want{true, false, retry}, want{false, false, retry}},
		{59 * day, want{true, false, retry}, want{false, false, retry}},
		{60 * day, want{true, true, retryUrgent}, want{true, true, retryUrgent}},
		{100 * day, want{true, true, retryUrgent}, want{true, true, retryUrgent}},
	} {
		m.clock.set(start.Add(tt.after))
		for name, want := range map[string]want{"slap": tt.device, FTM: tt.ftm} {
			due := s.Due(name)
			if due.Rotate != want.rotate || due.Warn != want.warn || !due.Expires.Equal(expires) {
				t.Errorf("%s after %v: %+v", name, tt.after, due)
			}
			if due.Retry < want.retry || due.Retry > want.retry+want.retry/10 {
				t.Errorf("%s after %v: again after %v", name, tt.after, due.Retry)
			}
		}
	}
	if due := s.Due("iris"); due != (Due{Retry: retryUrgent}) {
		t.Errorf("never provisioned: %+v", due)
	}

	// A certificate of a day is not due from its first hour on.
	m.clock.set(start)
	daily := pki().device.editing(func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(day) })
	if _, err := s.Provision(t.Context(), Device{"iris", serial}, daily); err != nil {
		t.Fatal(err)
	}
	for after, rotate := range map[time.Duration]bool{0: false, 14 * time.Hour: false, 16 * time.Hour: true} {
		m.clock.set(start.Add(after))
		if due := s.Due("iris"); due.Rotate != rotate {
			t.Errorf("one of a day, after %v: %+v", after, due)
		}
	}

	// A device key that is lost is asked for again, an FTM key is not.
	s.Close()
	m.clock.set(start)
	for _, key := range []string{"device.slap.1", FTM} {
		m.files().lost.Store(key, fmt.Errorf("%w: in a test", attest.ErrKeyLost))
	}
	s = m.start()
	if _, err := s.Rotate(t.Context(), FTM, pki().ftm); !errors.Is(err, attest.ErrKeyLost) {
		t.Errorf("a rotation of the lost FTM key: %v", err)
	}
	m.wantKeys("device.iris.1", "device.slap.1", "ftm")
	if slap, ftm := s.Due("slap"), s.Due(FTM); !slap.Rotate || !slap.Warn || ftm.Rotate || !ftm.Warn {
		t.Errorf("lost: %+v, %+v", slap, ftm)
	}
}
