package encryption

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"sbid/attest"
)

const secret = "s3cr3t-of-the-client"

// serve starts a server with TLS and returns its address and a client that
// trusts it.
func serve(t testing.TB, h http.HandlerFunc) (string, *http.Client) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of failed handshakes
	server.StartTLS()
	t.Cleanup(server.Close)
	c := server.Client()
	t.Cleanup(c.CloseIdleConnections)
	return server.URL, c
}

func reply(w http.ResponseWriter, response any) {
	json.NewEncoder(w).Encode(map[string]any{"id": nil, "version": nil, "response": response, "errors": []any{}})
}

func fail(w http.ResponseWriter, code, message string) {
	json.NewEncoder(w).Encode(map[string]any{"response": nil, "errors": []any{map[string]string{"errorCode": code, "message": message}}})
}

// mosip is a key manager behind an authentication service, as MOSIP's answer.
type mosip struct {
	cert  *x509.Certificate
	shape func(string) any // of the response around a PEM text
	wrap  func(string) string
	bad   func(w http.ResponseWriter) // instead of an answer, if set
}

func (m *mosip) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "POST /v1/authmanager/authenticate/clientidsecretkey":
		var body struct {
			Request struct{ AppID, ClientID, SecretKey string }
		}
		json.NewDecoder(r.Body).Decode(&body)
		if body.Request.AppID != "ida" || body.Request.ClientID != "sbid" || body.Request.SecretKey != secret {
			fail(w, "KER-ATH-401", "Authentication Failed")
			return
		}
		w.Header().Set("Authorization", "the.to.ken")
		http.SetCookie(w, &http.Cookie{Name: "Authorization", Value: "the.to.ken", HttpOnly: true, Path: "/", MaxAge: 3600})
		reply(w, map[string]string{"status": "success"})
	case "POST /auth/realms/mosip/protocol/openid-connect/token":
		w.Header().Set("Content-Type", "application/json")
		if r.FormValue("grant_type") != "client_credentials" || r.FormValue("client_id") != "sbid" || r.FormValue("client_secret") != secret {
			w.WriteHeader(http.StatusUnauthorized)
			json.NewEncoder(w).Encode(map[string]string{"error": "unauthorized_client", "error_description": "Invalid client or Invalid client credentials"})
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"access_token": "the.to.ken", "expires_in": 300, "token_type": "Bearer"})
	case "GET /v1/keymanager/getCertificate":
		if m.bad != nil {
			m.bad(w)
			return
		}
		cookie, err := r.Cookie("Authorization")
		if err != nil || cookie.Value != "the.to.ken" {
			fail(w, "KER-ATH-401", "Authentication Failed")
			return
		}
		if r.FormValue("applicationId") != "IDA" || r.FormValue("referenceId") != "IDA-FIR" {
			fail(w, "KER-KMS-002", "ApplicationId not found in Key Policy")
			return
		}
		reply(w, m.shape(m.wrap(pemOf(m.cert))))
	default:
		http.NotFound(w, r)
	}
}

func inObject(text string) any {
	return map[string]any{"certificate": text, "issuedAt": "2026-01-02T03:04:05.006Z", "expiryAt": nil, "timestamp": nil}
}

func bare(text string) any       { return text }
func asItIs(text string) string  { return text }
func windows(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }
func escaped(text string) string { return strings.ReplaceAll(text, "\n", `\n`) }
func noFrame(text string) string {
	return strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(text, "-----BEGIN CERTIFICATE-----\n"), "-----END CERTIFICATE-----\n"), "\n", "")
}

