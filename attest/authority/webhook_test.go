package authority

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Both are made once, because RSA keys take their time.
var (
	deviceKey = sync.OnceValue(func() *rsa.PublicKey { return rsaKey(2048) })
	longKey   = sync.OnceValue(func() *rsa.PublicKey { return rsaKey(3072) })
)

func rsaKey(bits int) *rsa.PublicKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return &key.PublicKey
}

func spki(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// question is what step-ca asks before it signs a certificate, with the members
// that it sends besides.
func question(t testing.TB, serial string) map[string]any {
	t.Helper()
	return map[string]any{
		"timestamp":       time.Now(),
		"provisionerName": "device",
		"attestationData": map[string]any{"permanentIdentifier": serial},
		"x509Certificate": map[string]any{
			"version": 3, "subject": map[string]any{"commonName": serial, "organization": "Acme"},
			"sans":      []any{map[string]any{"type": "permanentIdentifier", "value": serial}},
			"dnsNames":  nil,
			"publicKey": spki(t, deviceKey()), "publicKeyAlgorithm": "RSA", "notBefore": time.Now(), "notAfter": time.Now(),
		},
	}
}

func signed(body []byte, secret []byte) http.Header {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return http.Header{signatureHeader: {hex.EncodeToString(mac.Sum(nil))}}
}

func TestWebhook(t *testing.T) {
	enrolled := Device{Serial: deviceA, EK: strings.Repeat("ab", 32)}
	certificate := func(q map[string]any) map[string]any { return q["x509Certificate"].(map[string]any) }
	tests := map[string]struct {
		device Device
		edit   func(map[string]any)
		code   string // "" when it is allowed
		want   string
	}{
		"as it should be":          {enrolled, func(q map[string]any) {}, "", ""},
		"certificate without SANs": {enrolled, func(q map[string]any) { delete(certificate(q), "sans") }, "", ""},
		"somebody else":            {Device{Serial: deviceB, EK: enrolled.EK}, func(q map[string]any) {}, "notRegistered", deviceA},
		"blocked":                  {Device{Serial: deviceA, EK: enrolled.EK, Blocked: true, Reason: "stolen"}, func(q map[string]any) {}, "blocked", "stolen"},
		"no TPM has proven itself": {Device{Serial: deviceA, EKCertificate: "1"}, func(q map[string]any) {}, "notEnrolled", "no TPM"},
		"not attested":             {enrolled, func(q map[string]any) { delete(q, "attestationData") }, "notAttested", "device-attest-01"},
		"attested as nobody":       {enrolled, func(q map[string]any) { q["attestationData"] = map[string]any{} }, "notAttested", "device-attest-01"},
		"no certificate":           {enrolled, func(q map[string]any) { delete(q, "x509Certificate") }, "noCertificate", "AUTHORIZING"},
		"other common name":        {enrolled, func(q map[string]any) { certificate(q)["subject"] = map[string]any{"commonName": deviceB} }, "commonName", deviceB},
		"no common name":           {enrolled, func(q map[string]any) { delete(certificate(q), "subject") }, "commonName", "serial number"},
		"one more identifier": {enrolled, func(q map[string]any) {
			certificate(q)["sans"] = []any{map[string]any{"type": "permanentIdentifier", "value": deviceB}}
		}, "alternativeName", deviceB},
		"another kind of name": {enrolled, func(q map[string]any) {
			certificate(q)["sans"] = []any{map[string]any{"type": "dns", "value": deviceA}}
		}, "alternativeName", "also be for"},
		"a host's name":   {enrolled, func(q map[string]any) { certificate(q)["dnsNames"] = []any{"example.org"} }, "alternativeName", "example.org"},
		"no key":          {enrolled, func(q map[string]any) { delete(certificate(q), "publicKey") }, "publicKey", "cannot be read"},
		"elliptic key":    {enrolled, func(q map[string]any) { certificate(q)["publicKey"] = spki(t, p256(t).Public()) }, "publicKey", "RSA-2048"},
		"long key":        {enrolled, func(q map[string]any) { certificate(q)["publicKey"] = spki(t, longKey()) }, "publicKey", "3072 bits"},
		"endorsement key": {Device{Serial: deviceA, EK: hashKey(deviceKey())}, func(q map[string]any) {}, "publicKey", "endorsement key"},
		"asked long ago":  {enrolled, func(q map[string]any) { q["timestamp"] = time.Now().Add(-time.Hour) }, "stale", "clocks"},
		"asked tomorrow":  {enrolled, func(q map[string]any) { q["timestamp"] = time.Now().Add(24 * time.Hour) }, "stale", "clocks"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t, nil, tt.device)
			q := question(t, deviceA)
			tt.edit(q)
			body, err := json.Marshal(q)
			if err != nil {
				t.Fatal(err)
			}
			status, answer := call(a, WebhookPath, body, signed(body, testSecret))
			var got webhookResponse
			if err := json.Unmarshal(answer, &got); err != nil || status != http.StatusOK {
				t.Fatalf("%d %s: %v", status, answer, err)
			}
			switch {
			case tt.code == "":
				if !got.Allow || got.Error != nil {
					t.Errorf("denied: %s", answer)
				}
			case got.Allow || got.Error == nil || got.Error.Code != tt.code || !strings.Contains(got.Error.Message, tt.want):
				t.Errorf("answer %s, want %s: %q", answer, tt.code, tt.want)
			}
		})
	}
}

