//go:build unix

package provision

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sbid/attest"
	"sbid/attest/tpm"
)

// What the process that is to be killed is told.
const (
	victimDir = "PROVISION_TEST_STATE"
	victimTPM = "PROVISION_TEST_TPM" // device; if empty, keys are in files
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		fmt.Fprintln(os.Stderr, suffer(dir, os.Getenv(victimTPM)))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// suffer provisions and rotates until the process is killed.
func suffer(dir, device string) error {
	ctx := context.Background()
	keys, done, err := victimStore(ctx, dir, device)
	if err != nil {
		return err
	}
	defer done()
	pki := pki()
	fmt.Println("ready") // from here on the process may be killed
	for {
		s, err := Open(ctx, victimConfig(dir, keys))
		if err != nil {
			return err
		}
		for _, name := range []string{FTM, "slap"} {
			if _, err := s.Provision(ctx, Device{name, serial}, pki.issuer(name)); err != nil {
				return err
			}
		}
		for range 3 {
			if _, err := s.Rotate(ctx, "slap", pki.device); err != nil {
				return err
			}
		}
		if _, err := s.Rotate(ctx, FTM, pki.ftm); err != nil {
			return err
		}
		if err := errors.Join(s.Retire(ctx, "slap"), s.Close()); err != nil {
			return err
		}
	}
}

func victimStore(ctx context.Context, dir, device string) (keys attest.KeyStore, done func() error, err error) {
	if device == "" {
		return newFiles(filepath.Join(dir, "keys"), testKeys()[4:]), func() error { return nil }, nil
	}
	store, err := tpm.Open(ctx, tpm.Config{Device: device, Dir: filepath.Join(dir, "keys")})
	if err != nil {
		return nil, nil, err
	}
	return store, store.Close, nil
}

func victimConfig(dir string, keys attest.KeyStore) Config {
	return Config{
		Dir:             dir,
		Keys:            keys,
		Organisation:    organisation,
		FTMOrganisation: ftmOrganisation,
		Trust:           pki().trust(),
		Now:             func() time.Time { return start },
	}
}

// kill lets a process work on a state directory, for some time.
func kill(t *testing.T, dir, device, keys string, after time.Duration) {
	t.Helper()
	victim := exec.CommandContext(t.Context(), os.Args[0])
	victim.Env = append(os.Environ(), victimDir+"="+dir, victimTPM+"="+device, victimKeys+"="+keys)
	var complaint bytes.Buffer
	victim.Stderr = &complaint
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err == nil {
		<-time.After(after)
	}
	victim.Process.Kill()
	victim.Wait()
	if complaint.Len() > 0 {
		t.Fatalf("the other process failed: %s", &complaint)
	}
}

// A survivor is a state directory of which processes are killed.
type survivor struct {
	dir, device string
	slap, ftm   int   // generations in use, 0 before the first
	tidied      int64 // how often something was left to tidy up
}

// check opens the directory: each key is the old one or the new one, and signs,
// and what is left over has gone.
func (v *survivor) check(t *testing.T) {
	t.Helper()
	keys, done, err := victimStore(t.Context(), v.dir, v.device)
	if err != nil {
		t.Fatal(err)
	}
	before, err := keys.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), victimConfig(v.dir, keys))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for name, last := range map[string]*int{"slap": &v.slap, FTM: &v.ftm} {
		h := s.holder(name)
		if h.current == nil {
			if *last > 0 || !errors.Is(h.usable(start), attest.ErrNoKey) {
				t.Errorf("%s was in generation %d: %v", name, *last, h.usable(start))
			}
			continue
		}
		if h.passed || h.current.record.Generation < *last {
			t.Errorf("%s is in generation %d, after %d", name, h.current.record.Generation, *last)
		}
		*last = h.current.record.Generation
		want = append(want, h.current.record.key())
		token, err := h.current.identity.Sign([]byte("payload"))
		if err != nil {
			t.Error(err)
		}
		if v, err := attest.Verify(token); err != nil || pki().trust().CheckChain(domainOf(name), v.Chain, start) != nil {
			t.Errorf("signature of %s: %v", name, err)
		}
	}
	after, err := keys.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	if got := slices.DeleteFunc(slices.Clone(after), func(key string) bool { return key == FTM && v.ftm == 0 }); !slices.Equal(got, want) {
		t.Errorf("keys %v, in use are %v", got, want)
	}
	if len(before) != len(after) {
		v.tidied++
	}
	if err := errors.Join(s.Close(), done()); err != nil {
		t.Error(err)
	}
}

// A process that is killed anywhere leaves a state directory that the next one
// uses: the old key or the new one, and neither a lost nor a forgotten key.
func TestKilled(t *testing.T) {
	t.Parallel()
	keys := writeKeys(t, filepath.Join(t.TempDir(), "keys.pem"))
	const times, each = 200, 10 // and each time as many on a directory
	var tidied, rotations atomic.Int64
	t.Run("two at once", func(t *testing.T) {
		for half := range 2 {
			t.Run(strconv.Itoa(half), func(t *testing.T) {
				t.Parallel()
				for range times / each / 2 {
					v := &survivor{dir: t.TempDir()}
					for range each {
						kill(t, v.dir, "", keys, rand.N(40*time.Millisecond))
						v.check(t)
					}
					tidied.Add(v.tidied)
					rotations.Add(int64(v.slap))
				}
			})
		}
	})
	t.Logf("%d of %d times there was something to tidy up, after %d rotations", tidied.Load(), times, rotations.Load())
	if tidied.Load() == 0 || rotations.Load() == 0 {
		t.Error("the processes were not killed in the midst of it")
	}
}