func TestKeyManager(t *testing.T) {
	a := newAdopter(t, time.Now())
	m := &mosip{}
	address, c := serve(t, m.ServeHTTP)
	who := Client{ID: "sbid", SecretFile: writeFile(t, secret+"\n")}
	sources := map[string]TokenSource{
		"Keycloak":    Keycloak{URL: address + "/auth/realms/mosip/protocol/openid-connect/token", Client: who, HTTP: c},
		"authmanager": AuthManager{URL: address + "/v1/authmanager/authenticate/clientidsecretkey", AppID: "ida", Client: who, HTTP: c},
	}
	for name, m2 := range map[string]mosip{
		"key manager":            {cert: a.issue(t, time.Now(), nil), shape: inObject, wrap: asItIs},
		"toolkit":                {cert: a.issue(t, time.Now(), nil), shape: bare, wrap: asItIs},
		"line ends of Windows":   {cert: a.issue(t, time.Now(), nil), shape: inObject, wrap: windows},
		"line ends escaped":      {cert: a.issue(t, time.Now(), nil), shape: inObject, wrap: escaped},
		"no last line end":       {cert: a.issue(t, time.Now(), nil), shape: inObject, wrap: strings.TrimSpace},
		"bare base64":            {cert: a.issue(t, time.Now(), nil), shape: inObject, wrap: noFrame},
		"negative serial number": {cert: negativeSerial(t, a), shape: inObject, wrap: asItIs},
	} {
		*m = m2
		for kind, source := range sources {
			s := mustNew(t, Options{Pin: a.pin(), Fetcher: KeyManager{
				URL: address + "/v1/keymanager/getCertificate", ApplicationID: "IDA", ReferenceID: "IDA-FIR", Tokens: source, HTTP: c,
			}})
			if !s.refresh(t.Context()) {
				t.Errorf("%s by %s: %v", name, kind, s.trouble)
				continue
			}
			want(t, s, m.cert)
		}
	}
}

// negativeSerial issues a certificate as MOSIP does half of the time.
func negativeSerial(t testing.TB, a adopter) *x509.Certificate {
	t.Helper()
	return resign(t, a.issue(t, time.Now(), func(c *x509.Certificate) { c.SerialNumber = big.NewInt(0x7F) }))
}

