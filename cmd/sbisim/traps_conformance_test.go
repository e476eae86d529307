package main

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The traps between the published text of SBI and MOSIP's Compliance Toolkit,
// one test each, in the order of the list that the project works from.

// The members that each object has: all of them, and no other.
var (
	discoveryMembers = []string{
		"callbackId", "certification", "deviceCode", "deviceId", "deviceStatus", "deviceSubId",
		"digitalId", "error", "purpose", "serviceVersion", "specVersion",
	}
	infoMembers = []string{
		"callbackId", "certification", "deviceCode", "deviceId", "deviceStatus", "deviceSubId",
		"digitalId", "env", "firmware", "purpose", "serviceVersion", "specVersion",
	}
	digitalIDMembers = []string{
		"dateTime", "deviceProvider", "deviceProviderId", "deviceSubType", "make", "model", "serialNo", "type",
	}
	dataMembers = []string{ // of a registration capture; bioSubType not of a face
		"bioSubType", "bioType", "bioValue", "deviceCode", "deviceServiceVersion", "digitalId", "env",
		"purpose", "qualityScore", "requestedScore", "timestamp", "transactionId",
	}
	wireMembers     = []string{"data", "error", "hash", "specVersion"}
	authWireMembers = []string{"data", "error", "hash", "sessionKey", "specVersion", "thumbprint"}
)

var (
	wholeSeconds = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)
	scorePattern = regexp.MustCompile(`^(100(\.0+)?|\d{1,2}(\.\d+)?|0(\.[0-9]+)?)$`)
	upperHexHash = regexp.MustCompile(`^[0-9A-F]{64}$`)
)

const countText = "Requested number of biometric (Finger/IRIS) not supported"

// The toolkit measures that an answer below the requested score takes the whole
// timeout; a client that is content sooner gets it sooner.
func TestToolkit01BelowTheScoreTheAnswerTakesTheTimeout(t *testing.T) {
	t.Parallel()
	s := shared(t)
	// The eyes of the virtual person are perfect: only 100 is never reached.
	for sc, score := range map[scene]string{authFinger: "99.9", authIris: "100"} {
		// A loaded machine may need longer for a usable picture.
		for timeout := 2 * time.Second; ; timeout *= 4 {
			a := s.capture(sc, "bio.requestedScore", score, "timeout", strconv.FormatInt(timeout.Milliseconds(), 10))
			if a.took < timeout {
				t.Fatalf("score %s: answered after %v, before the timeout of %v: %v", score, a.took, timeout, a.biometrics()[0]["error"])
			}
			if a.biometrics()[0]["data"] != "" {
				break
			}
			if timeout > time.Minute {
				t.Fatalf("score %s: no picture within %v", score, timeout)
			}
		}
	}
	if a := s.capture(authIris, "bio.requestedScore", "1"); a.took > time.Minute || a.biometrics()[0]["data"] == "" {
		t.Errorf("score 1: answered after %v, not when the score was reached", a.took)
	}
}

func TestToolkit02TimestampIsWholeSecondsInUTC(t *testing.T) {
	t.Parallel()
	for _, shot := range taken {
		a := shot(t)
		for _, b := range a.elements() { // which decrypts with this very text
			text := b.data.text("timestamp")
			if !wholeSeconds.MatchString(text) {
				t.Fatalf("timestamp %q", text)
			}
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				t.Fatal(err)
			}
			if at.Before(a.began.Truncate(time.Second)) || at.After(a.began.Add(a.took)) {
				t.Errorf("timestamp %s of a capture from %s on that took %v", text, a.began.UTC(), a.took)
			}
		}
	}
}

// chain returns the hashes of records, worked out from raw digests.
func chain(previous []byte, all []biometric) []string {
	var hashes []string
	for _, b := range all {
		record := sha256.Sum256(b.record)
		link := sha256.Sum256(append(slices.Clone(previous), record[:]...))
		previous = link[:]
		hashes = append(hashes, strings.ToUpper(hex.EncodeToString(link[:])))
	}
	return hashes
}

