//go:build unix

package tpm

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
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
	if names := fileNames(t, dir); len(names) > 0 {
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

// A signature of the TPM is one to others: an identity's certificate, a JWS,
// and go-jose's check of it.
func TestIdentity(t *testing.T) {
	store := openStore(t, startTPM(t), t.TempDir())
	signer := create(t, store, "device")
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{Organization: []string{"Acme"}, CommonName: "device"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := attest.NewIdentity(signer, []*x509.Certificate{cert})
	if err != nil {
		t.Fatal(err)
	}
	token, err := identity.Sign([]byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	if payload, err := jws.Verify(cert.PublicKey); err != nil || string(payload) != "payload" {
		t.Errorf("got %q, %v", payload, err)
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

// No private key is on the disk, in whatever form, and only the owner may read
// what is.
func TestFiles(t *testing.T) {
	soft, dir := startTPM(t), filepath.Join(t.TempDir(), "keys")
	store := openStore(t, soft, dir)
	device := create(t, store, "device").(*key)
	create(t, store, FTMKey)
	want := []string{"device.auth", "device.json", "device.pem", "ftm.auth", "ftm.json", "ftm.label"}
	names := fileNames(t, dir)
	if !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", info.Mode(), err)
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if hit := privateKeyIn(text, device.public); hit != "" {
			t.Errorf("%s holds %s", name, hit)
		}
	}

	if err := os.Chmod(filepath.Join(dir, "device.auth"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Signer(t.Context(), "device"); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file for all to read: %v", err)
	}
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

// The key file is one that other software loads: OpenSSL, through the provider
// of the package tpm2-openssl.
func TestOpenSSLSigns(t *testing.T) {
	soft, dir := startTPM(t), t.TempDir()
	k := create(t, openStore(t, soft, dir), "device").(*key)
	run := func(args ...string) ([]byte, error) {
		var complaint bytes.Buffer
		openssl := exec.Command("openssl", args...)
		openssl.Env = append(os.Environ(), "TPM2OPENSSL_TCTI=swtpm:path="+soft.socket(), "AUTH="+string(k.auth))
		openssl.Stderr = &complaint
		out, err := openssl.Output()
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, &complaint)
		}
		return out, err
	}
	// The provider is there only while it finds its TPM.
	if _, err := run("list", "-providers", "-provider", "tpm2"); err != nil {
		t.Skipf("OpenSSL with tpm2-openssl is not installed: %v", err)
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	signature, err := run("pkeyutl", "-provider", "tpm2", "-provider", "default", "-propquery", "?provider=tpm2",
		"-sign", "-rawin", "-digest", "sha256", "-inkey", filepath.Join(dir, "device.pem"), "-passin", "env:AUTH", "-in", text)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("text"))
	if err := rsa.VerifyPKCS1v15(k.public, crypto.SHA256, digest[:], signature); err != nil {
		t.Error(err)
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

// privateKeyIn looks for what a private key in a file would be: PEM or DER
// that Go reads as one, anywhere in it, or a prime.
func privateKeyIn(text []byte, public *rsa.PublicKey) string {
	forms := [][]byte{text}
	for rest := text; ; {
		block, after := pem.Decode(rest)
		if block == nil {
			break
		}
		forms, rest = append(forms, block.Bytes), after
	}
	for _, form := range forms {
		for i := range form {
			if form[i] != 0x30 { // SEQUENCE
				continue
			}
			var inner asn1.RawValue
			if _, err := asn1.Unmarshal(form[i:], &inner); err != nil {
				continue
			}
			if _, err := x509.ParsePKCS8PrivateKey(inner.FullBytes); err == nil {
				return "a PKCS #8 key"
			}
			if _, err := x509.ParsePKCS1PrivateKey(inner.FullBytes); err == nil {
				return "a PKCS #1 key"
			}
		}
		// A prime on its own, as TPM2B_SENSITIVE keeps it: any half-size number
		// in the bytes that divides the modulus.
		size := public.Size() / 2
		for i := 0; i+size <= len(form); i++ {
			n := new(big.Int).SetBytes(form[i : i+size])
			if n.BitLen() > 8*size-8 && new(big.Int).Mod(public.N, n).Sign() == 0 {
				return "a prime factor"
			}
		}
	}
	return ""
}

// The search finds what it is for.
func TestPrivateKeyIn(t *testing.T) {
	software, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(software)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"PKCS #8 PEM": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		"PKCS #8":     append([]byte("before"), pkcs8...),
		"PKCS #1":     x509.MarshalPKCS1PrivateKey(software),
		"prime":       append([]byte("before"), software.Primes[1].Bytes()...),
	} {
		if privateKeyIn(text, &software.PublicKey) == "" {
			t.Errorf("%s is not found", name)
		}
	}
	if hit := privateKeyIn(x509.MarshalPKCS1PublicKey(&software.PublicKey), &software.PublicKey); hit != "" {
		t.Errorf("found %s in a public key", hit)
	}
}
