package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sbid/attest"
	"sbid/attest/developer"
	"sbid/sbi"
)

// The traps between the published text of SBI and its clients, one test each,
// in the order of the list that the project works from.

// The registration client begins with info, drops the first answer unread and
// asks again.
func TestClient01InfoIsServedFromMemoryAndMayBeDropped(t *testing.T) {
	t.Parallel()
	s := idle(t)
	_, want := s.call("MOSIPDINFO", s.registration+"/info", nil)
	var clients sync.WaitGroup
	for range 5 {
		clients.Go(func() {
			for range 20 {
				s.dial(s.registration, request("MOSIPDINFO", s.registration, "")).hangUp()
			}
		})
	}
	clients.Wait()
	if _, got := s.call("MOSIPDINFO", s.registration+"/info", nil); !bytes.Equal(got, want) {
		t.Error("info was signed anew for a probe")
	}
}

func TestClient02SpecVersionIsOneOnly(t *testing.T) {
	t.Parallel()
	s := idle(t)
	for _, url := range s.endpoints() {
		for _, d := range s.discover(url, "Biometric Device") {
			same(t, "specVersion", d["specVersion"].([]any), []any{"0.9.5"})
		}
		for _, entry := range s.info(url) {
			info := readToken(t, entry["deviceInfo"].(string))
			same(t, "specVersion", info.payload["specVersion"].([]any), []any{"0.9.5"})
		}
	}
}

func TestClient03CallbackEndsWithASlash(t *testing.T) {
	t.Parallel()
	s := idle(t)
	for _, url := range s.endpoints() {
		for _, d := range s.discover(url, "Biometric Device") {
			same(t, "callbackId", d["callbackId"], any(url+"/"))
		}
		for _, entry := range s.info(url) {
			callback := readToken(t, entry["deviceInfo"].(string)).text("callbackId")
			same(t, "callbackId", callback, url+"/")
			if resp, _ := s.call("RCAPTURE", callback+"capture", `{}`); resp.StatusCode != http.StatusOK {
				t.Errorf("%scapture: %s", callback, resp.Status)
			}
		}
	}
}

// Requests as the clients write them, at a scanner where nobody is.
func TestClient04TextsAndNumbersAreAccepted(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.control("scanner", `{"type":"Biometric Device","present":false}`)
	serial := s.discover(s.registration, "Finger")[0]["deviceCode"].(string)
	for client, body := range map[string]string{
		"registration client": `{"env":"Staging","purpose":"Registration","specVersion":"0.9.5","timeout":"1",
			"captureTime":"2026-01-02T08:34:05.123456","transactionId":"433c4e0e-fe65-463b-a5b3-476750cfd576",
			"bio":[{"type":"Finger","count":"4","bioSubType":null,"exception":[],"requestedScore":"50",
			"deviceId":"1","deviceSubId":"1","previousHash":null}],"customOpts":null}`,
		"registration client, onboarding": `{"env":"Staging","purpose":"Registration","specVersion":"0.9.5","timeout":"1",
			"captureTime":"2026-01-02T08:34:05","transactionId":"433c4e0e-fe65-463b-a5b3-476750cfd576",
			"bio":[{"type":"Face","count":"1","bioSubType":null,"exception":null,"requestedScore":"50",
			"deviceId":"3","deviceSubId":"0","previousHash":null}],"customOpts":null}`,
		"android registration client": `{"env":"Developer","purpose":"Registration","specVersion":"0.9.5","timeout":1,
			"captureTime":null,"transactionId":"1234567890","bio":[{"type":"Finger","count":4,"bioSubType":[],
			"requestedScore":50,"deviceId":"` + serial + `","deviceSubId":"1","previousHash":""}]}`,
		"integrator": `{"env":"Staging","purpose":"Auth","specVersion":"0.9.5","timeout":1,
			"captureTime":"2026-01-02T03:04:05.678Z","domainUri":"https://esignet.example.org","transactionId":"1234567890",
			"bio":[{"type":"Finger","count":1,"bioSubType":["UNKNOWN"],"requestedScore":70,
			"deviceId":"4","deviceSubId":0,"previousHash":""}],"customOpts":null}`,
		"integrator, face": `{"env":"Staging","purpose":"Auth","specVersion":"0.9.5","timeout":1,
			"captureTime":"2026-01-02T03:04:05.678Z","domainUri":"https://esignet.example.org","transactionId":"transactionId",
			"bio":[{"type":"Face","count":1,"bioSubType":null,"requestedScore":70,
			"deviceId":"6","deviceSubId":0,"previousHash":""}],"customOpts":null}`,
		"compliance toolkit": `{"env":"Developer","purpose":"Registration","specVersion":"0.9.5","timeout":"1",
			"captureTime":"2024-01-01T00:00:00.000Z","transactionId":"SBI1012-123","bio":[{"type":"Face","count":"1",
			"exception":[],"requestedScore":"40","deviceId":"3","deviceSubId":"0",
			"previousHash":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","bioSubType":["null"]}],"customOpts":null}`,
		"older test kit": `{"env":"Developer","purpose":"Auth","specVersion":"0.9.5","timeout":1,
			"captureTime":"2021-04-05T06:07:08+05:30","domainUri":"default","transactionId":"1617600000000",
			"bio":[{"type":"Iris","count":"2","bioSubType":["Left","Right"],"requestedScore":40,"deviceId":"5","deviceSubId":"0",
			"previousHash":"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"}]}`,
	} {
		verb, url := "RCAPTURE", s.registration
		if strings.Contains(body, `"Auth"`) {
			verb, url = "CAPTURE", s.auth
		}
		_, got := s.call(verb, url+"/capture", body)
		answer{t: t, body: got}.wantCode(client, "101")
	}
	for _, body := range []string{
		`{"deviceId":"2","deviceSubId":"1","timeout":"50000"}`, `{"deviceId":2,"deviceSubId":1,"timeout":50000}`, `{"deviceId":"2","deviceSubId":3,"timeout":null}`,
	} {
		v := s.openStream(body)
		v.frame()
		v.close()
		s.awaitStatus(leftIris, "Ready")
	}
}

