package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sbid/attest"
)

// write puts the files of a snapshot where they were.
func (files snapshot) write(t testing.TB, dir string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// A device whose key is lost is not provisioned, and can be again. The others
// work.
func TestLostKeys(t *testing.T) {
	for _, name := range []string{"slap", FTM} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			s := m.provisioned()
			m.provision(s, Device{FTM, serial})
			m.provision(s, Device{"iris", serial})
			key, was := s.Status(name).Key, m.wantSigning(s, name).Certificate()
			s.Close()

			m.files().lost.Store(key, fmt.Errorf("%w: cleared, in a test", attest.ErrKeyLost))
			s = m.start()
			if _, err := s.Device(name); !errors.Is(err, attest.ErrKeyLost) || !strings.Contains(err.Error(), "cleared, in a test") {
				t.Error(err)
			}
			if !slices.Equal(m.kinds(), []Kind{Unusable}) {
				t.Errorf("events %v", m.events)
			}
			m.wantSigning(s, "iris")
			id := m.provision(s, Device{name, serial})
			if m.wantSigning(s, name) != id || string(id.Certificate().RawSubjectPublicKeyInfo) == string(was.RawSubjectPublicKeyInfo) {
				t.Error("the lost key is in use")
			}
			s.Close()
			m.wantSigning(m.start(), name)
			want := map[string][]string{
				"slap": {"device.iris.1", "device.slap.2", "ftm"},
				FTM:    {"device.iris.1", "device.slap.1", "ftm"},
			}
			m.wantKeys(want[name]...)
		})
	}
}

// A key store that is away comes back, and nothing was done about it meanwhile.
func TestKeyStoreAway(t *testing.T) {
	m := newMachine(t)
	s := m.provisioned()
	s.Close()
	away := errors.New("the key store does not answer")
	before := take(t, m.dir)
	m.files().lost.Store("device.slap.1", away)
	s = m.start()
	if _, err := s.Device("slap"); !errors.Is(err, away) || errors.Is(err, attest.ErrKeyLost) {
		t.Error(err)
	}
	if due := s.Due("slap"); due.Rotate || !due.Warn {
		t.Errorf("%+v", due)
	}
	if err := s.Reload(t.Context()); err != nil || !slices.Equal(m.kinds(), []Kind{Unusable}) {
		t.Errorf("events %v, %v, want one", m.events, err)
	}
	m.files().lost.Clear()
	if err := s.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	id := m.wantSigning(s, "slap")
	m.files().lost.Store("device.slap.1", away)
	if err := s.Reload(t.Context()); err != nil || m.wantSigning(s, "slap") != id {
		t.Error("Reload looked at what could be used", err)
	}
	s.Close()
	s = m.start()
	m.files().lost.Clear()
	if again := m.provision(s, slap); !again.Certificate().Equal(id.Certificate()) {
		t.Error("provisioned though the key had come back")
	}
	if !maps.Equal(before, take(t, m.dir)) {
		t.Error("something was changed")
	}
}

// No byte of a generation's file can be changed, and the file not be cut,
// unnoticed.
func TestDamagedRecord(t *testing.T) {
	text, err := record{
		Name: "slap", Generation: 3, Serial: serial, Organisation: ftmOrganisation, Country: "IN", Origin: Imported,
		Made: start, Requested: true, X5C: [][]byte{[]byte("one certificate"), []byte("another")}, Destroyed: true,
	}.marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseRecord(text); err != nil {
		t.Fatal(err)
	}
	for i := range text {
		altered := slices.Clone(text)
		altered[i] ^= 1 << (i % 8)
		if r, err := parseRecord(altered); err == nil {
			t.Fatalf("byte %d may be changed: %+v", i, r)
		}
	}
	for i := range text {
		if _, err := parseRecord(text[:i]); err == nil {
			t.Fatalf("may be cut to %d", i)
		}
	}
	if _, err := parseRecord(append(slices.Clone(text), '\n')); err == nil {
		t.Error("may be longer")
	}
}