func TestKeyManagerTroubles(t *testing.T) {
	a := newAdopter(t, time.Now())
	m := &mosip{}
	address, c := serve(t, m.ServeHTTP)
	good := KeyManager{
		URL: address + "/v1/keymanager/getCertificate", ApplicationID: "IDA", ReferenceID: "IDA-FIR", HTTP: c,
		Tokens: AuthManager{
			URL: address + "/v1/authmanager/authenticate/clientidsecretkey", AppID: "ida", HTTP: c,
			Client: Client{ID: "sbid", SecretFile: writeFile(t, secret)},
		},
	}
	plain, _ := strings.CutPrefix(address, "https")
	public := writeFile(t, secret)
	if err := os.Chmod(public, 0o644); err != nil {
		t.Fatal(err)
	}
	status := func(code int) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.WriteHeader(code) }
	}
	text := func(s string) func(w http.ResponseWriter) { return func(w http.ResponseWriter) { fmt.Fprint(w, s) } }
	authManager := func(change func(*AuthManager)) func(*KeyManager) {
		return func(k *KeyManager) {
			tokens := k.Tokens.(AuthManager)
			change(&tokens)
			k.Tokens = tokens
		}
	}
	for name, test := range map[string]struct {
		bad    func(http.ResponseWriter)
		change func(*KeyManager)
		want   string
	}{
		"wrong reference id":   {change: func(k *KeyManager) { k.ReferenceID = "IDA-FIX" }, want: "check the application id and the reference id"},
		"no token":             {change: func(k *KeyManager) { k.Tokens = nil }, want: "KER-ATH-401"},
		"wrong client":         {change: authManager(func(a *AuthManager) { a.Client.ID = "SBID" }), want: "check the client id and its secret"},
		"wrong application":    {change: authManager(func(a *AuthManager) { a.AppID = "" }), want: "KER-ATH-401"},
		"no secret":            {change: authManager(func(a *AuthManager) { a.Client.SecretFile = "absent" }), want: "absent"},
		"empty secret":         {change: authManager(func(a *AuthManager) { a.Client.SecretFile = writeFile(t, "\n") }), want: "is empty"},
		"secret for everybody": {change: authManager(func(a *AuthManager) { a.Client.SecretFile = public }), want: "chmod 600"},
		"wrong token address":  {change: authManager(func(a *AuthManager) { a.URL = address + "/v1/authmanager" }), want: "HTTP 404"},
		"Keycloak refuses": {change: func(k *KeyManager) {
			k.Tokens = Keycloak{URL: address + "/auth/realms/mosip/protocol/openid-connect/token", Client: Client{"sbid", writeFile(t, "another")}, HTTP: c}
		}, want: "unauthorized_client: Invalid client or Invalid client credentials: check the client id"},
		"Keycloak elsewhere": {change: func(k *KeyManager) {
			k.Tokens = Keycloak{URL: "ftp://192.0.2.1/", Client: Client{"sbid", writeFile(t, secret)}, HTTP: c}
		}, want: "no https address"},
		"wrong address":  {change: func(k *KeyManager) { k.URL = address + "/v1" }, want: "HTTP 404: check the address"},
		"in the clear":   {change: func(k *KeyManager) { k.URL = "http://keymanager.example/v1" }, want: "no https address"},
		"not TLS":        {change: func(k *KeyManager) { k.URL = "http" + plain }, want: "400"},
		"unknown server": {change: func(k *KeyManager) { k.HTTP = nil }, want: "certificate"},
		"no address":     {change: func(k *KeyManager) { k.URL = "::" }, want: "missing protocol scheme"},
		"audience":       {bad: status(http.StatusUnauthorized), want: "auth.server.admin.allowed.audience"},
		"role":           {bad: status(http.StatusForbidden), want: "ID_AUTHENTICATION"},
		"broken":         {bad: status(http.StatusBadGateway), want: "HTTP 502"},
		"redirected": {bad: func(w http.ResponseWriter) {
			w.Header().Set("Location", "https://192.0.2.1/login")
			w.WriteHeader(http.StatusFound)
		}, want: "redirected to https://192.0.2.1/login"},
		"error with 200": {bad: func(w http.ResponseWriter) { fail(w, "KER-ATH-403", "Forbidden") }, want: "KER-ATH-403: Forbidden: give the client a role"},
		"a login page":   {bad: text("<html>"), want: "not JSON"},
		"nothing":        {bad: text(`{"response":null,"errors":null}`), want: "holds no certificate"},
		"a number":       {bad: text(`{"response":7}`), want: "holds no certificate"},
		"empty":          {bad: text(`{"response":{"certificate":""}}`), want: "holds no certificate"},
		"no certificate": {bad: text(`{"response":"QUJD"}`), want: "certificate in the answer"},
		"endless":        {bad: func(w http.ResponseWriter) { w.Write(make([]byte, maxAnswer+1)) }, want: "longer than"},
	} {
		*m = mosip{cert: a.issue(t, time.Now(), nil), shape: inObject, wrap: asItIs, bad: test.bad}
		k := good
		if test.change != nil {
			test.change(&k)
		}
		log, messages := logTo()
		s := mustNew(t, Options{Pin: a.pin(), Fetcher: k, Log: log})
		if s.refresh(t.Context()) {
			t.Errorf("%s: fetched", name)
			continue
		}
		wantNone(t, s, test.want)
		for _, text := range []string{messages.String(), s.trouble.Error()} {
			if strings.Contains(text, secret) || strings.Contains(text, "the.to.ken") {
				t.Errorf("%s: a secret is told: %s", name, text)
			}
		}
	}
}

func TestTokenFromCookie(t *testing.T) {
	who := Client{ID: "sbid", SecretFile: writeFile(t, secret)}
	for name, test := range map[string]struct {
		set  func(http.Header)
		want string // "" for an error
	}{
		"header": {func(h http.Header) { h.Set("Authorization", "a.b.c") }, "a.b.c"},
		"bearer": {func(h http.Header) { h.Set("Authorization", "Bearer a.b.c") }, "a.b.c"},
		"cookie": {func(h http.Header) { h.Set("Set-Cookie", "Authorization=a.b.c; Path=/; HttpOnly") }, "a.b.c"},
		"other":  {func(h http.Header) { h.Set("Set-Cookie", "session=a.b.c") }, ""},
	} {
		address, c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			test.set(w.Header())
			reply(w, nil)
		})
		got, err := AuthManager{URL: address, Client: who, HTTP: c}.Token(t.Context())
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	// What would break a header is no token.
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, bad := range []string{"", "a b", "a;b", "a\r\nHost: b", "ä"} {
		if err := authorized(t.Context(), r, fixedToken(bad)); err == nil {
			t.Errorf("token %q", bad)
		}
	}
}

