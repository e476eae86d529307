//go:build unix

package tpm

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"sbid/attest"
)

func TestKeysLast(t *testing.T) {
	soft, dir, ctx := startTPM(t), filepath.Join(t.TempDir(), "keys"), t.Context()
	store := openStore(t, soft, dir)
	if _, err := store.Signer(ctx, "device.slap.1"); !errors.Is(err, attest.ErrNoKey) {
		t.Errorf("a key that was never made: %v", err)
	}
	device := create(t, store, "device.slap.1")
	ftm, err := store.FTM(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"device.slap.1", FTMKey} {
		if _, err := store.Create(ctx, name); !errors.Is(err, attest.ErrKeyExists) {
			t.Errorf("%s was made twice: %v", name, err)
		}
	}
	if names, err := store.List(ctx); err != nil || !slices.Equal(names, []string{"device.slap.1", FTMKey}) {
		t.Errorf("list: %v, %v", names, err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := sign(device, "text"); !errors.Is(err, ErrClosed) {
		t.Errorf("signed with a closed store: %v", err)
	}

	// The machine is switched off and on.
	soft.stop()
	soft.start(t)
	store = openStore(t, soft, dir)
	for name, made := range map[string]crypto.Signer{"device.slap.1": device, FTMKey: ftm} {
		loaded, err := store.Signer(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if !samePublic(made, loaded) {
			t.Errorf("%s is another key after a restart", name)
		}
		mustSign(t, loaded)
		for range 2 {
			if err := store.Delete(ctx, name); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := store.Signer(ctx, name); !errors.Is(err, attest.ErrNoKey) {
			t.Errorf("deleted key %s: %v", name, err)
		}
		if err := sign(loaded, "text"); err != nil {
			t.Errorf("a signer in use does not survive the deletion of %s: %v", name, err)
		}
	}
	if names := fileNames(t, dir); !slices.Equal(names, []string{"lock"}) {
		t.Errorf("left on the disk: %v", names)
	}
	if handles, err := soft.task().persistentHandles(); err != nil || len(handles) > 0 {
		t.Errorf("left in the TPM: %#x, %v", handles, err)
	}
	soft.wantEmpty(t)
}

func TestNames(t *testing.T) {
	soft, ctx := startTPM(t), t.Context()
	store := openStore(t, soft, t.TempDir())
	for _, name := range []string{"", ".", "../x", "a/b", "A", "a ", strings.Repeat("a", 65)} {
		if _, err := store.Signer(ctx, name); err == nil || errors.Is(err, attest.ErrNoKey) {
			t.Errorf("%q names a key: %v", name, err)
		}
		if _, err := store.Create(ctx, name); err == nil {
			t.Errorf("%q was made", name)
		}
		if err := store.Delete(ctx, name); err == nil {
			t.Errorf("%q was deleted", name)
		}
	}
}

// What the TPM itself says of the keys: they are bound to it, made by it, made
// for one kind of signature, and not subject to the dictionary attack logic.
func TestAttributes(t *testing.T) {
	soft := startTPM(t)
	store := openStore(t, soft, t.TempDir())
	device := create(t, store, "device").(*key)
	ftm := create(t, store, FTMKey).(*key)
	for _, k := range []*key{device, ftm} {
		public, err := do(t.Context(), store, func(t *task) (string, error) {
			o, err := t.open(k)
			if err != nil {
				return "", err
			}
			return t.describe(o)
		})
		// fixedTPM 1, fixedParent 4, sensitiveDataOrigin 5, userWithAuth 6,
		// noDA 10, sign 18; not restricted 16, not decrypt 17.
		want := fmt.Sprintf("type 0x1, name 0xb, attributes %#x, policy of 0 bytes, scheme 0x14 with 0xb, symmetric 0x10, 2048 bits",
			1<<1|1<<4|1<<5|1<<6|1<<10|1<<18)
		if err != nil || public != want {
			t.Errorf("%v:\ngot  %s, %v\nwant %s", k, public, err, want)
		}
	}
}

func TestSignsOneWayOnly(t *testing.T) {
	store := openStore(t, startTPM(t), t.TempDir())
	signer := create(t, store, "device")
	for name, try := range map[string]struct {
		digest int
		opts   crypto.SignerOpts
	}{
		"PSS":            {32, &rsa.PSSOptions{Hash: crypto.SHA256}},
		"SHA-384":        {48, crypto.SHA384},
		"SHA-1":          {20, crypto.SHA1},
		"no hash":        {32, crypto.Hash(0)},
		"no options":     {32, nil},
		"a short digest": {31, crypto.SHA256},
	} {
		signature, err := signer.Sign(rand.Reader, make([]byte, try.digest), try.opts)
		if signature != nil || err == nil || !strings.Contains(err.Error(), "device") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Two programs, each with its own store, use one TPM without a resource manager
// at once: three slots for four objects.
func TestTwoStores(t *testing.T) {
	soft := startTPM(t)
	var wg sync.WaitGroup
	for range 2 {
		store := openStore(t, soft, t.TempDir())
		wg.Go(func() {
			device, err := store.Create(t.Context(), "device")
			if err != nil {
				t.Error(err)
				return
			}
			ftm, err := store.FTM(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 20 {
				for _, signer := range []crypto.Signer{device, ftm} {
					if err := sign(signer, fmt.Sprint(i)); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	soft.wantEmpty(t)
}

// Two programs share a directory, and what each makes when it is first asked
// for is the other's too.
func TestTwoStoresOneDirectory(t *testing.T) {
	soft, dir := startTPM(t), t.TempDir()
	var wg sync.WaitGroup
	var keys [2]AttestationKey
	var ftms [2]crypto.Signer
	var counts [2]uint64
	for i := range keys {
		store := openStore(t, soft, dir)
		wg.Go(func() {
			var err error
			if ftms[i], err = store.FTM(t.Context()); err != nil {
				t.Error(err)
			}
			if keys[i], err = store.AttestationKey(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := store.Create(t.Context(), fmt.Sprint("device.", i)); err != nil {
				t.Error(err)
			}
			if counts[i], err = store.IncrementCounter(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if !samePublic(ftms[0], ftms[1]) || !bytes.Equal(keys[0].Public, keys[1].Public) {
		t.Error("two programs made two keys where there is one")
	}
	if certified := certifiedCount(t, openStore(t, soft, dir), "nonce"); certified != max(counts[0], counts[1]) {
		t.Errorf("counted to %v, certified %d", counts, certified)
	}
	for _, signer := range ftms {
		mustSign(t, signer)
	}
	soft.wantEmpty(t)
}

func TestNothingStaysLoaded(t *testing.T) {
	soft, ctx := startTPM(t), t.Context()
	store := openStore(t, soft, t.TempDir())
	var signers []crypto.Signer
	for _, name := range []string{"a", "b", FTMKey} {
		signers = append(signers, create(t, store, name))
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 50 {
				if err := sign(signers[(worker+i)%len(signers)], "text"); err != nil {
					t.Error(err)
				}
				if _, err := store.Signer(ctx, "absent"); !errors.Is(err, attest.ErrNoKey) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	soft.wantEmpty(t)
}

// Behind a resource manager the SRK stays loaded while the store is open, and
// when it is lost there, it is made again.
func TestManaged(t *testing.T) {
	soft := startTPM(t)
	store := openStore(t, soft, t.TempDir())
	store.chip.raw = false
	signer := create(t, store, "device")
	for range 3 {
		mustSign(t, signer)
	}
	handles, err := soft.task().handles(transientFirst, maxHandles)
	if err != nil || len(handles) != 1 || handles[0] != store.chip.srk.handle {
		t.Errorf("loaded %#x, %v, expected the SRK", handles, err)
	}
	if err := soft.task().flush(handles[0]); err != nil {
		t.Fatal(err)
	}
	mustSign(t, signer)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	soft.wantEmpty(t)
}

// A program that was killed leaves its objects in a TPM without a resource
// manager.
func TestReclaimsMemory(t *testing.T) {
	soft := startTPM(t)
	store := openStore(t, soft, t.TempDir())
	store.chip.memoryWait = 50 * time.Millisecond
	signer := create(t, store, "device")
	dead := soft.task()
	for range 3 {
		dead.srk = nil
		if _, err := dead.root(); err != nil {
			t.Fatal(err)
		}
	}
	mustSign(t, signer)
	soft.wantEmpty(t)
}

// On the bare node, which admits one program, that is sure from the beginning.
func TestBareNodeIsEmptied(t *testing.T) {
	soft := startTPM(t)
	store := openStore(t, soft, t.TempDir())
	store.chip.memoryWait, store.chip.exclusive = 0, true
	dead := soft.task()
	if _, err := dead.root(); err != nil {
		t.Fatal(err)
	}
	if _, err := do(t.Context(), store, func(t *task) (int, error) { return 0, t.hello() }); err != nil {
		t.Fatal(err)
	}
	soft.wantEmpty(t)
}

func TestDial(t *testing.T) {
	for device, want := range map[string]struct{ raw, exclusive bool }{
		"/dev/tpmrm0":     {false, false},
		"/dev/tpmrm1":     {false, false},
		"/dev/tpm0":       {true, true},
		"unix:/run/tpm":   {true, false},
		"tcp:[::1]:12345": {true, false},
	} {
		if c, err := dial(device); err != nil || c.raw != want.raw || c.exclusive != want.exclusive {
			t.Errorf("%s: %+v, %v", device, c, err)
		}
	}
}

// Another process works on the same TPM and is killed again and again: what it
// leaves behind does not stop this one.
func TestOtherProcessKilled(t *testing.T) {
	const variable = "TPM_TEST_DEVICE"
	if device := os.Getenv(variable); device != "" { // this is the other process
		store, err := Open(t.Context(), Config{Device: device, Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		signer := create(t, store, "device")
		for {
			if err := sign(signer, "text"); err != nil {
				t.Fatal(err)
			}
			os.Stdout.WriteString("signed\n")
		}
	}
	soft := startTPM(t)
	store := openStore(t, soft, t.TempDir())
	store.chip.memoryWait = time.Second
	signer := create(t, store, "device")
	for range 4 {
		other := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOtherProcessKilled$")
		other.Env = append(os.Environ(), variable+"="+soft.device(), "TMPDIR="+t.TempDir())
		stdout, err := other.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(stdout)
		for i := range 5 {
			if line, err := lines.ReadString('\n'); line != "signed\n" {
				t.Errorf("the other process says %q, %v", line, err)
			}
			if err := sign(signer, fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		}
		if err := other.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := other.Wait(); err == nil {
			t.Error("the other process ended by itself")
		}
		mustSign(t, signer)
	}
}

func TestTCP(t *testing.T) {
	soft := startTPM(t)
	dir := t.TempDir()
	made := create(t, openStore(t, soft, dir), "device")
	soft.stop()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	_, port, _ := net.SplitHostPort(address)
	soft.serve(t, "type=tcp,bindaddr=127.0.0.1,port="+port, "tcp", address)
	store, err := Open(t.Context(), Config{Device: "tcp:" + address, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	signer, err := store.Signer(t.Context(), "device")
	if err != nil || !samePublic(made, signer) {
		t.Fatalf("another key over TCP, or %v", err)
	}
	mustSign(t, signer)
}

// Secrets do not get into a log by way of a signer.
func TestFormat(t *testing.T) {
	k := &key{name: "device", auth: []byte("secret"), label: []byte("secret")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if text := fmt.Sprintf(verb, k); text != "TPM key device" {
			t.Errorf("%s: %s", verb, text)
		}
	}
}

// describe reads a public area field by field.
func (t *task) describe(o *object) (string, error) {
	rsp, err := tpm2.ReadPublic{ObjectHandle: o.handle}.Execute(t.tpm)
	if err != nil {
		return "", err
	}
	p, err := rsp.OutPublic.Contents()
	if err != nil {
		return "", err
	}
	parameters, err := p.Parameters.RSADetail()
	if err != nil {
		return "", err
	}
	scheme, err := parameters.Scheme.Details.RSASSA()
	if err != nil {
		return "", err
	}
	attributes := binary.BigEndian.Uint32(tpm2.Marshal(p.ObjectAttributes))
	return fmt.Sprintf("type %#x, name %#x, attributes %#x, policy of %d bytes, scheme %#x with %#x, symmetric %#x, %d bits",
		uint16(p.Type), uint16(p.NameAlg), attributes, len(p.AuthPolicy.Buffer), uint16(parameters.Scheme.Scheme), uint16(scheme.HashAlg),
		uint16(parameters.Symmetric.Algorithm), parameters.KeyBits), nil
}