func TestClient05FirstPreviousHashHasManyForms(t *testing.T) {
	t.Parallel()
	s := shared(t)
	nothing, err := hex.DecodeString("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	if err != nil {
		t.Fatal(err)
	}
	for _, first := range []any{nil, absent{}, "", hex.EncodeToString(nothing), strings.ToUpper(hex.EncodeToString(nothing))} {
		all := s.capture(leftIris, "bio.previousHash", first).elements()
		same(t, fmt.Sprintf("hash after %v", first), hashes(all), chain(nothing, all))
	}
	for _, malformed := range []string{"x", strings.Repeat("0", 63), strings.Repeat("0", 66), strings.Repeat("g", 64)} {
		deserted(t).capture(leftIris, "bio.previousHash", malformed).wantCode("previous hash "+malformed, "500")
	}
}

// The vector is of the hash rule itself: SHA-256 over bytes, then the bytes of
// SHA-256 of the record, in upper-case hex.
func TestClient06HashIsUpperCaseOverBytes(t *testing.T) {
	t.Parallel()
	nothing, err := hex.DecodeString("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "vector", chain(nothing, []biometric{{record: []byte("abc")}, {record: []byte("def")}}), []string{
		"BDDBDF7E9DF02F902EE5DD61B2B513D7566A2112FF97DB7DC3B6D184A43EF0E3",
		"D06FFD66589038DEEA66A68731881D1D14470238326C1C55C4855C1DA9F9A1DC",
	})
	all := takenSlap(t).elements()
	same(t, "hashes of a slap", hashes(all), chain(nothing, all))
	all = takenTwoFingers(t).elements()
	same(t, "hashes of encrypted records", hashes(all), chain(nothing, all))
}

func TestClient07ChainGoesOnFromThePreviousHash(t *testing.T) {
	t.Parallel()
	last := hashes(takenSlap(t).elements())[3]
	previous, err := hex.DecodeString(last)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{last, strings.ToLower(last)} {
		all := shared(t).capture(bothIrises, "bio.previousHash", form).elements()
		same(t, "hashes of the next capture", hashes(all), chain(previous, all))
	}
}

