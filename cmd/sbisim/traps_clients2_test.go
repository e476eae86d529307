package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestClient21CaptureTimeIsNotLookedAt(t *testing.T) {
	t.Parallel()
	for _, value := range []any{nil, absent{}, "", "2026-01-02T08:34:05.123456", "2026-01-02T03:04:05.678Z", "yesterday", 1767322445678, []int{2026}} {
		deserted(t).capture(leftIris, "captureTime", value, "timeout", "1").wantCode(fmt.Sprint("captureTime ", value), "101")
	}
}

func TestClient22NoEnvMeansTheDevicesOwn(t *testing.T) {
	t.Parallel()
	own := readToken(t, idle(t).info(idle(t).registration)[0]["deviceInfo"].(string)).text("env")
	same(t, "env", shared(t).capture(leftIris, "env", nil).elements()[0].data.text("env"), own)
}

func TestClient23SubTypesOfAFaceAreIgnored(t *testing.T) {
	t.Parallel()
	for _, sc := range []scene{face, authFace} {
		for _, value := range []any{nil, absent{}, []string{}, []any{nil}, []string{"null"}, []string{"UNKNOWN"}} {
			deserted(t).capture(sc, "bio.bioSubType", value, "timeout", "1").wantCode(fmt.Sprint("bioSubType ", value), "101")
		}
	}
}

func TestClient24CountIsOfTheSensorNotOfTheSubTypes(t *testing.T) {
	t.Parallel()
	s := deserted(t)
	unknown, ring := []string{"UNKNOWN"}, "Left RingFinger"
	for _, tt := range []struct {
		scene
		count               string
		subTypes, exception any
		code                string
	}{
		{leftSlap, "4", nil, nil, "101"},
		{leftSlap, "4", unknown, nil, "101"},
		{leftSlap, "3", nil, []string{ring}, "101"},
		{leftSlap, "2", nil, []any{ring, nil}, "101"}, // the client subtracts what it cannot name
		{leftSlap, "1", []string{ring}, nil, "101"},
		{leftSlap, "3", nil, nil, "109"},
		{leftSlap, "4", nil, []string{ring}, "109"},
		{leftSlap, "0", nil, nil, "109"},
		{leftSlap, "11", nil, nil, "109"},
		{leftSlap, "-1", nil, nil, "109"},
		{leftSlap, "2", []string{ring}, nil, "109"},
		{leftSlap, "four", nil, nil, "500"},
		{leftSlap, "1", []string{"Right RingFinger"}, nil, "500"},
		{leftSlap, "2", []string{ring, ring}, nil, "500"},
		{leftSlap, "1", []string{"Left Ring"}, nil, "500"},
		{authFinger, "1", unknown, nil, "101"},
		{authFinger, "10", nil, nil, "101"},
		{authFinger, "2", unknown, nil, "101"},
		{authFinger, "0", nil, nil, "109"},
		{authFinger, "11", nil, nil, "109"},
		{authFinger, "1", []string{"UNKNOWN", "UNKNOWN"}, nil, "109"},
		{authIris, "2", unknown, nil, "101"},
		{authIris, "3", unknown, nil, "109"},
		{face, "1", nil, []string{ring, "Right"}, "101"},
		{face, "0", nil, nil, "109"},
	} {
		a := s.capture(tt.scene, "bio.count", tt.count, "bio.bioSubType", tt.subTypes, "bio.exception", tt.exception, "timeout", "1")
		a.wantCode(fmt.Sprintf("%s %s: count %s, subtypes %v, exceptions %v", tt.kind, tt.sub, tt.count, tt.subTypes, tt.exception), tt.code)
	}
}

func TestClient25MissingTransactionIDIs112(t *testing.T) {
	t.Parallel()
	for _, sc := range []scene{leftSlap, authFinger} {
		for _, id := range []any{nil, absent{}, "", "abc"} {
			deserted(t).capture(sc, "transactionId", id, "timeout", "1").wantCode(fmt.Sprint("transaction id ", id), "112")
		}
	}
	b := shared(t).capture(leftIris, "transactionId", "Case-Kept-433c4e0e").elements()[0]
	same(t, "transaction id", b.data.text("transactionId"), "Case-Kept-433c4e0e")
}

func TestClient26QualityIsANumberInText(t *testing.T) {
	t.Parallel()
	for _, shot := range taken {
		for _, b := range shot(t).elements() {
			text := b.data.text("qualityScore")
			score, err := strconv.ParseFloat(text, 64)
			whole, _, _ := strings.Cut(text, ".")
			if n, e := strconv.Atoi(whole); err != nil || e != nil || n < 0 || score > 100 {
				t.Errorf("qualityScore %q", text)
			}
		}
	}
}

func TestClient27CustomOptionsBringNoMembers(t *testing.T) {
	t.Parallel()
	b := shared(t).capture(leftIris, "customOpts", object{"preview": true, "additionalInfo": []any{object{"key": "a", "value": 1}}}).elements()[0]
	same(t, "members of the element", members(b.wire), wireMembers)
	same(t, "members of data", members(b.data.payload), dataMembers)
}

