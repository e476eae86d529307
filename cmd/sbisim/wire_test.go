package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sbid/attest"
	"sbid/sbi"
)

// An object is a JSON object as it came over the wire.
type object = map[string]any

// same fails the test unless got is want.
func same[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// oneOf starts an sbisim on its first use, for all tests that only look at it.
func oneOf(prepare func(*sim), args ...string) func(testing.TB) *sim {
	begin := sync.OnceValues(func() (*sim, error) {
		dir, err := os.MkdirTemp("", "sbisim-test-")
		if err != nil {
			return nil, err
		}
		state := filepath.Join(dir, "state")
		if err := copyState(state); err != nil {
			return nil, err
		}
		s, err := newSim(state, args...)
		if err != nil {
			return nil, err
		}
		atEnd(func() error {
			err := s.stop()
			os.RemoveAll(dir)
			return err
		})
		return s, nil
	})
	var prepared sync.Once
	return func(t testing.TB) *sim {
		t.Helper()
		s, err := begin()
		if err != nil {
			t.Fatal(err)
		}
		s = s.in(t)
		if prepare != nil {
			prepared.Do(func() { prepare(s) })
		}
		return s
	}
}

var (
	// shared takes the captures of all tests that need no sbisim for themselves.
	shared = oneOf(nil)
	// idle takes none: its devices are always Ready.
	idle = oneOf(nil)
	// deserted has nobody at its scanners: a request that is not refused for
	// itself is answered with code 101 when its time is over.
	deserted = oneOf(func(s *sim) { s.control("scanner", `{"type":"Biometric Device","present":false}`) })
	// awkward belongs to somebody whose name is hard to write in JSON and base64.
	awkward = oneOf(nil, "--organisation", awkwardName)
)

const awkwardName = `Société ?>~ "指紋" & <Söhne>` + "\x7f"

// A scene is what a capture request asks of which device.
type scene struct {
	purpose            sbi.Purpose
	kind               string // Finger, Iris or Face
	device, sub, count string
}

var (
	leftSlap   = scene{sbi.Registration, "Finger", "1", "1", "4"}
	rightSlap  = scene{sbi.Registration, "Finger", "1", "2", "4"}
	thumbs     = scene{sbi.Registration, "Finger", "1", "3", "2"}
	leftIris   = scene{sbi.Registration, "Iris", "2", "1", "1"}
	rightIris  = scene{sbi.Registration, "Iris", "2", "2", "1"}
	bothIrises = scene{sbi.Registration, "Iris", "2", "3", "2"}
	face       = scene{sbi.Registration, "Face", "3", "0", "1"}
	authFinger = scene{sbi.Auth, "Finger", "4", "0", "1"}
	authIris   = scene{sbi.Auth, "Iris", "5", "0", "1"}
	authFace   = scene{sbi.Auth, "Face", "6", "0", "1"}
)

func (sc scene) verb() string {
	if sc.purpose == sbi.Auth {
		return "CAPTURE"
	}
	return "RCAPTURE"
}

// absent takes a member out of a request.
type absent struct{}

// request returns the request for a scene as the compliance toolkit writes it,
// for any picture at all. Changes are the names of members, with bio. before
// those of the biometric, and their values.
func (sc scene) request(changes ...any) object {
	bio := object{
		"type": sc.kind, "count": sc.count, "bioSubType": []string{}, "requestedScore": "0",
		"deviceId": sc.device, "deviceSubId": sc.sub, "previousHash": "",
	}
	req := object{
		"env": "Developer", "purpose": string(sc.purpose), "specVersion": "0.9.5", "timeout": "120000",
		"captureTime": "2024-01-01T00:00:00.000Z", "transactionId": "SBI1002-123",
		"bio": []any{bio}, "customOpts": nil,
	}
	if sc.purpose == sbi.Auth {
		req["domainUri"] = ""
	} else {
		bio["exception"] = []string{}
	}
	for i := 0; i < len(changes); i += 2 {
		in, name := req, changes[i].(string)
		if inner, ok := strings.CutPrefix(name, "bio."); ok {
			in, name = bio, inner
		}
		if changes[i+1] == (absent{}) {
			delete(in, name)
			continue
		}
		in[name] = changes[i+1]
	}
	return req
}

// An answer is what came back for a capture.
type answer struct {
	t       testing.TB
	sim     *sim
	request object
	body    []byte
	began   time.Time
	took    time.Duration
}

// capture takes a scene with changes of its request. Captures of a device wait
// for each other.
func (s *sim) capture(sc scene, changes ...any) answer {
	s.t.Helper()
	return s.captureAs(nil, sc, changes...)
}

// captureAs is capture with header fields.
func (s *sim) captureAs(header []string, sc scene, changes ...any) answer {
	s.t.Helper()
	turn, _ := s.turns.LoadOrStore(sc.device, new(sync.Mutex))
	turn.(*sync.Mutex).Lock()
	defer turn.(*sync.Mutex).Unlock()
	url := s.registration
	if sc.purpose == sbi.Auth {
		url = s.auth
	}
	a := answer{t: s.t, sim: s, request: sc.request(changes...), began: time.Now()}
	resp, body := s.call(sc.verb(), url+"/capture", a.request, header...)
	a.body, a.took = body, time.Since(a.began)
	if resp.StatusCode != http.StatusOK {
		s.t.Errorf("%s: status %s", sc.verb(), resp.Status)
	}
	return a
}

// biometrics returns the elements as they came.
func (a answer) biometrics() []object {
	a.t.Helper()
	top := parse[map[string][]object](a.t, a.body)
	same(a.t, "members of the answer", slices.Sorted(maps.Keys(top)), []string{"biometrics"})
	if len(top["biometrics"]) == 0 {
		a.t.Fatalf("no element in %.300s", a.body)
	}
	return top["biometrics"]
}

// refused returns code and text of the error that the answer is.
func (a answer) refused() (code, info string) {
	a.t.Helper()
	all := a.biometrics()
	same(a.t, "number of elements", len(all), 1)
	fault, ok := all[0]["error"].(object)
	if !ok || fault["errorCode"] == "0" {
		a.t.Fatalf("no error in %.300s", a.body)
	}
	same(a.t, "error element", all[0], object{"specVersion": "0.9.5", "data": "", "hash": "", "error": fault})
	same(a.t, "members of the error", members(fault), []string{"errorCode", "errorInfo"})
	return fault["errorCode"].(string), fault["errorInfo"].(string)
}

// wantCode fails the test unless the answer is an error with this code.
func (a answer) wantCode(what, want string) {
	a.t.Helper()
	if code, info := a.refused(); code != want {
		a.t.Errorf("%s: error %s (%s), want %s", what, code, info, want)
	}
}

// A biometric is one element of an answer, taken apart.
type biometric struct {
	wire    object // as it came
	data    token
	id      token  // the digital ID in data
	record  []byte // ISO/IEC 19794, decrypted
	subType string
}

// elements takes an answer apart that must be a success. Every signature is
// checked on the way and auth captures are decrypted.
func (a answer) elements() []biometric {
	a.t.Helper()
	var all []biometric
	for _, wire := range a.biometrics() {
		text, _ := wire["data"].(string)
		if text == "" {
			a.t.Fatalf("no data in %v", wire)
		}
		b := biometric{wire: wire, data: readToken(a.t, text)}
		b.id = readToken(a.t, b.data.text("digitalId"))
		b.subType, _ = b.data.payload["bioSubType"].(string)
		value, err := base64.RawURLEncoding.Strict().DecodeString(b.data.text("bioValue"))
		if err != nil {
			a.t.Fatalf("bioValue: %v", err)
		}
		b.record = value
		if b.data.payload["purpose"] == "Auth" {
			b.record = a.decrypt(wire, b.data, value)
		}
		all = append(all, b)
	}
	return all
}

// decrypt does what ID authentication does with an element.
func (a answer) decrypt(wire object, data token, value []byte) []byte {
	a.t.Helper()
	key, err := attest.ReadKey(filepath.Join(a.sim.state, "trust", "encryption-key.pem"))
	if err != nil {
		a.t.Fatal(err)
	}
	return decryptWith(a.t, key, wire, data, value)
}

func decryptWith(t testing.TB, key *rsa.PrivateKey, wire object, data token, value []byte) []byte {
	t.Helper()
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(wire["sessionKey"].(string))
	if err != nil {
		t.Fatalf("sessionKey: %v", err)
	}
	session, err := rsa.DecryptOAEP(sha256.New(), nil, key, sealed, nil)
	if err != nil {
		t.Fatalf("sessionKey: %v", err)
	}
	// Timestamp XOR transaction id, the shorter with zeros in front: its end is
	// nonce and additional data.
	timestamp, transaction := data.text("timestamp"), data.text("transactionId")
	x := make([]byte, max(len(timestamp), len(transaction)))
	for i := range x {
		for _, s := range []string{timestamp, transaction} {
			if at := i - len(x) + len(s); at >= 0 {
				x[i] ^= s[at]
			}
		}
	}
	block, err := aes.NewCipher(session)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	record, err := gcm.Open(nil, x[len(x)-12:], value, x[len(x)-16:])
	if err != nil {
		t.Fatalf("bioValue does not decrypt: %v", err)
	}
	return record
}

// A token is a signed payload.
type token struct {
	t       testing.TB
	raw     string
	header  object
	payload object
	json    string // the payload as it was signed
	signed  *attest.Verified
}

// text returns a member of the payload that must be a text.
func (k token) text(name string) string {
	k.t.Helper()
	s, ok := k.payload[name].(string)
	if !ok {
		k.t.Fatalf("%s is %v in %.300s", name, k.payload[name], k.json)
	}
	return s
}

// readToken takes a token apart as browsers do, and checks its signature.
func readToken(t testing.TB, raw string) token {
	t.Helper()
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts in token %.80s", len(parts), raw)
	}
	k := token{t: t, raw: raw, json: atob(t, parts[1])}
	k.header = parse[object](t, []byte(atob(t, parts[0])))
	k.payload = parse[object](t, []byte(k.json))
	var err error
	if k.signed, err = attest.Verify(raw); err != nil {
		t.Fatal(err)
	}
	if string(k.signed.Payload) != k.json {
		t.Fatal("the payload is not what was signed")
	}
	return k
}

