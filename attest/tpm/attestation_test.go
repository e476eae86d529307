//go:build unix

package tpm

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"sbid/attest"
	"sbid/attest/tpm/tpmtest"
)

// attested parses a statement as one who only has bytes does, and checks its
// signature by the attestation key.
func attested(t testing.TB, ak AttestationKey, attestBytes, signature []byte) tpm2.TPMSAttest {
	t.Helper()
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](ak.Public)
	if err != nil {
		t.Fatal(err)
	}
	key, err := tpm2.Pub(*public)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := tpm2.Unmarshal[tpm2.TPMTSignature](signature)
	if err != nil {
		t.Fatal(err)
	}
	rsassa, err := sig.Signature.RSASSA()
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(attestBytes)
	if err := rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), crypto.SHA256, digest[:], rsassa.Sig.Buffer); err != nil {
		t.Error(err)
	}
	a, err := tpm2.Unmarshal[tpm2.TPMSAttest](attestBytes)
	if err != nil {
		t.Fatal(err)
	}
	return *a
}

func attestationKey(t testing.TB, s *Store) AttestationKey {
	t.Helper()
	ak, err := s.AttestationKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ak
}

func TestEndorsement(t *testing.T) {
	soft := startTPM(t)
	store := openStore(t, soft, t.TempDir())
	bare, err := store.Endorsement(t.Context())
	if err != nil || len(bare.Certificates) > 0 {
		t.Fatalf("%d certificates, %v", len(bare.Certificates), err)
	}
	maker := tpmtest.NewManufacturer(t)
	certificate := maker.Endorse(t, 2, bare.Public, nil)
	soft.defineNV(t, ekCertificate, append(bytes.Clone(certificate.Raw), bytes.Repeat([]byte{0xFF}, 700)...))
	// The chain goes on from one index to the next wherever that ends.
	chain := slices.Concat(maker.Authority.Raw, maker.Root.Raw)
	soft.defineNV(t, ekChainFirst, chain[:100])
	soft.defineNV(t, ekChainFirst+1, chain[100:])

	e, err := store.Endorsement(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []*x509.Certificate{certificate, maker.Authority, maker.Root}
	if !slices.EqualFunc(e.Certificates, want, (*x509.Certificate).Equal) || !bytes.Equal(e.Public, bare.Public) {
		t.Errorf("got %d certificates, want 3 in order", len(e.Certificates))
	}
	// The same key, kept by its manufacturer.
	soft.keepEndorsementKey(t)
	soft.setAuth(t, tpm2.TPMRHEndorsement, "", "password")
	if kept, err := store.Endorsement(t.Context()); err != nil || !bytes.Equal(kept.Public, bare.Public) {
		t.Errorf("another endorsement key where it is kept, or %v", err)
	}
	soft.wantEmpty(t)
}

func TestParseCertificates(t *testing.T) {
	maker := tpmtest.NewManufacturer(t)
	for name, test := range map[string]struct {
		data []byte
		want int // certificates, -1 for an error
	}{
		"nothing":       {nil, 0},
		"zeros":         {make([]byte, 100), 0},
		"one":           {maker.Root.Raw, 1},
		"two":           {slices.Concat(maker.Root.Raw, maker.Authority.Raw), 2},
		"filled up":     {append(bytes.Clone(maker.Root.Raw), 0xFF, 0xFF), 1},
		"cut short":     {maker.Root.Raw[:200], -1},
		"too many":      {bytes.Repeat(maker.Root.Raw, maxEKCertificates+1), -1},
		"no DER":        {[]byte("text"), -1},
		"another thing": {[]byte{0x30, 0x00}, -1},
	} {
		got, err := parseCertificates(test.data)
		if (err != nil) != (test.want < 0) || test.want >= 0 && len(got) != test.want {
			t.Errorf("%s: %d certificates, %v", name, len(got), err)
		}
	}
}

func FuzzParseCertificates(f *testing.F) {
	maker := tpmtest.NewManufacturer(f)
	f.Add(slices.Concat(maker.Authority.Raw, maker.Root.Raw, []byte{0xFF}))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseCertificates(data)
		if err != nil {
			return
		}
		rest := data
		for _, c := range got {
			if !bytes.HasPrefix(rest, c.Raw) {
				t.Fatal("a certificate that is not there")
			}
			rest = rest[len(c.Raw):]
		}
		if len(bytes.Trim(rest, "\x00\xFF")) > 0 {
			t.Errorf("left out %x", rest)
		}
	})
}