func TestClient28PayloadsAreASCII(t *testing.T) {
	t.Parallel()
	b := awkward(t).capture(leftIris).elements()[0]
	for _, text := range []string{b.data.json, b.id.json} {
		if i := strings.IndexFunc(text, func(r rune) bool { return r >= 0x7F || r < ' ' }); i >= 0 {
			t.Errorf("payload has %q at byte %d", text[i], i)
		}
	}
	same(t, "deviceProvider", b.id.text("deviceProvider"), awkwardName)
}

func TestClient29NothingIsPadded(t *testing.T) {
	t.Parallel()
	for _, shot := range taken {
		for _, b := range shot(t).elements() {
			for _, text := range []string{b.data.raw, b.id.raw, b.data.text("bioValue")} {
				if strings.Contains(text, "=") {
					t.Errorf("padding in %.80s", text)
				}
			}
			if key, ok := b.wire["sessionKey"].(string); ok && strings.Contains(key, "=") {
				t.Errorf("padding in session key %s", key)
			}
		}
	}
}

// The registration client takes the record out of the signed text, and weeks
// later the registration processor puts it in again.
func TestClient30SignedTextIsRebuiltFromTheRecord(t *testing.T) {
	t.Parallel()
	for _, shot := range takenRegistration {
		for _, b := range shot(t).elements() {
			parts := strings.Split(b.data.raw, ".")
			signature := parts[0] + ".." + parts[2]
			// The value is the quoted text after the first place where its name stands.
			_, after, found := strings.Cut(b.data.json, "bioValue")
			if !found {
				t.Fatal("no bioValue")
			}
			quoted := strings.SplitN(after, `"`, 4)
			if len(quoted) < 4 || quoted[1] != ":" {
				t.Fatalf("after bioValue comes %.40s", after)
			}
			payload := strings.ReplaceAll(b.data.json, `"`+quoted[2]+`"`, `"<bioValue>"`)
			if len(payload) > 10_000 {
				t.Fatalf("%d bytes are left without the record", len(payload))
			}

			text := strings.Replace(payload, "<bioValue>", base64.RawURLEncoding.EncodeToString(b.record), 1)
			rebuilt := strings.Replace(signature, "..", "."+base64.RawURLEncoding.EncodeToString([]byte(text))+".", 1)
			if rebuilt != b.data.raw {
				t.Error("the rebuilt token is another one")
			}
		}
	}
}

func TestClient31MediaTypeOfARequestIsIgnored(t *testing.T) {
	t.Parallel()
	s := deserted(t)
	for _, kind := range []string{"content-type; charset=UTF-8", "text/plain", "", "multipart/form-data", "application/json;charset=UTF-16"} {
		s.captureAs([]string{"Content-Type", kind}, leftSlap, "timeout", "1").wantCode("content type "+kind, "101")
		if _, body := s.call("MOSIPDISC", s.registration+"/device", `{"type":"Iris"}`, "Content-Type", kind); len(parse[[]object](t, body)) != 1 {
			t.Errorf("content type %s: discovery %s", kind, body)
		}
	}
}

func TestClient32LowestFreePortIsTaken(t *testing.T) {
	t.Parallel()
	first := freePorts(t, 4)
	hold(t, first)
	hold(t, first+2)
	s := start(t, "--ports", fmt.Sprintf("%d-%d", first, first+3))
	same(t, "registration", s.registration, fmt.Sprintf("http://127.0.0.1:%d", first+1))
	same(t, "auth", s.auth, fmt.Sprintf("http://127.0.0.1:%d", first+3))
}

// A usable picture below the requested score is answered just after the
// timeout, not before it: the compliance toolkit fails whoever is earlier, and
// clients that give up at the timeout itself ask for scores that are reached.
func TestClient33AnswerComesJustAfterTheTimeout(t *testing.T) {
	t.Parallel()
	const timeout, late = 300 * time.Millisecond, 200 * time.Millisecond
	for name, s := range map[string]*sim{"nothing": deserted(t), "below the score": shared(t)} {
		prompt := false
		for try := 0; try < 30 && !prompt; try++ { // a loaded machine may be late
			a := s.capture(authFinger, "timeout", "300", "bio.requestedScore", "100")
			if a.took < timeout {
				t.Fatalf("%s: answered after %v, before the timeout", name, a.took)
			}
			prompt = a.took <= timeout+late
		}
		if !prompt {
			t.Errorf("%s: always more than %v late", name, late)
		}
	}
}

func TestClient34DiscoveryIsPromptDuringACapture(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.begin(face, "bio.requestedScore", "100")
	s.awaitStatus(face, "Busy")
	prompt := false
	for try := 0; try < 10 && !prompt; try++ {
		begin := time.Now()
		s.discover(s.registration, "Biometric Device")
		prompt = time.Since(begin) < 1030*time.Millisecond
	}
	if !prompt {
		t.Error("discovery always took longer than clients wait")
	}
	c.hangUp()
}

