package authority

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sbid/attest/internal/akcert"
)

func TestNewRefuses(t *testing.T) {
	chain, key := testCA(t)
	dir := t.TempDir()
	register := filepath.Join(dir, "register.json")
	writeRegister(t, register)
	good := Config{Register: register, Chain: chain, Key: key, WebhookSecret: testSecret}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		edit func(*Config)
		want string
	}{
		"open webhook":            {func(c *Config) { c.WebhookSecret = nil }, "webhook secret"},
		"no register":             {func(c *Config) { c.Register = filepath.Join(dir, "absent.json") }, "absent.json"},
		"no certificate":          {func(c *Config) { c.Chain = nil }, "no certificate"},
		"no key":                  {func(c *Config) { c.Key = nil }, "no key"},
		"another key":             {func(c *Config) { c.Key = p256(t) }, "another key"},
		"chain in disorder":       {func(c *Config) { c.Chain = []*x509.Certificate{chain[0], chain[0]} }, "not by"},
		"certificate of a device": {func(c *Config) { c.Chain = []*x509.Certificate{notAnAuthority(t, key)} }, "not the certificate of an authority"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good
			tt.edit(&config)
			if _, err := New(config); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v does not say %q", err, tt.want)
			}
		})
	}
}

func TestCallsThatAreNone(t *testing.T) {
	a := newAuthority(t, nil, Device{Serial: deviceA, EK: strings.Repeat("ab", 32)})
	attest := func(edit func(*akcert.AttestRequest)) []byte {
		r := akcert.AttestRequest{EK: spki(t, deviceKey())}
		edit(&r)
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, tt := range map[string]struct {
		method, path string
		body         []byte
		want         int
	}{
		"reading":                {http.MethodGet, akcert.AttestPath, nil, http.StatusMethodNotAllowed},
		"elsewhere":              {http.MethodPost, "/", nil, http.StatusNotFound},
		"no JSON":                {http.MethodPost, akcert.AttestPath, []byte("x"), http.StatusBadRequest},
		"nothing":                {http.MethodPost, akcert.SecretPath, nil, http.StatusBadRequest},
		"endless":                {http.MethodPost, akcert.AttestPath, bytes.Repeat([]byte(" "), maxAttest+1), http.StatusRequestEntityTooLarge},
		"endless secret":         {http.MethodPost, akcert.SecretPath, bytes.Repeat([]byte(" "), maxSecret+1), http.StatusRequestEntityTooLarge},
		"endless webhook":        {http.MethodPost, WebhookPath, bytes.Repeat([]byte(" "), maxWebhook+1), http.StatusRequestEntityTooLarge},
		"no endorsement key":     {http.MethodPost, akcert.AttestPath, []byte("{}"), http.StatusBadRequest},
		"elliptic endorsement":   {http.MethodPost, akcert.AttestPath, attest(func(r *akcert.AttestRequest) { r.EK = spki(t, p256(t).Public()) }), http.StatusBadRequest},
		"long endorsement key":   {http.MethodPost, akcert.AttestPath, attest(func(r *akcert.AttestRequest) { r.EK = spki(t, longKey()) }), http.StatusBadRequest},
		"hundred certificates":   {http.MethodPost, akcert.AttestPath, attest(func(r *akcert.AttestRequest) { r.EKCertificates = make([][]byte, 100) }), http.StatusBadRequest},
		"no attestation key":     {http.MethodPost, akcert.AttestPath, attest(func(*akcert.AttestRequest) {}), http.StatusBadRequest},
		"secret of no one":       {http.MethodPost, akcert.SecretPath, []byte("{}"), http.StatusForbidden},
		"webhook of no one":      {http.MethodPost, WebhookPath, []byte("{}"), http.StatusUnauthorized},
		"other type of a member": {http.MethodPost, akcert.SecretPath, []byte(`{"secret":1}`), http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			a.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, bytes.NewReader(tt.body)))
			if w.Code != tt.want {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tt.want)
			}
		})
	}
}

// notAnAuthority is a certificate of the key that must not issue others.
func notAnAuthority(t testing.TB, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "device"}, NotAfter: time.Now().Add(time.Hour)}
	return issueCertificate(t, template, template, key.Public(), key)
}