func TestAttestationKey(t *testing.T) {
	soft, dir := startTPM(t), t.TempDir()
	store := openStore(t, soft, dir)
	ak := attestationKey(t, store)
	if again := attestationKey(t, store); !bytes.Equal(ak.Public, again.Public) || !bytes.Equal(ak.CreateSignature, again.CreateSignature) {
		t.Error("another key the second time")
	}
	made := attested(t, ak, ak.CreateAttestation, ak.CreateSignature)
	info, err := made.Attested.Creation()
	if err != nil {
		t.Fatal(err)
	}
	if hash := sha256.Sum256(ak.CreateData); !bytes.Equal(info.CreationHash.Buffer, hash[:]) || !bytes.Equal(info.ObjectName.Buffer, ak.Name) {
		t.Error("the account of the key's making is of another key")
	}
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](ak.Public)
	if err != nil {
		t.Fatal(err)
	}
	name, err := tpm2.ObjectName(public)
	if err != nil || !bytes.Equal(name.Buffer, ak.Name) {
		t.Errorf("named %x, %v", ak.Name, err)
	}
	if a := public.ObjectAttributes; !a.Restricted || !a.SignEncrypt || a.Decrypt || !a.FixedTPM || !a.FixedParent || !a.SensitiveDataOrigin || !a.NoDA {
		t.Errorf("attributes %+v", a)
	}
	// It is none of the keys to sign with.
	if names, err := store.List(t.Context()); err != nil || len(names) > 0 {
		t.Errorf("listed: %v, %v", names, err)
	}
	if _, err := store.Signer(t.Context(), attestationName); err == nil {
		t.Error("handed out as a signer")
	}
	if err := store.Delete(t.Context(), attestationName); err == nil {
		t.Error("deleted as a signer")
	}
	soft.wantEmpty(t)

	for name, change := range map[string]func(){
		"a restart":      func() { soft.stop(); soft.start(t) },
		"TPM2_Clear":     func() { soft.clear(t) },
		"a lost record":  func() { os.Remove(filepath.Join(dir, "_ak.json")) },
		"a lost value":   func() { os.Remove(filepath.Join(dir, "_ak.auth")) },
		"a torn record":  func() { os.Truncate(filepath.Join(dir, "_ak.json"), 100) },
		"another's file": func() { os.Remove(filepath.Join(dir, "lock")) },
	} {
		change()
		store := openStore(t, soft, dir)
		if again := attestationKey(t, store); !bytes.Equal(ak.Public, again.Public) {
			t.Errorf("another key after %s", name)
		}
		create(t, store, "device")
		if _, err := store.Certify(t.Context(), "device", nil); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
		if err := store.Delete(t.Context(), "device"); err != nil {
			t.Fatal(err)
		}
	}
	if handles, err := soft.task().persistentHandles(); err != nil || len(handles) != 1 {
		t.Errorf("persistent: %#x, %v, expected one copy", handles, err)
	}
	if err := os.Truncate(filepath.Join(dir, "_ak.label"), 3); err != nil {
		t.Fatal(err)
	}
	if fresh := attestationKey(t, openStore(t, soft, dir)); bytes.Equal(ak.Public, fresh.Public) {
		t.Error("the same key without its label")
	}
	soft.wantEmpty(t)
}

// A machine whose board was changed has another attestation key at once.
func TestAttestationKeyOnOtherTPM(t *testing.T) {
	one, other, dir := startTPM(t), startTPM(t), t.TempDir()
	first := attestationKey(t, openStore(t, one, dir))
	if second := attestationKey(t, openStore(t, other, dir)); bytes.Equal(first.Public, second.Public) {
		t.Error("two TPMs have one attestation key")
	}
	if again := attestationKey(t, openStore(t, one, dir)); !bytes.Equal(first.Public, again.Public) {
		t.Error("another key back at the first TPM")
	}
}