func TestWebhookSignature(t *testing.T) {
	a := newAuthority(t, nil, Device{Serial: deviceA, EK: strings.Repeat("ab", 32)})
	body, err := json.Marshal(question(t, deviceA))
	if err != nil {
		t.Fatal(err)
	}
	good := signed(body, testSecret)
	for name, tt := range map[string]struct {
		body   []byte
		header http.Header
		want   int
	}{
		"right":           {body, good, http.StatusOK},
		"missing":         {body, nil, http.StatusUnauthorized},
		"empty":           {body, http.Header{signatureHeader: {""}}, http.StatusUnauthorized},
		"by another key":  {body, signed(body, []byte("another")), http.StatusUnauthorized},
		"by an empty key": {body, signed(body, nil), http.StatusUnauthorized},
		"not hex":         {body, http.Header{signatureHeader: {"xyz"}}, http.StatusUnauthorized},
		"cut short":       {body, http.Header{signatureHeader: {good.Get(signatureHeader)[:32]}}, http.StatusUnauthorized},
		"of another body": {bytes.Replace(body, []byte(deviceA), []byte(deviceB), 1), good, http.StatusUnauthorized},
		"right, no JSON":  {[]byte("{"), signed([]byte("{"), testSecret), http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			if status, answer := call(a, WebhookPath, tt.body, tt.header); status != tt.want {
				t.Errorf("%d %s, want %d", status, answer, tt.want)
			}
		})
	}
}

// For a webhook of its configuration file step-ca has no secret: then its
// client certificate says who asks.
func TestWebhookClient(t *testing.T) {
	chain, key := testCA(t)
	strange, strangeKey := testCA(t)
	leaf := func(usage ...x509.ExtKeyUsage) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(9), Subject: pkix.Name{CommonName: "client"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			ExtKeyUsage: usage,
		}
	}
	public := p256(t).Public()
	a := newAuthority(t, nil, Device{Serial: deviceA, EK: strings.Repeat("ab", 32)})
	a.webhook = webhookGuard{clients: pool(chain[1:])}
	body, err := json.Marshal(question(t, deviceA))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		peer []*x509.Certificate
		want int
	}{
		"step-ca":             {[]*x509.Certificate{issueCertificate(t, leaf(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth), chain[0], public, key), chain[0]}, http.StatusOK},
		"nobody":              {nil, http.StatusUnauthorized},
		"a device of its own": {[]*x509.Certificate{issueCertificate(t, leaf(), chain[0], public, key), chain[0]}, http.StatusUnauthorized},
		"a server of its own": {[]*x509.Certificate{issueCertificate(t, leaf(x509.ExtKeyUsageServerAuth), chain[0], public, key), chain[0]}, http.StatusUnauthorized},
		"another authority's": {[]*x509.Certificate{issueCertificate(t, leaf(x509.ExtKeyUsageClientAuth), strange[0], public, strangeKey), strange[0]}, http.StatusUnauthorized},
		"the chain is cut":    {[]*x509.Certificate{issueCertificate(t, leaf(x509.ExtKeyUsageClientAuth), chain[0], public, key)}, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, WebhookPath, bytes.NewReader(body))
			r.TLS = &tls.ConnectionState{PeerCertificates: tt.peer}
			w := httptest.NewRecorder()
			a.ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Errorf("%d %s, want %d", w.Code, w.Body, tt.want)
			}
		})
	}
}