// Whichever file is damaged, only its device is out of service, nothing is
// removed, the file may be put back, and a rotation helps, too.
func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	s := m.provisioned()
	m.provision(s, Device{FTM, serial})
	m.rotate(s, "slap")
	s.Close()
	m.start().Close()
	whole := take(t, m.dir)
	for _, name := range slices.Sorted(maps.Keys(whole)) {
		flipped := []byte(whole[name])
		flipped[len(flipped)/2] ^= 4
		for kind, text := range map[string]string{
			"empty": "", "cut": whole[name][:len(whole[name])/2], "flipped": string(flipped), "garbage": strings.Repeat("\xA5", 2000),
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				m := newMachine(t)
				whole.write(t, m.dir)
				damaged := maps.Clone(whole)
				damaged[name] = text
				damaged.write(t, m.dir)
				s := m.start()
				holder, other := "slap", FTM
				if strings.Contains(name, "ftm.") {
					holder, other = FTM, "slap"
				}
				m.wantSigning(s, other)
				_, err := s.Device(holder)
				switch old := strings.HasSuffix(name, "slap.1.json"); {
				case old: // it is not needed any more
					m.wantSigning(s, holder)
					return
				case strings.HasPrefix(name, "certificates") && (!errors.Is(err, ErrDamaged) || errors.Is(err, attest.ErrNoKey)),
					err == nil, !strings.Contains(err.Error(), filepath.Base(name)):
					t.Errorf("got %v", err)
				}
				if !maps.Equal(take(t, m.dir), damaged) {
					t.Error("something was changed")
				}
				s.Close()

				// Put back.
				whole.write(t, m.dir)
				s = m.start()
				m.wantSigning(s, holder)
				s.Close()
				damaged.write(t, m.dir)
				s = m.start()
				if holder == FTM && strings.HasPrefix(name, "keys") {
					return // nobody can tell that it is lost, so a person has to
				}
				m.provision(s, Device{holder, serial})
				m.wantSigning(s, holder)
				s.Close()
				m.wantSigning(m.start(), holder)
			})
		}
	}
}

// While a later generation cannot be used, the one before it is, if it is still
// there. No key is destroyed until that is settled.
func TestFallingBack(t *testing.T) {
	m := newMachine(t)
	s := m.provisioned()
	old := m.wantSigning(s, "slap")
	m.rotate(s, "slap")
	s.Close()
	path := s.path("slap", 2)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	s = m.start()
	if id := m.wantSigning(s, "slap"); id != nil && !id.Certificate().Equal(old.Certificate()) {
		t.Error("not the old certificate")
	}
	if !slices.Equal(m.kinds(), []Kind{Unusable}) || !errors.Is(m.events[0].Err, ErrDamaged) || m.events[0].Key != "device.slap.2" {
		t.Errorf("events %v", m.events)
	}
	if err := s.Retire(t.Context(), "slap"); err != nil {
		t.Error(err)
	}
	m.wantKeys("device.slap.1", "device.slap.2")
	m.rotate(s, "slap")
	if err := s.Retire(t.Context(), "slap"); err != nil {
		t.Error(err)
	}
	m.wantKeys("device.slap.3")
	m.wantSigning(s, "slap")
}

// Between any two writes of a rotation the machine may stop. The next start has
// the old key or the new one, and only that.
func TestInterrupted(t *testing.T) {
	m := newMachine(t)
	s := m.provisioned()
	before := take(t, m.dir)
	var begun, made snapshot
	if _, err := s.Rotate(t.Context(), "slap", issuerFunc(func(context.Context, attest.CertificateRequest) error {
		made = take(t, m.dir)
		begun = maps.Clone(made)
		delete(begun, filepath.Join("keys", "device.slap.2.pem"))
		return errRefused
	})); !errors.Is(err, errRefused) {
		t.Fatal(err)
	}
	m.rotate(s, "slap")
	inUse := take(t, m.dir)
	if err := s.Retire(t.Context(), "slap"); err != nil {
		t.Fatal(err)
	}
	after := take(t, m.dir)
	halfRetired := maps.Clone(inUse)
	delete(halfRetired, filepath.Join("keys", "device.slap.1.pem"))
	half := func(files snapshot, name string) snapshot {
		files = maps.Clone(files)
		files[filepath.FromSlash(name)+".tmp"] = "half"
		return files
	}
	for name, tt := range map[string]struct{ state, want snapshot }{
		"before":               {before, before},
		"being begun":          {half(before, "certificates/device.slap.2.json"), before},
		"begun":                {begun, before},
		"key made":             {made, before},
		"certificate arriving": {half(made, "certificates/device.slap.2.json"), before},
		"in use":               {inUse, after},
		"key destroyed":        {halfRetired, after},
		"after":                {after, after},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			tt.state.write(t, m.dir)
			s := m.start()
			m.wantSigning(s, "slap")
			s.Close()
			if got := take(t, m.dir); !maps.Equal(got, tt.want) {
				t.Errorf("left %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(tt.want)))
			}
		})
	}
}

// What one write returns cannot be read as anything else.
func FuzzRecord(f *testing.F) {
	m := newMachine(f)
	s := m.provisioned()
	text, err := os.ReadFile(s.path("slap", 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("{}"))
	f.Add([]byte(`{"name":"slap","x5c":["AAAA"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRecord(text)
		if err != nil {
			return
		}
		again, err := r.marshal()
		if err != nil || string(again) != string(text) {
			t.Errorf("%q is also %q, %v", text, again, err)
		}
		_, _ = r.chain()
	})
}
