package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Computed with two other implementations.
func TestEncryptVectors(t *testing.T) {
	const (
		key1    = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
		record1 = "4649520030323000101112131415161718191a1b1c1d1e1f2021222324252627"
	)
	tests := map[string]struct {
		timestamp, transactionID string
		mask, aad, nonce         string
		key, record              string
		value, bioValue          string
	}{
		"first element": {
			timestamp: "2026-01-02T03:04:05Z", transactionID: "1234567890",
			mask: "323032362d30312d30326502000e05020d080c6a",
			aad:  "2d30312d30326502000e05020d080c6a", nonce: "30326502000e05020d080c6a",
			key: key1, record: record1,
			value:    "0c7ee9593a07873ef0388056a106231c0ccff4e8363aaa04dbc26cd29e1107083179b9cf5dc143c6f67d9c2135c21eda",
			bioValue: "DH7pWToHhz7wOIBWoQYjHAzP9Og2OqoE28Js0p4RBwgxebnPXcFDxvZ9nCE1wh7a",
		},
		"second element": {
			timestamp: "2026-01-02T03:04:06Z", transactionID: "1234567890",
			mask: "323032362d30312d30326502000e05020d080f6a",
			aad:  "2d30312d30326502000e05020d080f6a", nonce: "30326502000e05020d080f6a",
			key:      "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
			record:   "464952003032300028292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f4041424344454647",
			value:    "29ad5dfe7d046dea657fa7ec9f13d71d81115170c9c4f151ca8a7e62be9b028c71a0ef69bdf3f4985f17028e677e17cc47288e86147da207",
			bioValue: "Ka1d_n0Ebeplf6fsnxPXHYERUXDJxPFRyop-Yr6bAoxxoO9pvfP0mF8XAo5nfhfMRyiOhhR9ogc",
		},
		"id longer than timestamp": {
			timestamp: "2026-01-02T03:04:05Z", transactionID: "433c4e0e-fe65-463b-a5b3-476750cfd576",
			mask: "34333363346530652d666536352d343601521f571852020004056207060a53525e05026c",
			aad:  "1852020004056207060a53525e05026c", nonce: "04056207060a53525e05026c",
			key: key1, record: record1,
			value: "1d9092ee249fccdbdb738852c9986e34576fe9a25b73e56e70c4dcf4edfad79754f0c292c38e29f4d6965a0819545197",
		},
		"toolkit": {
			timestamp: "2024-01-01T00:00:00Z", transactionID: "SBI1014-123",
			mask: "323032342d30312d30621679010a010417010269",
			aad:  "2d30312d30621679010a010417010269", nonce: "30621679010a010417010269",
			key: key1, record: record1,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := hex.EncodeToString(mask(tt.timestamp, tt.transactionID)); got != tt.mask {
				t.Errorf("mask %s, want %s", got, tt.mask)
			}
			_, nonce, aad, err := sealer(unhex(t, tt.key), tt.timestamp, tt.transactionID)
			if err != nil {
				t.Fatal(err)
			}
			if hex.EncodeToString(nonce) != tt.nonce || hex.EncodeToString(aad) != tt.aad {
				t.Errorf("nonce %x and additional data %x, want %s and %s", nonce, aad, tt.nonce, tt.aad)
			}
			value, err := encrypt(unhex(t, tt.key), unhex(t, tt.record), tt.timestamp, tt.transactionID)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(value); tt.value != "" && got != tt.value {
				t.Errorf("value %s, want %s", got, tt.value)
			}
			if got := base64.RawURLEncoding.EncodeToString(value); tt.bioValue != "" && got != tt.bioValue {
				t.Errorf("bioValue %s, want %s", got, tt.bioValue)
			}
		})
	}
}

func TestThumbprintVector(t *testing.T) {
	certs, err := ParseCertificates([]byte(vectorCertificate))
	if err != nil {
		t.Fatal(err)
	}
	if got := Thumbprint(certs[0]); got != vectorThumbprint {
		t.Errorf("got %s, want %s", got, vectorThumbprint)
	}
}

