package developer

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sbid/attest"
)

// Open writes keys in any order and then certificates in one, so these are the
// states that a first start can be stopped in. The next start completes each
// of them and keeps what is there.
func TestInterruptedFirstStart(t *testing.T) {
	files := whole()
	var keys []string
	for _, name := range files.names() {
		if strings.HasPrefix(name, "keys/") || strings.HasSuffix(name, "-key.pem") {
			keys = append(keys, name)
		}
	}
	certificates := []string{
		"trust/device-root.pem", "trust/device-provider.pem", "trust/ftm-root.pem", "trust/ftm-provider.pem",
		"certificates/ftm.pem", "trust/encryption.pem", "certificates/device.slap.1.pem",
	}
	if n := 1 + len(keys) + len(certificates); n != len(files.names()) {
		t.Fatalf("%d files are in no order, add them", len(files.names())-n)
	}
	complete := func(t *testing.T, kept []string) {
		t.Helper()
		state := snapshot{}
		for _, name := range kept {
			state[name] = files[name]
		}
		// A file that was being written has no name of its own yet.
		state["keys/ftm.pem.tmp"] = []byte("half a k")
		state["certificates/ftm.pem.tmp"] = nil
		state["trust/encryption-key.pem.tmp"] = nil
		dir := state.put(t)
		check(t, open(t, dir, "slap"), "slap")
		after := take(dir)
		if !slices.Equal(after.names(), files.names()) {
			t.Errorf("files %v, want %v", after.names(), files.names())
		}
		for _, name := range kept {
			if !bytes.Equal(after[name], files[name]) {
				t.Errorf("%s was there and changed", name)
			}
		}
	}
	for _, n := range []int{0, len(keys) / 2, len(keys) - 1} { // each missing key takes its time
		t.Run(fmt.Sprintf("%d keys", n), func(t *testing.T) {
			complete(t, append([]string{"machine-id"}, keys[len(keys)-n:]...))
		})
	}
	for n := range certificates {
		t.Run(fmt.Sprintf("%d certificates", n), func(t *testing.T) {
			complete(t, slices.Concat([]string{"machine-id"}, keys, certificates[:n]))
		})
	}
}

// Whatever file is lost, the next start has a whole set again.
func TestLostFile(t *testing.T) {
	for _, lost := range whole().names() {
		t.Run(lost, func(t *testing.T) {
			state := maps.Clone(whole())
			delete(state, lost)
			dir := state.put(t)
			s := open(t, dir, "slap")
			check(t, s, "slap")
			s.Close()
			before := take(dir)
			s = open(t, dir, "slap")
			check(t, s, "slap")
			compare(t, before, take(dir)) // and the one after that finds nothing to do
		})
	}
}

// A file that cannot be read is named, and nothing is made in its place.
func TestDamagedFile(t *testing.T) {
	files := whole()
	for _, name := range files.names() {
		for kind, data := range map[string][]byte{
			"empty":   nil,
			"cut":     files[name][:len(files[name])/2],
			"garbage": bytes.Repeat([]byte{0xA5}, 2000),
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				state := maps.Clone(files)
				state[name] = data
				dir := state.put(t)
				s, err := Open(dir, organisation, []string{"slap"}, start)
				if err == nil || s != nil || !strings.Contains(err.Error(), filepath.Join(dir, filepath.FromSlash(name))) {
					t.Errorf("%v does not name %s", err, name)
				}
				compare(t, state, take(dir))
				// The lock was given back: whoever repairs the file can go on.
				if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), files[name], 0o600); err != nil {
					t.Fatal(err)
				}
				check(t, open(t, dir, "slap"), "slap")
			})
		}
	}
}

