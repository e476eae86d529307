// Package tpmtest has software TPMs, and manufacturers who vouch for them, for
// the tests of other packages. No program imports it.
package tpmtest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sbid/attest/internal/akcert"
)

// Start starts a new TPM, Debian's swtpm in a process of its own, and returns
// its device for tpm.Config. It ends with the test.
func Start(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("swtpm")
	if err != nil {
		t.Fatalf("these tests need a software TPM: install the Debian package swtpm (%v)", err)
	}
	dir, err := os.MkdirTemp("", "tpm") //nolint:usetesting // a test's own directory makes the path of the socket too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	var said bytes.Buffer
	//nolint:gosec // the arguments are a test's own
	process := exec.CommandContext(context.Background(), path, "socket", "--tpm2", "--tpmstate", "dir="+dir,
		"--server", "type=unixio,path="+socket, "--ctrl", "type=unixio,path="+socket+".ctrl", "--flags", "not-need-init")
	process.Stdout, process.Stderr = &said, &said
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill() // it may have ended by itself
		_ = process.Wait()         // and was killed
	})
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		conn, err := new(net.Dialer).DialContext(t.Context(), "unix", socket)
		if err == nil {
			conn.Close()
			return "unix:" + socket
		}
		if time.Now().After(deadline) {
			t.Fatalf("swtpm does not listen: %v", err)
		}
	}
}

// A Manufacturer issues certificates for endorsement keys, from an authority
// below a root.
type Manufacturer struct {
	Root, Authority *x509.Certificate
	key             crypto.Signer // the authority's
}

// NewManufacturer returns a manufacturer that nobody trusts yet.
func NewManufacturer(t testing.TB) *Manufacturer {
	t.Helper()
	rootKey, key := newKey(t), newKey(t)
	authority := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
	}
	template := authority("Chips root")
	root := issue(t, template, template, rootKey.Public(), rootKey)
	return &Manufacturer{root, issue(t, authority("Chips authority"), root, key.Public(), rootKey), key}
}

// Names are what the manufacturer's certificates say of a TPM.
var Names = akcert.Names{Manufacturer: "id:49424D00", Model: "SW   TPM", Version: "id:20191023"}

// Endorse issues the certificate of an endorsement key, given as a
// SubjectPublicKeyInfo in DER. Edit may change it before it is signed.
func (m *Manufacturer) Endorse(t testing.TB, serial int64, ek []byte, edit func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	public, err := x509.ParsePKIXPublicKey(ek)
	if err != nil {
		t.Fatal(err)
	}
	names, err := Names.Extension(true)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:              x509.KeyUsageKeyEncipherment,
		UnknownExtKeyUsage:    []asn1.ObjectIdentifier{akcert.EKUsage},
		BasicConstraintsValid: true,
		ExtraExtensions:       []pkix.Extension{names},
	}
	if edit != nil {
		edit(template)
	}
	return issue(t, template, m.Authority, public, m.key)
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func issue(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