func hashes(all []biometric) []string {
	var out []string
	for _, b := range all {
		out = append(out, b.wire["hash"].(string))
	}
	return out
}

func TestToolkit03HashIsOverBytes(t *testing.T) {
	t.Parallel()
	nothing := sha256.Sum256(nil)
	for _, shot := range taken {
		all := shot(t).elements()
		same(t, "hashes", hashes(all), chain(nothing[:], all))
	}
}

func TestToolkit04X5CIsAnArrayOfStandardBase64(t *testing.T) {
	t.Parallel()
	var tokens []token
	for _, shot := range taken {
		for _, b := range shot(t).elements() {
			tokens = append(tokens, b.data, b.id)
		}
	}
	s := idle(t)
	for _, url := range s.endpoints() {
		for _, entry := range s.info(url) {
			info := readToken(t, entry["deviceInfo"].(string))
			tokens = append(tokens, info, readToken(t, info.text("digitalId")))
		}
	}
	for _, k := range tokens {
		same(t, "members of the header", members(k.header), []string{"alg", "typ", "x5c"})
		same(t, "alg and typ", []any{k.header["alg"], k.header["typ"]}, []any{"RS256", "JWT"})
		x5c, ok := k.header["x5c"].([]any)
		if !ok || len(x5c) == 0 {
			t.Fatalf("x5c is %v", k.header["x5c"])
		}
		for i, entry := range x5c {
			der, err := base64.StdEncoding.Strict().DecodeString(entry.(string))
			if err != nil || strings.ContainsAny(entry.(string), "\r\n") {
				t.Fatalf("x5c[%d]: %v", i, err)
			}
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatalf("x5c[%d]: %v", i, err)
			}
			if i == 0 {
				if bits := cert.PublicKey.(*rsa.PublicKey).N.BitLen(); bits < 2048 {
					t.Errorf("a key of %d bits signed", bits)
				}
				if now := time.Now(); now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
					t.Errorf("the certificate is valid from %s to %s", cert.NotBefore, cert.NotAfter)
				}
			}
		}
	}
}

// Browsers decode payloads with plain base64, in which nothing may be written
// that base64url writes otherwise.
func TestToolkit05PayloadsDecodeAsPlainBase64(t *testing.T) {
	t.Parallel()
	s := awkward(t)
	var texts []string
	for _, url := range s.endpoints() {
		for _, d := range s.discover(url, "Biometric Device") {
			text := atob(t, d["digitalId"].(string))
			same(t, "provider", parse[object](t, []byte(text))["deviceProvider"].(string), awkwardName)
			texts = append(texts, text)
		}
		for _, entry := range s.info(url) {
			info := readToken(t, entry["deviceInfo"].(string))
			id := readToken(t, info.text("digitalId"))
			same(t, "provider", id.text("deviceProvider"), awkwardName)
			texts = append(texts, info.json, id.json)
		}
	}
	const uri = "https://login.example.org/?étape=~1>é"
	a := s.capture(authIris, "domainUri", uri)
	b := a.elements()[0]
	same(t, "domainUri", b.data.text("domainUri"), uri)
	for _, text := range append(texts, b.data.json, b.id.json) {
		for _, c := range []byte(text) {
			if c < ' ' || c >= 0x7F || strings.ContainsRune(">?~", rune(c)) {
				t.Fatalf("%q in %.300q", c, text)
			}
		}
	}
}

// bad returns requests that cannot be fulfilled, of every verb.
func bad() []struct{ verb, path, body string } {
	return []struct{ verb, path, body string }{
		{"MOSIPDISC", "/device", `{"type":"FINGER"}`},
		{"MOSIPDISC", "/device", `{`},
		{"MOSIPDISC", "/device", `[]`},
		{"RCAPTURE", "/capture", ``},
		{"RCAPTURE", "/capture", `{}`},
		{"RCAPTURE", "/capture", `null`},
		{"RCAPTURE", "/capture", `{"bio":null}`},
		{"RCAPTURE", "/capture", `{"bio":[{}]}`},
		{"RCAPTURE", "/capture", `{"bio":[{"deviceId":{}}]}`},
		{"RCAPTURE", "/capture", `"` + strings.Repeat("x", 70<<10) + `"`},
		{"CAPTURE", "/capture", `{}`},
		{"CAPTURE", "/capture", `{"bio":"all"}`},
		{"STREAM", "/stream", `{}`},
		{"STREAM", "/stream", `{"deviceId":"7","deviceSubId":"1"}`},
		{"STREAM", "/stream", `{"deviceId":"1","deviceSubId":"9"}`},
	}
}