// trusts returns the error of a check that a domain trusts who signed.
func (s *sim) trusts(domain attest.Domain, k token) error {
	s.t.Helper()
	trust, err := attest.ReadTrust(filepath.Join(s.state, "trust"))
	if err != nil {
		s.t.Fatal(err)
	}
	return trust.Check(domain, k.signed.Leaf(), time.Now())
}

// atob decodes base64 as the function of that name in browsers: without
// padding, too, but never the alphabet of base64url.
func atob(t testing.TB, text string) string {
	t.Helper()
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		t.Fatalf("atob fails on %.80s: %v", text, err)
	}
	return string(b)
}

func parse[T any](t testing.TB, text []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %.300s", err, text)
	}
	return v
}

func members(o object) []string { return slices.Sorted(maps.Keys(o)) }

// discover returns the entries of MOSIPDISC for a device type.
func (s *sim) discover(url, kind string) []object {
	s.t.Helper()
	_, body := s.call("MOSIPDISC", url+"/device", object{"type": kind})
	return parse[[]object](s.t, body)
}

// info returns the entries of MOSIPDINFO.
func (s *sim) info(url string) []object {
	s.t.Helper()
	_, body := s.call("MOSIPDINFO", url+"/info", nil)
	return parse[[]object](s.t, body)
}

