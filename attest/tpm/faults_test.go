//go:build unix

package tpm

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"sbid/attest"
	"sbid/attest/internal/statedir"
)

// wantErr fails unless err is want, and no other that it could be taken for.
func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
	for _, other := range []error{ErrNoTPM, ErrCleared, ErrOtherTPM, ErrDamaged, ErrAuth, attest.ErrNoKey} {
		if !errors.Is(want, other) && errors.Is(err, other) {
			t.Errorf("%s: %v is also %v", what, err, other)
		}
	}
}

func openKey(store *Store, name string) error {
	_, err := store.Signer(context.Background(), name)
	return err
}

func TestCleared(t *testing.T) {
	soft, dir := startTPM(t), t.TempDir()
	store := openStore(t, soft, dir)
	device, ftm := create(t, store, "device"), create(t, store, FTMKey)
	first := store
	soft.clear(t)

	wantErr(t, "a device key", openKey(store, "device"), ErrCleared)
	wantErr(t, "a device key in use", sign(device, "text"), ErrCleared)
	mustSign(t, ftm) // in use
	if k := ftm.(*key); k.persistent != 0 {
		t.Errorf("the FTM key in use is at %#x, which TPM2_Clear emptied", k.persistent)
	}
	// Now as after a restart, and once more, with the record that follows the
	// new SRK.
	for range 2 {
		store = openStore(t, soft, dir)
		again, err := store.Signer(t.Context(), FTMKey)
		if err != nil {
			t.Fatal(err)
		}
		if !samePublic(ftm, again) || again.(*key).persistent == 0 {
			t.Error("the FTM key is another, or not kept ready, after TPM2_Clear")
		}
		mustSign(t, again)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	store = openStore(t, soft, dir)
	srk, err := do(t.Context(), store, func(t *task) (*object, error) { return t.root() })
	if err != nil {
		t.Fatal(err)
	}
	if k, err := store.readKey(FTMKey); err != nil || !bytes.Equal(k.record.SRK, srk.name.Buffer) {
		t.Errorf("the record of the FTM key does not follow the SRK: %v", err)
	}
	mustSign(t, ftm)
	if k := ftm.(*key); k.store != first || k.persistent == 0 {
		t.Error("the FTM key in use does not find the copy that was made since")
	}
	if err := store.Delete(t.Context(), "device"); err != nil {
		t.Fatal(err)
	}
	if made := create(t, store, "device"); samePublic(device, made) {
		t.Error("the lost device key came back")
	}
	soft.wantEmpty(t)
}

func TestOtherTPM(t *testing.T) {
	one, other, dir := startTPM(t), startTPM(t), t.TempDir()
	store := openStore(t, one, dir)
	create(t, store, "device")
	create(t, store, FTMKey)
	store = openStore(t, other, dir)
	wantErr(t, "a device key", openKey(store, "device"), ErrOtherTPM)
	wantErr(t, "the FTM key", openKey(store, FTMKey), ErrOtherTPM)
	other.wantEmpty(t)
	store = openStore(t, one, dir)
	for _, name := range []string{"device", FTMKey} {
		if err := openKey(store, name); err != nil {
			t.Errorf("%s, back at its TPM: %v", name, err)
		}
	}
}

// Each file of a key cut short anywhere, absent, or with a bit changed
// anywhere, is told from a cleared or another TPM.
func TestDamaged(t *testing.T) {
	soft, dir := startTPM(t), t.TempDir()
	store := openStore(t, soft, dir)
	create(t, store, "device")
	create(t, store, FTMKey)
	// A persistent copy makes the label superfluous.
	if _, err := do(t.Context(), store, func(t *task) (int, error) {
		k, err := store.readKey(FTMKey)
		if err != nil {
			return 0, err
		}
		return 0, t.evict(tpm2.TPM2BName{Buffer: k.record.Key})
	}); err != nil {
		t.Fatal(err)
	}

	try := func(what, path string, damaged []byte, want ...error) {
		t.Helper()
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		name := "device"
		if filepath.Base(path)[:3] == FTMKey {
			name = FTMKey
		}
		signer, err := store.Signer(t.Context(), name)
		if err == nil {
			err = sign(signer, "text")
		}
		if !slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) }) {
			t.Errorf("%s, %s: got %v", filepath.Base(path), what, err)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"device.json", "device.pem", "device.auth", "ftm.json", "ftm.auth", "ftm.label"} {
		path := filepath.Join(dir, file)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{0, 1, len(whole) / 2, len(whole) - 2} {
			try(fmt.Sprintf("cut to %d", size), path, whole[:size], ErrDamaged)
		}
		step := max(1, len(whole)/40) // a prime's worth of places, line ends among them
		if file == "ftm.label" || file == "ftm.auth" {
			step = 8 // each makes an RSA key
		}
		for at := 0; at < len(whole); at += step {
			damaged := bytes.Clone(whole)
			damaged[at] ^= 1 << (at % 8)
			switch {
			case file == "ftm.auth":
				// The FTM key is made anew with whatever value is asked for.
				continue
			case file == "device.auth":
				try(fmt.Sprintf("bit of byte %d", at), path, damaged, ErrAuth)
			case sameKeyFile(whole, damaged) || sameRecord(whole, damaged):
			default:
				try(fmt.Sprintf("bit of byte %d", at), path, damaged, ErrDamaged)
			}
		}
	}
	for _, file := range []string{"device.pem", "device.auth", "ftm.auth", "ftm.label"} {
		path := filepath.Join(dir, file)
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "without "+file, openKey(store, file[:len(file)-len(filepath.Ext(file))]), ErrDamaged)
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"device", FTMKey} {
		if err := openKey(store, name); err != nil {
			t.Errorf("%s, restored: %v", name, err)
		}
	}
	soft.wantEmpty(t)
}