func TestToolkit06ErrorsComeWithStatus200AsJSON(t *testing.T) {
	t.Parallel()
	s := idle(t)
	for _, url := range s.endpoints() {
		for _, b := range bad() {
			resp, body := s.call(b.verb, url+b.path, b.body)
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s %.60s: %s, %s", b.verb, b.body, resp.Status, resp.Header.Get("Content-Type"))
			}
			if !bytes.Contains(body, []byte(`"error":{"errorCode":"`)) {
				t.Errorf("%s %.60s: answer %s", b.verb, b.body, body)
			}
		}
	}
}

func TestToolkit07ErrorElementHasEmptyDataAndHash(t *testing.T) {
	t.Parallel()
	s := deserted(t)
	for _, sc := range []scene{leftSlap, face, authFinger, authIris} {
		for _, changes := range [][]any{{"timeout", "1"}, {"bio.count", "11"}, {"bio.deviceId", "77"}, {"transactionId", "x"}, {"env", absent{}}} {
			s.capture(sc, changes...).refused() // which compares the whole element
		}
	}
}

func TestToolkit08FaceHasNoSubType(t *testing.T) {
	t.Parallel()
	for _, shot := range []func(testing.TB) answer{takenFace, takenAuthFace} {
		for _, b := range shot(t).elements() {
			same(t, "bioType", b.data.text("bioType"), "Face")
			if value, there := b.data.payload["bioSubType"]; there {
				t.Errorf("bioSubType %v", value)
			}
		}
	}
}

func TestToolkit09DomainURIIsInAuthDataOnly(t *testing.T) {
	t.Parallel()
	for _, shot := range takenAuth {
		a := shot(t)
		for _, b := range a.elements() {
			same(t, "domainUri", b.data.payload["domainUri"], a.request["domainUri"])
		}
	}
	a := shared(t).capture(leftIris, "domainUri", "https://login.example.org")
	if value, there := a.elements()[0].data.payload["domainUri"]; there {
		t.Errorf("a registration capture has domainUri %v", value)
	}
}

func TestToolkit10NoMemberTooMany(t *testing.T) {
	t.Parallel()
	s := idle(t)
	for _, url := range s.endpoints() {
		for _, d := range s.discover(url, "Biometric Device") {
			same(t, "members in discovery", members(d), discoveryMembers)
			same(t, "members of the digital id", members(parse[object](t, []byte(atob(t, d["digitalId"].(string))))), digitalIDMembers)
		}
		for _, entry := range s.info(url) {
			same(t, "members in info", members(entry), []string{"deviceInfo", "error"})
			info := readToken(t, entry["deviceInfo"].(string))
			same(t, "members of deviceInfo", members(info.payload), infoMembers)
			same(t, "members of the digital id", members(readToken(t, info.text("digitalId")).payload), digitalIDMembers)
		}
	}
	for _, shot := range taken {
		for _, b := range shot(t).elements() {
			wire, data := wireMembers, slices.Clone(dataMembers)
			if b.data.payload["purpose"] == "Auth" {
				wire, data = authWireMembers, append(data, "domainUri")
			}
			if b.data.payload["bioType"] == "Face" {
				data = slices.DeleteFunc(data, func(m string) bool { return m == "bioSubType" })
			}
			slices.Sort(data)
			same(t, "members of an element", members(b.wire), wire)
			same(t, "error", b.wire["error"].(object), object{"errorCode": "0", "errorInfo": "Success"})
			same(t, "members of data", members(b.data.payload), data)
			same(t, "members of the digital id", members(b.id.payload), digitalIDMembers)
		}
	}
}