func TestMasterData(t *testing.T) {
	now := time.Now()
	a := newAdopter(t, now)
	device := certificate(t, "SLAP00000001", otherKey(), otherKey(), nil, now, nil)
	id, err := attest.NewIdentity(otherKey(), []*x509.Certificate{device})
	if err != nil {
		t.Fatal(err)
	}
	signer := certificate(t, "masterdata", issuerKey(), issuerKey(), a.root, now, nil)
	server, err := attest.NewIdentity(issuerKey(), []*x509.Certificate{signer})
	if err != nil {
		t.Fatal(err)
	}
	old, err := attest.NewIdentity(issuerKey(), []*x509.Certificate{certificate(t, "masterdata", issuerKey(), issuerKey(), a.root, now.AddDate(-1, 0, 0), nil)})
	if err != nil {
		t.Fatal(err)
	}
	cert := a.issue(t, now, nil)
	payload := func(list any) []byte {
		text, err := json.Marshal(map[string]any{"id": "io.mosip.auth.country.certificate", "response": list})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := payload([]any{map[string]string{"certificate": base64.StdEncoding.EncodeToString(cert.Raw)}})
	sign := func(id *attest.Identity, payload []byte) string {
		token, err := id.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	var response any
	address, c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			ID      string
			Request struct{ Data string }
		}
		json.NewDecoder(r.Body).Decode(&body)
		v, err := attest.Verify(body.Request.Data)
		if err != nil || !v.Leaf().Equal(device) || string(v.Payload) != `{"domainUri":"https://auth.example","env":"Staging"}` ||
			body.ID != "io.mosip.auth.country.certificate" || r.Method != http.MethodPost || r.Header.Get("Cookie") != "Authorization=a.b.c" {
			fail(w, "500", fmt.Sprintf("%+v, %v", body, err))
			return
		}
		reply(w, response)
	})
	m := MasterData{
		URL: address, Env: "Staging", DomainURI: "https://auth.example", HTTP: c, Tokens: fixedToken("a.b.c"),
		Identity: func() (*attest.Identity, error) { return id, nil }, Signer: a.pin(),
	}
	for name, test := range map[string]struct {
		response any
		want     string
	}{
		"right":           {sign(server, good), ""},
		"unsigned":        {json.RawMessage(good), "not signed"},
		"a stranger's":    {sign(id, good), "signature of the answer"},
		"expired signer":  {sign(old, good), "expired"},
		"changed":         {strings.Replace(sign(server, good), ".", ".AAAA", 1), "signature does not verify"},
		"no list":         {sign(server, payload("x")), "holds no certificate"},
		"empty list":      {sign(server, payload([]any{})), "holds no certificate"},
		"no certificate":  {sign(server, payload([]any{map[string]string{"certificate": "QUJD"}})), "certificate in the answer"},
		"errors":          {sign(server, []byte(`{"errors":[{"errorCode":"KER-1","message":"no"}]}`)), "KER-1: no"},
		"something else":  {sign(server, []byte(`[]`)), "not JSON as"},
		"not even a text": {7, "not signed"},
	} {
		response = test.response
		got, err := m.Fetch(t.Context())
		switch {
		case test.want == "" && (err != nil || !got.Equal(cert)):
			t.Errorf("%s: %v", name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v", name, err)
		}
	}
	response = sign(server, good)
	m.Signer = Pin{}
	if _, err := m.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "nobody's answer") {
		t.Error(err)
	}
}

// What a service answers is foreign.
func FuzzAnswer(f *testing.F) {
	cert := newAdopter(f, time.Now()).root
	for _, response := range []any{pemOf(cert), inObject(escaped(pemOf(cert))), nil, 7} {
		text, err := json.Marshal(map[string]any{"response": response})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := parseAnswer(body)
		if err != nil {
			return
		}
		if cert, err := a.certificate(); (cert == nil) != (err != nil) {
			t.Errorf("%v, %v", cert, err)
		}
	})
}