// sameKeyFile and sameRecord say whether a change is one of form only, such as
// of a line end.
func sameKeyFile(a, b []byte) bool {
	one, err := parseKeyFile(a)
	if err != nil {
		return false
	}
	two, err := parseKeyFile(b)
	return err == nil && bytes.Equal(tpm2.Marshal(one.public), tpm2.Marshal(two.public)) &&
		bytes.Equal(tpm2.Marshal(one.private), tpm2.Marshal(two.private))
}

func sameRecord(a, b []byte) bool {
	one, err := parseRecord(a)
	if err != nil {
		return false
	}
	two, err := parseRecord(b)
	return err == nil && bytes.Equal(one.sum(), two.sum())
}

func TestPowerCutWhileSigning(t *testing.T) {
	soft := startTPM(t)
	store := openStore(t, soft, t.TempDir())
	signers := []crypto.Signer{create(t, store, "device"), create(t, store, FTMKey)}
	begun := make(chan struct{}, 1000)
	failed := make(chan error, len(signers))
	var wg sync.WaitGroup
	for _, signer := range signers {
		wg.Go(func() {
			for {
				if err := sign(signer, "text"); err != nil {
					failed <- err
					return
				}
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 5 {
		<-begun
	}
	soft.stop()
	wg.Wait()
	for range signers {
		wantErr(t, "without a TPM", <-failed, ErrNoTPM)
	}
	wantErr(t, "opening without a TPM", openKey(store, "device"), ErrNoTPM)
	soft.start(t)
	for _, signer := range signers {
		mustSign(t, signer)
	}
	soft.wantEmpty(t)
}

// A TPM that does not answer keeps nobody, and is clean when it does again.
func TestTPMHangs(t *testing.T) {
	soft := startTPM(t)
	store := openStore(t, soft, t.TempDir())
	store.signLimit = 100 * time.Millisecond
	signer := create(t, store, "device")
	soft.signal(t, syscall.SIGSTOP)
	if err := sign(signer, "text"); !errors.Is(err, ErrBusy) {
		t.Errorf("signing: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := store.Signer(ctx, "device"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("opening a key: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Create(cancelled, "other"); !errors.Is(err, context.Canceled) {
		t.Errorf("making a key: %v", err)
	}
	soft.signal(t, syscall.SIGCONT)
	store.signLimit = signLimit
	mustSign(t, signer)
	soft.wantEmpty(t)
}

// Close does not wait for ever either.
func TestCloseWhileTPMHangs(t *testing.T) {
	soft := startTPM(t)
	store, err := Open(t.Context(), Config{Device: soft.device(), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	store.closeWait = 50 * time.Millisecond
	soft.signal(t, syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := store.Create(ctx, "device"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("making a key: %v", err)
	}
	for range 2 {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := store.Create(t.Context(), "device"); !errors.Is(err, ErrClosed) {
		t.Errorf("making a key in a closed store: %v", err)
	}
}

// A password on the endorsement hierarchy closes what is in there and nothing
// else.
func TestEndorsementPassword(t *testing.T) {
	soft, dir, fresh := startTPM(t), t.TempDir(), t.TempDir()
	store := openStore(t, soft, dir)
	ftm := create(t, store, FTMKey)
	attestationKey(t, store)
	soft.setAuth(t, tpm2.TPMRHEndorsement, "", "password")

	store = openStore(t, soft, dir)
	mustSign(t, create(t, store, "device"))
	mustSign(t, ftm) // it is persistent, as the attestation key is
	if _, err := store.Certify(t.Context(), FTMKey, nil); err != nil {
		t.Error(err)
	}
	if _, err := store.Endorsement(t.Context()); !errors.Is(err, ErrHierarchyAuth) {
		t.Errorf("read the endorsement key: %v", err)
	}
	if origin, err := store.Origin(FTMKey); err != nil || origin != OriginEndorsement {
		t.Errorf("the FTM key is of origin %q, %v", origin, err)
	}

	other := openStore(t, soft, fresh)
	if _, err := other.AttestationKey(t.Context()); !errors.Is(err, ErrHierarchyAuth) {
		t.Errorf("made an attestation key: %v", err)
	}
	// Where a label was restored, no other key will do.
	label, err := os.ReadFile(filepath.Join(dir, "ftm.label"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(fresh, "ftm.label"), label, 0o600); err != nil {
		t.Fatal(err)
	}
	soft.evictAll(t)
	if _, err := other.FTM(t.Context()); !errors.Is(err, ErrHierarchyAuth) {
		t.Errorf("made another FTM key: %v", err)
	}
	if err := os.Remove(filepath.Join(fresh, "ftm.label")); err != nil {
		t.Fatal(err)
	}
	child, err := other.FTM(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustSign(t, child)
	if origin, err := other.Origin(FTMKey); err != nil || origin != OriginStorage {
		t.Errorf("the FTM key is of origin %q, %v", origin, err)
	}
	other = openStore(t, soft, fresh)
	if again, err := other.FTM(t.Context()); err != nil || !samePublic(child, again) {
		t.Errorf("another FTM key, or %v", err)
	}
	if names := fileNames(t, fresh); !slices.Contains(names, "ftm.pem") || slices.Contains(names, "ftm.label") {
		t.Errorf("files: %v", names)
	}
	soft.clear(t)
	wantErr(t, "an FTM key below the SRK, after TPM2_Clear", openKey(other, FTMKey), ErrCleared)
	if err := other.Delete(t.Context(), FTMKey); err != nil {
		t.Fatal(err)
	}
	create(t, other, FTMKey)
	if origin, err := other.Origin(FTMKey); err != nil || origin != OriginEndorsement {
		t.Errorf("the new FTM key is of origin %q, %v", origin, err)
	}
	soft.wantEmpty(t)
}

// A device key made while nobody could tell which TPM that was.
func TestLostBehindPassword(t *testing.T) {
	soft := startTPM(t)
	soft.setAuth(t, tpm2.TPMRHEndorsement, "", "password")
	store := openStore(t, soft, t.TempDir())
	create(t, store, "device")
	if err := openKey(store, "device"); err != nil {
		t.Error(err)
	}
	soft.clear(t)
	wantErr(t, "a device key of an unknown TPM", openKey(store, "device"), ErrCleared)
	soft.wantEmpty(t)
}

func TestOwnerPassword(t *testing.T) {
	soft := startTPM(t)
	store := openStore(t, soft, t.TempDir())
	device := create(t, store, "device")
	soft.setAuth(t, tpm2.TPMRHOwner, "", "password")
	if err := sign(device, "text"); !errors.Is(err, ErrHierarchyAuth) {
		t.Errorf("signed: %v", err)
	}
	soft.setAuth(t, tpm2.TPMRHOwner, "password", "")
	mustSign(t, device)
	soft.wantEmpty(t)
}

// Two programs do not change the directory at once, but one may read and sign
// while another changes it.
func TestDirectoryLocked(t *testing.T) {
	soft, dir := startTPM(t), t.TempDir()
	store := openStore(t, soft, dir)
	store.lockWait = 20 * time.Millisecond
	signer := create(t, store, "device")
	lock, err := statedir.Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Create(t.Context(), "other"); !errors.Is(err, ErrLocked) {
		t.Errorf("made a key: %v", err)
	}
	if err := store.Delete(t.Context(), "device"); !errors.Is(err, ErrLocked) {
		t.Errorf("deleted a key: %v", err)
	}
	store.lockWait = lockWait
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := store.FTM(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("made the FTM key: %v", err)
	}
	mustSign(t, signer)
	if err := openKey(store, "device"); err != nil {
		t.Error(err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	create(t, store, "other")
}

func TestNoTPM(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, device := range []string{
		"unix:" + filepath.Join(dir, "absent"), "unix:" + file, "tcp:127.0.0.1:1", "tcp:nonsense",
		filepath.Join(dir, "tpmrm0"), file,
	} {
		_, err := Open(t.Context(), Config{Device: device, Dir: dir})
		wantErr(t, device, err, ErrNoTPM)
	}
	if _, err := Open(t.Context(), Config{Device: "tcp:127.0.0.1:1", Dir: file}); err == nil {
		t.Error("opened a file as a directory")
	}
}

// Open, Create and Delete may end anywhere; what they leave does no harm.
func TestInterruptedCreate(t *testing.T) {
	soft, dir := startTPM(t), t.TempDir()
	store := openStore(t, soft, dir)
	first := create(t, store, FTMKey)
	create(t, store, "device")
	for _, name := range []string{"device", FTMKey} {
		if err := os.Remove(filepath.Join(dir, name+recordSuffix)); err != nil {
			t.Fatal(err)
		}
		wantErr(t, name, openKey(store, name), attest.ErrNoKey)
	}
	if names, err := store.List(t.Context()); err != nil || len(names) > 0 {
		t.Errorf("list: %v, %v", names, err)
	}
	mustSign(t, create(t, store, "device"))
	// The label is there: it is the same key.
	again := create(t, store, FTMKey)
	if !samePublic(first, again) {
		t.Error("another FTM key in spite of its label")
	}
	mustSign(t, again)
	if handles, err := soft.task().persistentHandles(); err != nil || len(handles) != 1 {
		t.Errorf("persistent: %#x, %v, expected one copy", handles, err)
	}
}

// A copy of the label, put on a new disk, brings the FTM key back.
func TestRestoredLabel(t *testing.T) {
	soft, dir, fresh := startTPM(t), t.TempDir(), t.TempDir()
	first := create(t, openStore(t, soft, dir), FTMKey)
	label, err := os.ReadFile(filepath.Join(dir, "ftm.label"))
	if err != nil {
		t.Fatal(err)
	}
	store := openStore(t, soft, fresh)
	if err := os.WriteFile(filepath.Join(fresh, "ftm.label"), label, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := store.FTM(t.Context())
	if err != nil || !samePublic(first, again) {
		t.Fatalf("another FTM key, or %v", err)
	}
	mustSign(t, again)
}

// Where others fill the range of persistent handles, the FTM key works without
// one, and theirs stay.
func TestNoPersistentHandle(t *testing.T) {
	soft, dir := startTPM(t), t.TempDir()
	other := soft.task()
	srk, err := other.root()
	if err != nil {
		t.Fatal(err)
	}
	for handle := tpm2.TPMHandle(persistentFirst); handle < persistentFirst+persistentCount; handle++ {
		if err := other.evictControl(srk, handle); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.release(); err != nil {
		t.Fatal(err)
	}
	store := openStore(t, soft, dir)
	ftm := create(t, store, FTMKey)
	mustSign(t, ftm)
	if k := ftm.(*key); k.persistent != 0 {
		t.Errorf("kept at %#x", k.persistent)
	}
	if again, err := store.Signer(t.Context(), FTMKey); err != nil || !samePublic(ftm, again) {
		t.Errorf("another key, or %v", err)
	}
	if handles, err := soft.task().persistentHandles(); err != nil || len(handles) != persistentCount {
		t.Errorf("persistent: %d objects, %v", len(handles), err)
	}
	soft.wantEmpty(t)
}

func TestReasons(t *testing.T) {
	for _, test := range []struct{ err, want error }{
		{tpm2.TPMRCRetry, ErrBusy},
		{tpm2.TPMRCTesting, ErrBusy},
		{tpm2.TPMRCNVRate, ErrBusy},
		{tpm2.TPMRCObjectMemory, ErrMemory},
		{tpm2.TPMRCSessionHandles, ErrMemory},
		{tpm2.TPMRCLockout, ErrLockout},
		{tpm2.TPMRCFailure, ErrFailure},
		{tpm2.TPMRC(0x185), ErrDisabled}, // TPM_RC_HIERARCHY of handle 1
	} {
		err := explain(fmt.Errorf("create: %w", test.err))
		if !errors.Is(err, test.want) || !errors.Is(err, test.err) {
			t.Errorf("%v: got %v, want %v", test.err, err, test.want)
		}
	}
	if err := explain(fs.ErrExist); err.Error() != fs.ErrExist.Error() {
		t.Errorf("explained what is no answer of a TPM: %v", err)
	}
	for _, test := range []struct{ err, want error }{
		{&fs.PathError{Err: syscall.EACCES}, ErrPermission},
		{&fs.PathError{Err: syscall.EBUSY}, ErrInUse},
		{&fs.PathError{Err: syscall.ENOENT}, ErrNoTPM},
		{os.ErrDeadlineExceeded, ErrBusy},
	} {
		if err := unreachable(test.err); !errors.Is(err, test.want) {
			t.Errorf("%v: got %v, want %v", test.err, err, test.want)
		}
	}
}