func TestMaskIsSymmetricAndLeavesItsInputs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		m := mask(a, b)
		if !bytes.Equal(m, mask(b, a)) || len(m) != max(len(a), len(b)) {
			t.Fatalf("mask of %q and %q is %x", a, b, m)
		}
		// XOR with the longer one again gives the shorter one behind zeros.
		long, short := a, b
		if len(a) < len(b) {
			long, short = b, a
		}
		back := mask(string(m), long)
		if want := append(make([]byte, len(long)-len(short)), short...); !bytes.Equal(back, want) {
			t.Fatalf("got %x, want %x", back, want)
		}
	})
}

// What is sealed for a certificate is opened by its key, with the same
// timestamp and transaction id, and by nothing else.
func TestSealOpens(t *testing.T) {
	pki := newPKI(t)
	timestamp := rapid.StringMatching(`20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z`)
	id := rapid.StringMatching(`[A-Za-z0-9-]{4,50}`)
	rapid.Check(t, func(t *rapid.T) {
		record := rapid.SliceOf(rapid.Byte()).Draw(t, "record")
		ts, tx := timestamp.Draw(t, "timestamp"), id.Draw(t, "transaction id")
		s, err := Seal(record, ts, tx, pki.device)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Value) != len(record)+16 || s.Thumbprint != Thumbprint(pki.device) || len(s.SessionKey) != 342 {
			t.Fatalf("%d bytes, thumbprint %s, session key of %d characters", len(s.Value), s.Thumbprint, len(s.SessionKey))
		}
		got, err := Open(s, ts, tx, deviceKey())
		if err != nil || !bytes.Equal(got, record) {
			t.Fatalf("got %x, %v", got, err)
		}
		altered := s
		altered.Value = bytes.Clone(s.Value)
		altered.Value[rapid.IntRange(0, len(s.Value)-1).Draw(t, "index")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := Open(altered, ts, tx, deviceKey()); err == nil {
			t.Fatal("an altered value opens")
		}
		if other := id.Draw(t, "other id"); other != tx {
			if _, err := Open(s, ts, other, deviceKey()); err == nil && !bytes.Equal(tail(mask(ts, tx)), tail(mask(ts, other))) {
				t.Fatalf("opens with transaction id %q", other)
			}
		}
	})
	s, err := Seal([]byte("record"), "2026-01-02T03:04:05Z", "1234567890", pki.device)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s, "2026-01-02T03:04:05Z", "1234567890", otherKey()); err == nil {
		t.Error("another key opens it")
	}
}

// tail is the part of a mask that counts.
func tail(m []byte) []byte { return m[len(m)-aadSize:] }

// A nonce comes again when timestamp and id do, so the key must not.
func TestSealNeverUsesAKeyTwice(t *testing.T) {
	pki := newPKI(t)
	seen := map[string]bool{}
	for range 20 {
		s, err := Seal(make([]byte, 32), "2026-01-02T03:04:05Z", "1234567890", pki.device)
		if err != nil {
			t.Fatal(err)
		}
		if seen[string(s.Value)] {
			t.Fatal("the same record sealed twice gives the same value")
		}
		seen[string(s.Value)] = true
	}
}