func TestActivate(t *testing.T) {
	soft, ctx := startTPM(t), t.Context()
	store := openStore(t, soft, t.TempDir())
	ak := attestationKey(t, store)
	encrypt := func(name []byte) (credential, secret []byte) {
		t.Helper()
		// As a server does that has the endorsement key and a name only.
		template := tpm2.RSAEKTemplate
		e, err := store.Endorsement(ctx)
		if err != nil {
			t.Fatal(err)
		}
		key, err := x509.ParsePKIXPublicKey(e.Public)
		if err != nil {
			t.Fatal(err)
		}
		template.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: key.(*rsa.PublicKey).N.Bytes()})
		encapsulation, err := tpm2.ImportEncapsulationKey(&template)
		if err != nil {
			t.Fatal(err)
		}
		credential, secret, err = tpm2.CreateCredential(rand.Reader, encapsulation, name, []byte("a secret of any 32 bytes or fewer"[:32]))
		if err != nil {
			t.Fatal(err)
		}
		return credential, secret
	}
	credential, secret := encrypt(ak.Name)
	if opened, err := store.Activate(ctx, credential, secret); err != nil || string(opened) != "a secret of any 32 bytes or fewer"[:32] {
		t.Errorf("opened %q, %v", opened, err)
	}
	otherName := bytes.Clone(ak.Name)
	otherName[10]++
	foreign, foreignSecret := encrypt(otherName)
	for name, try := range map[string][2][]byte{
		"for another key": {foreign, foreignSecret},
		"mixed up":        {credential, foreignSecret},
		"cut short":       {credential[:len(credential)-1], secret},
		"empty":           {nil, nil},
	} {
		if opened, err := store.Activate(ctx, try[0], try[1]); !errors.Is(err, ErrCredential) {
			t.Errorf("%s: opened %q, %v", name, opened, err)
		}
	}
	soft.keepEndorsementKey(t)
	if _, err := store.Activate(ctx, credential, secret); err != nil {
		t.Errorf("with the endorsement key where it is kept: %v", err)
	}
	soft.setAuth(t, tpm2.TPMRHEndorsement, "", "password")
	if _, err := store.Activate(ctx, credential, secret); !errors.Is(err, ErrHierarchyAuth) {
		t.Errorf("with a password on the hierarchy: %v", err)
	}
	soft.wantEmpty(t)
}

func TestCertify(t *testing.T) {
	soft, ctx := startTPM(t), t.Context()
	store := openStore(t, soft, t.TempDir())
	qualifying := sha256.Sum256([]byte("nonce"))
	ak := attestationKey(t, store)
	for _, name := range []string{"device", FTMKey} {
		signer := create(t, store, name)
		statement, err := store.Certify(ctx, name, qualifying[:])
		if err != nil {
			t.Fatal(err)
		}
		says := attested(t, ak, statement.Attest, statement.Signature)
		about, err := says.Attested.Certify()
		if err != nil {
			t.Fatal(err)
		}
		public, err := tpm2.Unmarshal[tpm2.TPMTPublic](statement.Public)
		if err != nil {
			t.Fatal(err)
		}
		objectName, err := tpm2.ObjectName(public)
		if err != nil || !sameName(*objectName, about.Name) || !bytes.Equal(says.ExtraData.Buffer, qualifying[:]) {
			t.Errorf("%s: certified %x with %x, %v", name, about.Name.Buffer, says.ExtraData.Buffer, err)
		}
		if key, err := tpm2.Pub(*public); err != nil || !signer.Public().(*rsa.PublicKey).Equal(key) {
			t.Errorf("%s: certified another key, %v", name, err)
		}
	}
	for name, want := range map[string]error{"absent": attest.ErrNoKey, "UPPER": nil} {
		if _, err := store.Certify(ctx, name, nil); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("certified %s: %v", name, err)
		}
	}
	if _, err := store.Certify(ctx, "device", make([]byte, 33)); err == nil {
		t.Error("certified with 33 bytes")
	}
	soft.wantEmpty(t)
}

func TestInfo(t *testing.T) {
	info, err := openStore(t, startTPM(t), t.TempDir()).Info(t.Context())
	if err != nil || info.Manufacturer != "id:49424D00" || info.Model != "SW   TPM" || len(info.Firmware) != 11 {
		t.Errorf("got %+v, %v", info, err)
	}
	for want, info := range map[string]Info{
		"IFX SLB9672, firmware 15.23": {"id:49465800", "SLB9672", "id:000F0017"},
		" , firmware 0.0":             {},
	} {
		if got := info.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
