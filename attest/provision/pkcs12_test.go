package provision

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"sbid/attest"
)

const password = "correct horse"

// partner is whom the PKCS #12 files of the tests are for: its key was made
// elsewhere, its common name is no serial number.
var partner = pkix.Name{Organization: []string{organisation}, CommonName: "Acme devices"}

func pkcs12File(t testing.TB, encoder *pkcs12.Encoder, key any, certs ...*x509.Certificate) []byte {
	t.Helper()
	data, err := encoder.Encode(key, certs[0], certs[1:], password)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestImportPKCS12(t *testing.T) {
	key := testKeys()[0]
	leaf := pki().device.leaf(partner, key.Public())
	for name, encoder := range map[string]*pkcs12.Encoder{"modern": pkcs12.Modern2023, "legacy": pkcs12.LegacyDES, "oldest": pkcs12.LegacyRC2} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			s := m.start()
			data := pkcs12File(t, encoder, key, leaf, pki().device.cert)
			id, err := s.ImportPKCS12(t.Context(), slap, data, password)
			if err != nil {
				t.Fatal(err)
			}
			if m.wantSigning(s, "slap") != id || !id.Certificate().Equal(leaf) {
				t.Error("not the identity of the file")
			}
			if want := []Kind{KeyImported, InUse}; !slices.Equal(m.kinds(), want) {
				t.Errorf("events %v", m.kinds())
			}
			s.Close()
			s = m.start()
			m.wantSigning(s, "slap")
			if st := s.Status("slap"); st.Origin != Imported || st.Serial != serial || st.Key != "device.slap.1" {
				t.Errorf("status %+v", st)
			}
			// The next key is made where it should be.
			m.rotate(s, "slap")
			if st := s.Status("slap"); st.Origin != Made || st.Certificate.Subject.CommonName != serial {
				t.Errorf("status %+v", st)
			}
		})
	}
}

func TestImportPKCS12Refused(t *testing.T) {
	key := testKeys()[0]
	file := func(issuer *authority) []byte {
		return pkcs12File(t, pkcs12.Modern2023, key, issuer.leaf(partner, key.Public()), issuer.cert)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := file(pki().device)
	m := newMachine(t)
	s := m.provisioned()
	before := take(t, m.dir)
	for name, tt := range map[string]struct {
		device   Device
		data     []byte
		password string
		want     error
	}{
		"password":        {slap, good, "incorrect horse", ErrPassword},
		"no password":     {slap, good, "", ErrPassword},
		"cut":             {slap, good[:len(good)/2], password, nil},
		"nothing":         {slap, nil, password, nil},
		"too long":        {slap, make([]byte, maxFile+1), password, nil},
		"FTM key":         {Device{FTM, serial}, good, password, nil},
		"serial number":   {Device{"slap", "1"}, good, password, nil},
		"elliptic curve":  {slap, pkcs12File(t, pkcs12.Modern2023, ec, pki().device.leaf(partner, ec.Public())), password, attest.ErrWeakKey},
		"short key":       {slap, shortPKCS12(t), password, attest.ErrWeakKey},
		"expired":         {slap, file(pki().device.editing(func(c *x509.Certificate) { c.NotAfter = start.Add(-1e9) })), password, attest.ErrExpired},
		"organisation":    {slap, file(pki().device.editing(func(c *x509.Certificate) { c.Subject.Organization = nil })), password, attest.ErrOrganisation},
		"domain":          {slap, file(pki().ftm), password, attest.ErrUntrusted},
		"other key's":     {slap, pkcs12File(t, pkcs12.Modern2023, key, pki().device.leaf(partner, testKeys()[1].Public())), password, attest.ErrKeyMismatch},
		"without a chain": {slap, pkcs12File(t, pkcs12.Modern2023, key, pki().device.leaf(partner, key.Public())), password, attest.ErrUntrusted},
	} {
		id, err := s.ImportPKCS12(t.Context(), tt.device, tt.data, tt.password)
		if id != nil || err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "horse") {
			t.Errorf("%s: %v tells the password", name, err)
		}
	}
	if m.events != nil || !maps.Equal(before, take(t, m.dir)) {
		t.Errorf("something happened: %v", m.events)
	}
	m.wantSigning(s, "slap")

	// A key store that only makes keys.
	s.Close()
	m.config = func(c *Config) { c.Keys = struct{ attest.KeyStore }{m.keys} }
	if _, err := m.start().ImportPKCS12(t.Context(), slap, good, password); !errors.Is(err, ErrNoImport) {
		t.Error(err)
	}
}

func shortPKCS12(t testing.TB) []byte {
	key := generate(1024)
	return pkcs12File(t, pkcs12.Modern2023, key, pki().device.leaf(partner, key.Public()), pki().device.cert)
}