func TestClient08StreamIsDelimitedByTheEndOfTheConnection(t *testing.T) {
	t.Parallel()
	s := start(t)
	v := s.stream(leftIris)
	if !v.response.Close || v.response.ContentLength != -1 || len(v.response.TransferEncoding) != 0 {
		t.Errorf("close %v, length %d, transfer coding %v", v.response.Close, v.response.ContentLength, v.response.TransferEncoding)
	}
	v.frame()
	v.close()
	// The same with the older version of HTTP.
	body := `{"deviceId":"2","deviceSubId":"1"}`
	s.awaitStatus(leftIris, "Ready")
	old := s.dial(s.registration, strings.Replace(request("STREAM", s.registration, body), "HTTP/1.1", "HTTP/1.0", 1))
	resp, err := http.ReadResponse(old.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ContentLength != -1 || len(resp.TransferEncoding) != 0 {
		t.Errorf("HTTP/1.0: length %d, transfer coding %v", resp.ContentLength, resp.TransferEncoding)
	}
}

// How long a stream without a timeout lasts is tested in fake time.
func TestClient09StreamLastsItsTimeoutOrUntilTheCapture(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.control("scanner", `{"type":"Iris","present":false}`)
	begin := time.Now()
	frames := s.openStream(`{"deviceId":"2","deviceSubId":"1","timeout":"1500"}`).rest()
	if took := time.Since(begin); took < 1500*time.Millisecond || len(frames) == 0 {
		t.Errorf("%d frames in %v", len(frames), took)
	}
	s.control("scanner", `{"type":"Iris","present":true}`)
	v := s.stream(leftIris)
	v.frame()
	s.capture(leftIris).elements()
	v.rest() // ends by itself
}

func TestClient10StreamErrorIsAnObjectWithStatus200(t *testing.T) {
	t.Parallel()
	s := idle(t)
	for body, code := range map[string]string{
		`{`:                                "500",
		`{}`:                               "106",
		`{"deviceId":"7"}`:                 "106",
		`{"deviceId":"1"}`:                 "500",
		`{"deviceId":"1","deviceSubId":4}`: "500",
		`{"deviceId":"1","deviceSubId":"1","timeout":"0"}`:    "500",
		`{"deviceId":"1","deviceSubId":"1","timeout":"soon"}`: "500",
	} {
		resp, text := s.call("STREAM", s.registration+"/stream", body)
		same(t, "status and type", []string{resp.Status, resp.Header.Get("Content-Type")}, []string{"200 OK", "application/json"})
		got := parse[map[string]map[string]string](t, text)
		same(t, "error of "+body, got, map[string]map[string]string{"error": {"errorCode": code, "errorInfo": got["error"]["errorInfo"]}})
	}
}

func TestClient11OwnStreamIsNotBusy(t *testing.T) {
	t.Parallel()
	s := start(t)
	v := s.stream(leftIris)
	v.frame()
	same(t, "status during the stream", statusOf(s, leftIris), "Busy")
	_, body := s.call("RCAPTURE", s.registration+"/capture", rightIris.request())
	answer{t: t, body: body}.wantCode("capture with another sensor than the stream's", "111")
	_, body = s.call("STREAM", s.registration+"/stream", `{"deviceId":"2","deviceSubId":"1"}`)
	same(t, "second stream", parse[map[string]map[string]string](t, body)["error"]["errorCode"], "111")
	same(t, "another device", statusOf(s, face), "Ready")
	v.frame()
	s.capture(leftIris).elements()
	same(t, "status once the answer is there", statusOf(s, leftIris), "Ready")
}

func statusOf(s *sim, sc scene) string {
	s.t.Helper()
	status, _ := s.status(sc)
	return status
}

func TestClient12OnlyForbiddenCallersGetAnotherStatus(t *testing.T) {
	t.Parallel()
	s := idle(t)
	for _, b := range bad() {
		resp, _ := s.call(b.verb, s.auth+b.path, b.body)
		same(t, b.verb+" "+b.body, resp.StatusCode, http.StatusOK)
		resp, _ = s.call(b.verb, s.auth+b.path, b.body, "Origin", "https://evil.example")
		same(t, b.verb+" of a strange page", resp.StatusCode, http.StatusForbidden)
	}
}

func TestClient13SuccessHasAnErrorObject(t *testing.T) {
	t.Parallel()
	want := any(object{"errorCode": "0", "errorInfo": "Success"})
	s := idle(t)
	for _, url := range s.endpoints() {
		for _, entry := range slices.Concat(s.discover(url, "Biometric Device"), s.info(url)) {
			same(t, "error", entry["error"], want)
		}
	}
	for _, shot := range taken {
		for _, wire := range shot(t).biometrics() {
			same(t, "error", wire["error"], want)
		}
	}
}

func TestClient14DigitalIDInDiscoveryIsUnsigned(t *testing.T) {
	t.Parallel()
	s := idle(t)
	for _, url := range s.endpoints() {
		for _, d := range s.discover(url, "Biometric Device") {
			text := d["digitalId"].(string)
			if _, err := base64.RawURLEncoding.Strict().DecodeString(text); err != nil {
				t.Errorf("digitalId: %v", err)
			}
			id := parse[object](t, []byte(atob(t, text)))
			same(t, "members", members(id), digitalIDMembers)
			if !wholeSeconds.MatchString(id["dateTime"].(string)) || len(id["serialNo"].(string)) < 12 {
				t.Errorf("digital id %v", id)
			}
		}
	}
}

// registered returns a virtual device with keys.
func registered(t *testing.T, addr string) *sbi.Keys {
	t.Helper()
	name := roles[addr].name
	set, err := developer.Open(newState(t), "sbid developer", []string{name}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	return &sbi.Keys{Device: set.Device(name), DigitalID: set.Device(name)}
}

func TestClient15UnregisteredDeviceIsNotListedBesideOthers(t *testing.T) {
	t.Parallel()
	finger, iris := virtual(t, "slap"), virtual(t, "iris-double")
	finger.Keys = registered(t, "slap")
	s := &sim{t: t}
	url := serve(t, finger, iris)
	same(t, "devices in discovery", len(s.discover(url, "Biometric Device")), 1)
	for _, entry := range s.info(url) {
		same(t, "device", readToken(t, entry["deviceInfo"].(string)).text("deviceId"), finger.ID)
	}
	alone := virtual(t, "iris-double")
	same(t, "status of a device alone", s.discover(serve(t, alone), "Iris")[0]["deviceStatus"], any("Not Registered"))
}

// Who takes every device for one of registration trusts DEVICE alone, and so
// cannot see those for auth.
func TestClient16EachPurposeHasAPortOfItsOwn(t *testing.T) {
	t.Parallel()
	s := idle(t)
	for url, purpose := range map[string]string{s.registration: "Registration", s.auth: "Auth"} {
		for _, d := range s.discover(url, "Biometric Device") {
			same(t, "purpose", d["purpose"], any(purpose))
		}
		for _, entry := range s.info(url) {
			info := readToken(t, entry["deviceInfo"].(string))
			same(t, "purpose", info.text("purpose"), purpose)
			trusted := s.trusts(attest.DomainDevice, readToken(t, info.text("digitalId"))) == nil
			same(t, purpose+" digital id is trusted as DEVICE", trusted, purpose == "Registration")
		}
	}
	if s.registration >= s.auth {
		t.Errorf("registration devices on %s come after auth devices on %s", s.registration, s.auth)
	}
	deserted(t).capture(scene{sbi.Auth, "Finger", "1", "0", "1"}).wantCode("registration device on the port for auth", "106")
	_, body := s.call("RCAPTURE", s.auth+"/capture", leftSlap.request())
	answer{t: t, body: body}.wantCode("registration capture on the port for auth", "500")
	_, body = s.call("STREAM", s.auth+"/stream", `{"deviceId":"4","deviceSubId":"0"}`)
	same(t, "stream of an auth device", parse[map[string]map[string]string](t, body)["error"]["errorCode"], "500")
}

func TestClient17DeviceCodeIsTheSerialNumberEverywhere(t *testing.T) {
	t.Parallel()
	s := shared(t)
	serials := map[any]any{}
	for _, url := range s.endpoints() {
		for _, d := range s.discover(url, "Biometric Device") {
			serials[d["deviceId"]] = parse[object](t, []byte(atob(t, d["digitalId"].(string))))["serialNo"]
			same(t, "deviceCode in discovery", d["deviceCode"], serials[d["deviceId"]])
		}
		for _, entry := range s.info(url) {
			info := readToken(t, entry["deviceInfo"].(string))
			same(t, "deviceCode in info", info.payload["deviceCode"], serials[info.payload["deviceId"]])
			same(t, "serialNo in info", readToken(t, info.text("digitalId")).payload["serialNo"], serials[info.payload["deviceId"]])
		}
	}
	for _, shot := range taken {
		a := shot(t)
		device := a.request["bio"].([]any)[0].(object)["deviceId"]
		for _, b := range a.elements() {
			same(t, "deviceCode in data", b.data.payload["deviceCode"], serials[device])
			same(t, "serialNo in data", b.id.payload["serialNo"], serials[device])
		}
	}
}

// The registration processor wants every certificate of the digital ID among
// those of the data.
func TestClient18DataHasTheCertificatesOfItsDigitalID(t *testing.T) {
	t.Parallel()
	for _, shot := range takenRegistration {
		for _, b := range shot(t).elements() {
			if !b.data.signed.Covers(b.id.signed) {
				t.Error("a certificate of the digital id is missing in the x5c of data")
			}
		}
	}
}

func TestClient19CertificatesOutliveTheirRotation(t *testing.T) {
	t.Parallel()
	for _, shot := range taken {
		for _, b := range shot(t).elements() {
			if until := b.data.signed.Leaf().NotAfter; until.Before(time.Now().AddDate(0, 3, 0)) {
				t.Errorf("certificate ends on %s", until)
			}
		}
	}
}

func TestClient20TimesAreWholeSeconds(t *testing.T) {
	t.Parallel()
	s := shared(t)
	var times []string
	for _, url := range s.endpoints() {
		for _, entry := range s.info(url) {
			times = append(times, readToken(t, readToken(t, entry["deviceInfo"].(string)).text("digitalId")).text("dateTime"))
		}
	}
	for _, shot := range taken {
		for _, b := range shot(t).elements() {
			times = append(times, b.data.text("timestamp"), b.id.text("dateTime"))
		}
	}
	for _, text := range times {
		at, err := time.Parse("2006-01-02T15:04:05Z", text)
		if err != nil || !wholeSeconds.MatchString(text) {
			t.Fatalf("time %q: %v", text, err)
		}
		if age := time.Since(at); age < 0 || age > 5*time.Minute {
			t.Errorf("%s is %v off the client's clock", text, age)
		}
	}
}