func TestToolkit11WrongCountIs109InFixedWords(t *testing.T) {
	t.Parallel()
	s := deserted(t)
	for _, tt := range []struct {
		scene
		count string
	}{
		{authFinger, "11"}, {authIris, "3"}, {authFace, "2"},
		{leftSlap, "5"}, {rightSlap, "5"}, {thumbs, "3"}, {leftIris, "2"}, {rightIris, "2"}, {bothIrises, "3"}, {face, "2"},
	} {
		for _, language := range []string{"", "fr"} {
			code, info := s.captureAs([]string{"Accept-Language", language}, tt.scene, "bio.count", tt.count).refused()
			same(t, tt.kind+" "+tt.sub+" in "+language, [2]string{code, info}, [2]string{"109", countText})
		}
	}
}

func TestToolkit12WrongTransactionIDIs112(t *testing.T) {
	t.Parallel()
	s := deserted(t)
	long := strings.Repeat("a1-B2", 10)
	for _, id := range []any{"", "abc", long + "x", "SBI_1002", "SBI 1002", "SBI1002\n", "é123", nil, absent{}} {
		code, info := s.capture(leftSlap, "transactionId", id, "timeout", "1").refused()
		same(t, "error", [2]string{code, info}, [2]string{"112", "Invalid Transaction ID"})
	}
	for _, id := range []any{"abcd", "----", long, 1234567890} {
		s.capture(leftSlap, "transactionId", id, "timeout", "1").wantCode("a good transaction id", "101")
	}
}

func TestToolkit13UnknownTypeIsOneErrorElement(t *testing.T) {
	t.Parallel()
	s := idle(t)
	for _, url := range s.endpoints() {
		for _, kind := range []string{"FINGER", "finger", "IRIS", "FACE", "BIOMETRIC DEVICE", "Fingers", " Finger"} {
			entries := s.discover(url, kind)
			same(t, "number of elements", len(entries), 1)
			same(t, "members", members(entries[0]), []string{"error"})
			if code := entries[0]["error"].(object)["errorCode"].(string); len(code) != 3 || code[0] != '5' {
				t.Errorf("type %q: error %s", kind, code)
			}
		}
	}
	// A good type of which there is no device is no error.
	url := serve(t, virtual(t, "slap"))
	_, body := s.call("MOSIPDISC", url+"/device", object{"type": "Iris"})
	same(t, "discovery of what is not there", string(body), "[]")
}

func TestToolkit14PortTheToolkitDoesNotLookAtIsWarnedOf(t *testing.T) {
	t.Parallel()
	s := start(t, "--ports", "4511-4600")
	if log := s.log.String(); strings.Count(log, "level=WARN") != 2 || !strings.Contains(log, "4510") {
		t.Errorf("the log does not warn for both endpoints:\n%s", log)
	}
}

func TestToolkit15ScalarsAreTextsAndNumbersAreAccepted(t *testing.T) {
	t.Parallel()
	s := idle(t)
	for _, url := range s.endpoints() {
		for _, d := range s.discover(url, "Biometric Device") {
			onlyTexts(t, d)
			kind := parse[object](t, []byte(atob(t, d["digitalId"].(string))))["deviceSubType"]
			want := []any{"0"}
			if kind == "Slap" || kind == "Double" {
				want = []any{"1", "2", "3"}
			}
			same(t, "deviceSubId", d["deviceSubId"].([]any), want)
		}
		for _, entry := range s.info(url) {
			onlyTexts(t, entry)
			onlyTexts(t, readToken(t, entry["deviceInfo"].(string)).payload)
		}
	}
	for _, shot := range taken {
		for _, b := range shot(t).elements() {
			onlyTexts(t, b.wire)
			onlyTexts(t, b.data.payload)
			onlyTexts(t, b.id.payload)
		}
	}
	for _, sc := range []scene{leftSlap, bothIrises, face, authFinger} {
		sub, _ := strconv.Atoi(sc.sub)
		count, _ := strconv.Atoi(sc.count)
		deserted(t).capture(sc, "timeout", 1, "bio.count", count, "bio.deviceSubId", sub, "bio.requestedScore", 40.5).wantCode("numbers", "101")
	}
}