// A rotation writes a key and a certificate, then removes a key and a
// certificate. Between any two of these steps the machine may stop.
func TestInterruptedRotation(t *testing.T) {
	before := whole()
	dir := before.put(t)
	s := open(t, dir, "slap")
	if _, err := s.Rotate("slap", start); err != nil {
		t.Fatal(err)
	}
	s.Close()
	after := take(dir)

	const key1, cert1 = "keys/device.slap.1.pem", "certificates/device.slap.1.pem"
	const key2, cert2 = "keys/device.slap.2.pem", "certificates/device.slap.2.pem"
	tests := map[string]struct {
		files []string
		want  []string
	}{
		"new key":             {[]string{key1, cert1, key2}, []string{cert1, key1}},
		"key being written":   {[]string{key1, cert1, key2 + ".tmp"}, []string{cert1, key1}},
		"cert being written":  {[]string{key1, cert1, key2, cert2 + ".tmp"}, []string{cert1, key1}},
		"new certificate":     {[]string{key1, cert1, key2, cert2}, []string{cert2, key2}},
		"old key removed":     {[]string{cert1, key2, cert2}, []string{cert2, key2}},
		"old one all removed": {[]string{key2, cert2}, []string{cert2, key2}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			state := maps.Clone(after)
			delete(state, key2)
			delete(state, cert2)
			for _, f := range tt.files {
				whole := strings.TrimSuffix(f, ".tmp")
				data := after[whole]
				if whole == key1 || whole == cert1 {
					data = before[whole]
				}
				if f != whole {
					data = data[:len(data)/2]
				}
				state[f] = data
			}
			dir := state.put(t)
			s := open(t, dir, "slap")
			check(t, s, "slap")
			if s.Made() != nil {
				t.Errorf("made %v", s.Made())
			}
			if got := ofDevices(take(dir)); !slices.Equal(got, tt.want) {
				t.Errorf("left %v, want %v", got, tt.want)
			}
		})
	}
}

// A process that is killed while it makes and rotates keys leaves a state
// directory that the next one uses.
func TestKilled(t *testing.T) {
	const variable = "DEVELOPER_TEST_STATE"
	if dir := os.Getenv(variable); dir != "" { // this is the process to be killed
		s, err := Open(dir, organisation, []string{"slap"}, start)
		for err == nil {
			_, err = s.Rotate("slap", start)
		}
		t.Fatal(err)
	}
	for _, reached := range []string{"keys/*.pem", "trust/ftm-root.pem", "keys/device.slap.2.pem", "certificates/device.slap.3.pem"} {
		t.Run(reached, func(t *testing.T) {
			dir := t.TempDir()
			victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
			victim.Env = append(os.Environ(), variable+"="+dir)
			var out bytes.Buffer
			victim.Stdout = &out
			if err := victim.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- victim.Wait() }()
			await(t, filepath.Join(dir, filepath.FromSlash(reached)), ended)
			if err := victim.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-ended
			if out.Len() > 0 {
				t.Fatalf("the other process failed: %s", &out)
			}
			s := open(t, dir, "slap")
			check(t, s, "slap")
			if got := ofDevices(take(dir)); len(got) != 2 {
				t.Errorf("left %v", got)
			}
		})
	}
}

// await returns when a file matches pattern, and fails when the process that
// should write it ends.
func await(t *testing.T, pattern string, ended <-chan error) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			t.Fatalf("the other process ended: %v", err)
		case <-tick.C:
		}
		if found, err := filepath.Glob(pattern); err != nil || len(found) > 0 {
			return
		}
	}
}

// A new key of the provider makes the old device certificates worthless, so
// they are replaced, and Made says so to whoever has to set up trust again.
func TestLostProviderKey(t *testing.T) {
	state := maps.Clone(whole())
	delete(state, "keys/device-provider.pem")
	s := open(t, state.put(t), "slap")
	want := []string{filepath.FromSlash("trust/device-provider.pem"), filepath.FromSlash("certificates/device.slap.2.pem")}
	if !slices.Equal(s.Made(), want) {
		t.Errorf("made %v, want %v", s.Made(), want)
	}
	old, err := attest.ParseCertificates(whole()["certificates/device.slap.1.pem"])
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Trust().Check(attest.DomainDevice, old[0], start); !errors.Is(err, attest.ErrUntrusted) {
		t.Errorf("a certificate of the lost key: %v", err)
	}
}