func TestClient35ConnectionIsClosedAfterEachAnswer(t *testing.T) {
	t.Parallel()
	s := idle(t)
	c := s.dial(s.registration, request("MOSIPDISC", s.registration, `{"type":"Finger"}`, "Connection", "Keep-Alive"))
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if !resp.Close {
		t.Error("the answer does not say Connection: close")
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
	if _, err := c.in.ReadByte(); err != io.EOF {
		t.Errorf("after the answer: %v, want the end", err)
	}
}

func TestClient36DomainURIIsEchoedWhereThereIsOne(t *testing.T) {
	t.Parallel()
	for _, uri := range []any{"", "default", nil, absent{}} {
		for _, b := range shared(t).capture(authIris, "domainUri", uri).elements() {
			got, there := b.data.payload["domainUri"]
			if text, sent := uri.(string); there != sent || sent && got != text {
				t.Errorf("domainUri %v was answered with %v", uri, got)
			}
		}
	}
}

func TestClient37ErrorElementHasFourMembers(t *testing.T) {
	t.Parallel()
	a := deserted(t).capture(leftSlap, "timeout", "1")
	a.refused()
	want := `{"biometrics":[{"specVersion":"0.9.5","data":"","hash":"","error":{"errorCode":"101","errorInfo":"Nothing was placed on the scanner in time."}}]}`
	same(t, "answer", string(a.body), want)
}

// Clients drop a whole capture for one bad element.
func TestClient38AnswerIsWholeOrAnError(t *testing.T) {
	t.Parallel()
	s := start(t, "--frames", pictures(t, "left-index"))
	s.capture(leftSlap, "timeout", "300").wantCode("one finger of four", "102")
	all := s.capture(leftSlap, "bio.count", "1", "bio.bioSubType", []string{"Left IndexFinger"}).elements()
	same(t, "fingers", subTypes(all), []string{"Left IndexFinger"})
}

func TestClient39NotRegisteredHasAnEmptyPurpose(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.control("status", `{"type":"Iris","deviceStatus":"Not Registered"}`)
	for _, url := range s.endpoints() {
		d := s.discover(url, "Iris")[0]
		same(t, "purpose", d["purpose"], any(""))
		same(t, "members", members(d), discoveryMembers)
	}
}

func TestClient40PreflightIsAnsweredForEveryVerb(t *testing.T) {
	t.Parallel()
	const page = "https://portal.example.org"
	s := start(t, "--allow-origin", page)
	for verb, path := range map[string]string{"MOSIPDISC": "/device", "MOSIPDINFO": "/info", "CAPTURE": "/capture", "RCAPTURE": "/capture", "STREAM": "/stream"} {
		for _, headers := range []string{"", "content-type", "accept,content-type"} {
			for _, private := range []string{"", "true"} {
				ask := []string{"Origin", page, "Access-Control-Request-Method", verb}
				if headers != "" {
					ask = append(ask, "Access-Control-Request-Headers", headers)
				}
				if private != "" {
					ask = append(ask, "Access-Control-Request-Private-Network", private)
				}
				resp, body := s.call("OPTIONS", s.auth+path, nil, ask...)
				h := resp.Header
				same(t, "preflight of "+verb, []string{resp.Status, string(body), h.Get("Access-Control-Allow-Origin"),
					h.Get("Access-Control-Allow-Private-Network"), h.Get("Access-Control-Max-Age"), h.Get("Access-Control-Allow-Credentials")},
					[]string{"204 No Content", "", page, private, "600", ""})
				if !slices.Contains(listed(h.Get("Access-Control-Allow-Methods")), verb) {
					t.Errorf("%s is not among the methods %s", verb, h.Get("Access-Control-Allow-Methods"))
				}
				for _, name := range listed(headers) {
					if !slices.Contains(listed(strings.ToLower(h.Get("Access-Control-Allow-Headers"))), name) {
						t.Errorf("%s is not among the headers %s", name, h.Get("Access-Control-Allow-Headers"))
					}
				}
				if !slices.ContainsFunc(h.Values("Vary"), func(v string) bool { return strings.Contains(v, "Origin") }) {
					t.Errorf("Vary %v", h.Values("Vary"))
				}
			}
		}
		resp, _ := s.call(verb, s.auth+path, `{}`, "Origin", page)
		same(t, "origin in the answer to "+verb, resp.Header.Get("Access-Control-Allow-Origin"), page)
		resp, _ = s.call("OPTIONS", s.auth+path, nil, "Origin", "https://evil.example", "Access-Control-Request-Method", verb)
		same(t, "origin in the answer to a stranger", resp.Header.Get("Access-Control-Allow-Origin"), "")
	}
	v := s.openStream(`{"deviceId":"2","deviceSubId":"1"}`, "Origin", page)
	same(t, "origin of a stream", v.response.Header.Get("Access-Control-Allow-Origin"), page)
	v.close()
}

// listed returns the entries of a header field that is a list.
func listed(field string) []string {
	var all []string
	for entry := range strings.SplitSeq(field, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			all = append(all, entry)
		}
	}
	return all
}