func TestSealWithoutUsableCertificate(t *testing.T) {
	pki := newPKI(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, cert := range map[string]*x509.Certificate{
		"none":           nil,
		"elliptic curve": certificate(t, "ec", ec.Public(), pki.provider, nil, nil),
		"short key":      certificate(t, "short", shortKey(t).Public(), pki.provider, nil, nil),
	} {
		if _, err := Seal(nil, "2026-01-02T03:04:05Z", "1234567890", cert); !errors.Is(err, ErrNoEncryptionCertificate) {
			t.Errorf("%s: seal says %v", name, err)
		}
		if err := CheckEncryptionCertificate(cert, testTime); !errors.Is(err, ErrNoEncryptionCertificate) {
			t.Errorf("%s: check says %v", name, err)
		}
	}
	if err := CheckEncryptionCertificate(pki.device, testTime); err != nil {
		t.Error(err)
	}
	for _, years := range []int{-2, 2} {
		err := CheckEncryptionCertificate(pki.device, testTime.AddDate(years, 0, 0))
		if !errors.Is(err, ErrNoEncryptionCertificate) {
			t.Errorf("%+d years: %v", years, err)
		}
		// These mean that a key of the device is out of date.
		if errors.Is(err, ErrExpired) || errors.Is(err, ErrNotYetValid) {
			t.Errorf("%+d years: %v could be taken for the device's certificate", years, err)
		}
	}
}

func TestSealRejectsShortMask(t *testing.T) {
	pki := newPKI(t)
	if _, err := Seal([]byte("x"), "123456789012345", "1", pki.device); err == nil {
		t.Error("15 bytes of mask were enough")
	}
	if _, err := Seal([]byte("x"), "", "1234567890123456", pki.device); err != nil {
		t.Error(err)
	}
}

func TestOpenRejects(t *testing.T) {
	pki := newPKI(t)
	const ts, tx = "2026-01-02T03:04:05Z", "1234567890"
	good, err := Seal([]byte("record"), ts, tx, pki.device)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &deviceKey().PublicKey, make([]byte, 16), nil)
	if err != nil {
		t.Fatal(err)
	}
	aes128 := base64.RawURLEncoding.EncodeToString(wrapped)
	for name, s := range map[string]Sealed{
		"nothing":             {},
		"session key no text": {Value: good.Value, SessionKey: "!"},
		"session key padded":  {Value: good.Value, SessionKey: good.SessionKey + "=="},
		"AES-128":             {Value: good.Value, SessionKey: aes128},
		"value without tag":   {Value: good.Value[:15], SessionKey: good.SessionKey},
	} {
		if _, err := Open(s, ts, tx, deviceKey()); err == nil {
			t.Errorf("%s: opens", name)
		}
	}
	if _, err := Open(good, "", tx, deviceKey()); err == nil {
		t.Error("opens without timestamp")
	}
}

// OpenSSL, when there is one, opens our session keys and makes some for us,
// with OAEP's hash and MGF1's both SHA-256.
func TestSessionKeyWithOpenSSL(t *testing.T) {
	openssl := findOpenSSL(t)
	if openssl == "" {
		return
	}
	pki := newPKI(t)
	const ts, tx = "2026-01-02T03:04:05Z", "1234567890"
	record := []byte("FIR\x00030\x00 and what follows")
	s, err := Seal(record, ts, tx, pki.device)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := base64.RawURLEncoding.DecodeString(s.SessionKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	oaep := []string{"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256"}
	plain := filepath.Join(dir, "plain")
	run(t, openssl, append([]string{"pkeyutl", "-decrypt", "-inkey", writeKey(t, dir, "key.pem", deviceKey()),
		"-in", writeFile(t, dir, "wrapped", wrapped), "-out", plain}, oaep...)...)
	key, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	value, err := encrypt(key, record, ts, tx)
	if err != nil || !bytes.Equal(value, s.Value) {
		t.Errorf("the key that OpenSSL found does not give the value: %v", err)
	}

	theirs := filepath.Join(dir, "theirs")
	run(t, openssl, append([]string{"pkeyutl", "-encrypt", "-certin", "-inkey", writeFile(t, dir, "cert.pem", pemOf(pki.device)),
		"-in", plain, "-out", theirs}, oaep...)...)
	if wrapped, err = os.ReadFile(theirs); err != nil {
		t.Fatal(err)
	}
	s.SessionKey = base64.RawURLEncoding.EncodeToString(wrapped)
	if got, err := Open(s, ts, tx, deviceKey()); err != nil || !bytes.Equal(got, record) {
		t.Errorf("got %q, %v", got, err)
	}
}

// Whatever a response holds, Open answers or fails in bounded memory.
func FuzzOpen(f *testing.F) {
	pki := newPKI(f)
	s, err := Seal([]byte("record"), "2026-01-02T03:04:05Z", "1234567890", pki.device)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.Value, s.SessionKey, "2026-01-02T03:04:05Z", "1234567890")
	f.Add([]byte{}, "", "", "")
	f.Fuzz(func(t *testing.T, value []byte, sessionKey, timestamp, transactionID string) {
		record, err := Open(Sealed{Value: value, SessionKey: sessionKey}, timestamp, transactionID, deviceKey())
		if err == nil && len(record) != len(value)-tagSize {
			t.Errorf("%d bytes out of %d", len(record), len(value))
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	pki := newPKI(b)
	record := make([]byte, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Seal(record, testTime.Format(time.RFC3339), "1234567890", pki.device); err != nil {
			b.Fatal(err)
		}
	}
}