// onlyTexts fails the test if there is a scalar that is no text in v.
func onlyTexts(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case string:
	case object:
		for name, inner := range v {
			if _, scalar := inner.(float64); scalar || inner == nil {
				t.Errorf("%s is %v", name, inner)
			}
			onlyTexts(t, inner)
		}
	case []any:
		for _, inner := range v {
			onlyTexts(t, inner)
		}
	default:
		t.Errorf("%v of type %T", v, v)
	}
}

func TestToolkit16EnvIsEchoed(t *testing.T) {
	t.Parallel()
	for _, env := range []string{"Staging", "Developer", "Pre-Production", "Production"} {
		same(t, "env", shared(t).capture(leftIris, "env", env).elements()[0].data.text("env"), env)
	}
	for _, env := range []string{"developer", "Test", "None"} {
		deserted(t).capture(leftIris, "env", env).wantCode("env "+env, "500")
	}
}

func TestToolkit17NotRegisteredIsUnsigned(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.control("status", `{"type":"Biometric Device","deviceStatus":"Not Registered"}`)
	for _, url := range s.endpoints() {
		listed := s.discover(url, "Biometric Device")
		same(t, "number of devices", len(listed), 3)
		for _, d := range listed {
			same(t, "members", members(d), discoveryMembers)
			same(t, "status, purpose", []any{d["deviceStatus"], d["purpose"]}, []any{"Not Registered", ""})
			same(t, "code", d["error"].(object)["errorCode"], any("100"))
		}
		for _, entry := range s.info(url) {
			text := entry["deviceInfo"].(string)
			if strings.Contains(text, ".") {
				t.Fatalf("deviceInfo %.80s is signed", text)
			}
			info := parse[object](t, []byte(atob(t, text)))
			same(t, "members", members(info), infoMembers)
			same(t, "status, env, purpose", []any{info["deviceStatus"], info["env"], info["purpose"]}, []any{"Not Registered", "None", ""})
			same(t, "code", entry["error"].(object)["errorCode"], any("100"))
			id := parse[object](t, []byte(atob(t, info["digitalId"].(string))))
			same(t, "members", members(id), digitalIDMembers)
			if !slices.Contains([]any{"Slap", "Double", "Full face", "Single"}, id["deviceSubType"]) {
				t.Errorf("digital id %v", id)
			}
		}
	}
	for _, sc := range []scene{leftSlap, authFinger} {
		s.capture(sc).wantCode("capture", "100")
	}
}

func TestToolkit18BusyAndNotReadyAreSignedWithAnError(t *testing.T) {
	t.Parallel()
	s := start(t)
	check := func(status, code string) {
		t.Helper()
		for _, url := range s.endpoints() {
			for _, d := range s.discover(url, "Biometric Device") {
				same(t, "in discovery", []any{d["deviceStatus"], d["error"].(object)["errorCode"]}, []any{status, code})
			}
			for _, entry := range s.info(url) {
				info := readToken(t, entry["deviceInfo"].(string))
				same(t, "in info", []any{info.payload["deviceStatus"], entry["error"].(object)["errorCode"]}, []any{status, code})
				same(t, "env", info.text("env"), "Developer")
			}
		}
	}
	s.control("status", `{"type":"Biometric Device","deviceStatus":"Busy"}`)
	check("Busy", "111")
	s.control("status", `{"type":"Biometric Device","deviceStatus":"Not Ready"}`)
	check("Not Ready", "110")
	s.control("status", `{"type":"Biometric Device","deviceStatus":"Ready"}`)
	check("Ready", "0")
	s.control("scanner", `{"type":"Biometric Device","plugged":false}`)
	check("Not Ready", "110")
	s.control("scanner", `{"type":"Biometric Device","plugged":true}`)
	check("Ready", "0")
}
