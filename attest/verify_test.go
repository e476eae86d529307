package attest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// forge signs any header with any payload text, so that only what a test is
// about is wrong with the token.
func forge(t testing.TB, key *rsa.PrivateKey, header any, segment string) string {
	t.Helper()
	text, ok := header.(string)
	if !ok {
		b, err := json.Marshal(header)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(text)) + "." + segment
	digest := sha256.Sum256([]byte(signed))
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestVerifyRejects(t *testing.T) {
	pki := newPKI(t)
	std := base64.StdEncoding.EncodeToString
	x5c := []string{std(pki.device.Raw)}
	type h map[string]any
	sign := func(header any) string { return forge(t, deviceKey(), header, "e30") }
	good := sign(h{"alg": "RS256", "x5c": x5c})
	if v, err := Verify(good); err != nil || string(v.Payload) != "{}" {
		t.Fatalf("the token that the others differ from: %v", err)
	}
	parts := strings.Split(good, ".")
	short := shortKey(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := func(public crypto.PublicKey) []string {
		return []string{std(certificate(t, "device", public, pki.provider, nil, nil).Raw)}
	}
	var many []string
	for range maxChain + 1 {
		many = append(many, x5c[0])
	}

	tests := map[string]struct {
		token string
		want  error
	}{
		"nothing":                   {"", ErrMalformed},
		"two parts":                 {parts[0] + "." + parts[1], ErrMalformed},
		"four parts":                {good + ".", ErrMalformed},
		"blank in front":            {" " + good, ErrMalformed},
		"line end behind":           {good + "\n", ErrMalformed},
		"padded payload":            {forge(t, deviceKey(), h{"alg": "RS256", "x5c": x5c}, "e30="), ErrMalformed},
		"payload in two ways":       {forge(t, deviceKey(), h{"alg": "RS256", "x5c": x5c}, "e31"), ErrMalformed},
		"line end in payload":       {forge(t, deviceKey(), h{"alg": "RS256", "x5c": x5c}, "e3\n0"), ErrMalformed},
		"header is null":            {sign("null"), ErrMalformed},
		"header is a list":          {sign("[]"), ErrMalformed},
		"header is no JSON":         {sign("{"), ErrMalformed},
		"alg none":                  {sign(h{"alg": "none", "x5c": x5c}), ErrMalformed},
		"alg PS256":                 {sign(h{"alg": "PS256", "x5c": x5c}), ErrMalformed},
		"alg in capitals":           {sign(h{"ALG": "RS256", "x5c": x5c}), ErrMalformed},
		"no alg":                    {sign(h{"x5c": x5c}), ErrMalformed},
		"critical extension":        {sign(h{"alg": "RS256", "x5c": x5c, "crit": []string{"b64"}, "b64": false}), ErrMalformed},
		"no x5c":                    {sign(h{"alg": "RS256"}), ErrMalformed},
		"x5c null":                  {sign(h{"alg": "RS256", "x5c": nil}), ErrMalformed},
		"x5c empty":                 {sign(h{"alg": "RS256", "x5c": []string{}}), ErrMalformed},
		"x5c a text":                {sign(h{"alg": "RS256", "x5c": x5c[0]}), ErrMalformed},
		"x5c base64url":             {sign(h{"alg": "RS256", "x5c": []string{base64.RawURLEncoding.EncodeToString(pki.device.Raw)}}), ErrMalformed},
		"x5c with line ends":        {sign(h{"alg": "RS256", "x5c": []string{x5c[0][:64] + "\n" + x5c[0][64:]}}), ErrMalformed},
		"x5c PEM":                   {sign(h{"alg": "RS256", "x5c": []string{string(pemOf(pki.device))}}), ErrMalformed},
		"x5c no certificate":        {sign(h{"alg": "RS256", "x5c": []string{"AAAA"}}), ErrMalformed},
		"x5c second no certificate": {sign(h{"alg": "RS256", "x5c": []string{x5c[0], ""}}), ErrMalformed},
		"x5c too long":              {sign(h{"alg": "RS256", "x5c": many}), ErrMalformed},
		"elliptic curve":            {sign(h{"alg": "RS256", "x5c": leaf(ec.Public())}), ErrWeakKey},
		"short key":                 {forge(t, short, h{"alg": "RS256", "x5c": leaf(short.Public())}, "e30"), ErrWeakKey},
		"other key":                 {forge(t, otherKey(), h{"alg": "RS256", "x5c": x5c}, "e30"), ErrSignature},
		"other payload":             {parts[0] + ".e30K." + parts[2], ErrSignature},
		"signature empty":           {parts[0] + "." + parts[1] + ".", ErrSignature},
		"signature cut":             {parts[0] + "." + parts[1] + "." + parts[2][:340], ErrSignature},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if v, err := Verify(tt.token); v != nil || !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// No bit of a token can be changed unnoticed.
func TestVerifyNoticesEveryCharacter(t *testing.T) {
	pki := newPKI(t)
	id, err := NewIdentity(deviceKey(), []*x509.Certificate{pki.device})
	if err != nil {
		t.Fatal(err)
	}
	token, err := id.Sign([]byte(`{"bioValue":"AAAA"}`))
	if err != nil {
		t.Fatal(err)
	}
	for i := range token {
		altered := []byte(token)
		altered[i] ^= 1
		if _, err := Verify(string(altered)); err == nil {
			t.Errorf("character %d may be changed", i)
		}
	}
}

// The token, certificate and payload of another implementation.
func TestVerifyVector(t *testing.T) {
	certs, err := ParseCertificates([]byte(vectorCertificate))
	if err != nil {
		t.Fatal(err)
	}
	public, err := rsaPublic(certs[0].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"digitalId":"e30.e30.c2ln","bioType":"Iris","bioSubType":"Left","bioValue":"RklSADAyMAAQERITFBUWFxgZGhscHR4fICEiIyQlJic","timestamp":"2026-01-02T03:04:05Z","qualityScore":"81.5"}`
	payload, err := verifyWith(public, vectorToken)
	if err != nil || string(payload) != want {
		t.Errorf("got %q, %v", payload, err)
	}
	if _, err := Verify(vectorToken); !errors.Is(err, ErrMalformed) {
		t.Errorf("a token without x5c: %v", err)
	}
}

// A token is either refused or signed by its own first certificate, whatever
// comes; what is accepted has one form only.
func FuzzVerify(f *testing.F) {
	pki := newPKI(f)
	id := pki.identity(f)
	token, err := id.Sign([]byte(`{"a":1}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add(vectorToken)
	f.Add("e30.e30.")
	f.Add("..")
	f.Add(forge(f, deviceKey(), `{"alg":"RS256","x5c":[""]}`, "e30"))
	f.Fuzz(func(t *testing.T, token string) {
		v, err := Verify(token)
		if err != nil {
			if v != nil {
				t.Error("both a result and an error")
			}
			return
		}
		parts := strings.Split(token, ".")
		if base64.RawURLEncoding.EncodeToString(v.Payload) != parts[1] {
			t.Errorf("payload %q has two forms", parts[1])
		}
		if v.Leaf().CheckSignature(x509.SHA256WithRSA, []byte(parts[0]+"."+parts[1]), mustDecode(t, parts[2])) != nil {
			t.Error("accepted, but not signed by the first certificate")
		}
	})
}

func mustDecode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func BenchmarkVerify(b *testing.B) {
	token, err := newPKI(b).identity(b).Sign(make([]byte, 200_000))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Verify(token); err != nil {
			b.Fatal(err)
		}
	}
}