// endpoints returns where both purposes answer.
func (s *sim) endpoints() []string { return []string{s.registration, s.auth} }

// status returns the status and error code of a device by MOSIPDISC.
func (s *sim) status(sc scene) (status, code string) {
	s.t.Helper()
	url := s.registration
	if sc.purpose == sbi.Auth {
		url = s.auth
	}
	for _, d := range s.discover(url, sc.kind) {
		if d["deviceId"] == sc.device {
			return d["deviceStatus"].(string), d["error"].(object)["errorCode"].(string)
		}
	}
	s.t.Fatalf("device %s is not listed", sc.device)
	return "", ""
}

// awaitStatus waits until a device says a status.
func (s *sim) awaitStatus(sc scene, want string) {
	s.t.Helper()
	for limit := time.Now().Add(30 * time.Second); ; {
		got, _ := s.status(sc)
		if got == want {
			return
		}
		if time.Now().After(limit) {
			s.t.Fatalf("device %s is still %s, want %s", sc.device, got, want)
		}
	}
}

// once returns what the shared sbisim answers for a scene; it takes it once.
func once(sc scene, changes ...any) func(testing.TB) answer {
	var first sync.Once
	var a answer
	return func(t testing.TB) answer {
		t.Helper()
		first.Do(func() { a = shared(t).capture(sc, changes...) })
		if a.body == nil {
			t.Fatal("this capture failed in the test that came first")
		}
		mine := a
		mine.t, mine.sim = t, a.sim.in(t)
		return mine
	}
}

// Captures that many tests look at.
var (
	takenSlap       = once(leftSlap)
	takenIrises     = once(bothIrises)
	takenFace       = once(face)
	takenAuthFinger = once(authFinger)
	takenTwoFingers = once(authFinger, "bio.count", "2", "bio.bioSubType", []string{"UNKNOWN", "UNKNOWN"})
	takenAuthIris   = once(authIris, "domainUri", "https://login.example.org")
	takenAuthFace   = once(authFace)

	takenRegistration = []func(testing.TB) answer{takenSlap, takenIrises, takenFace}
	takenAuth         = []func(testing.TB) answer{takenAuthFinger, takenTwoFingers, takenAuthIris, takenAuthFace}
	taken             = slices.Concat(takenRegistration, takenAuth)
)
