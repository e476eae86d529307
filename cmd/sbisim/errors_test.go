package main

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every code that a capture can be answered with, brought about by an operator
// or by the request. Those that need other keys or no device at all are tested
// at the wire itself.
func TestEveryCodeOfACapture(t *testing.T) {
	t.Parallel()
	_, over, _ := encryptionCertificate(t, -time.Hour)
	s := start(t, "--encryption-certificate", over)
	s.control("scanner", `{"type":"Biometric Device","present":false}`)
	const ready = `{"type":"Iris","deviceStatus":"Ready"}`
	for _, tt := range []struct {
		name, code        string
		control, order    string // before the capture
		scene             scene
		request           []any
		controlAfter, end string // after it
	}{
		{"not registered", "100", "status", `{"type":"Iris","deviceStatus":"Not Registered"}`, leftIris, nil, "status", ready},
		{"nothing there", "101", "", "", leftIris, nil, "", ""},
		{"unusable", "102", "fault", "unusable", leftIris, nil, "", ""},
		{"tampered with", "103", "fault", "tampered", leftIris, nil, "", ""},
		{"no management server", "104", "fault", "management-server", leftIris, nil, "", ""},
		{"turned", "105", "fault", "orientation", leftIris, nil, "", ""},
		{"unknown device", "106", "", "", leftIris, []any{"bio.deviceId", "77"}, "", ""},
		{"key expired", "107", "fault", "key-expired", leftIris, nil, "", ""},
		{"encryption certificate expired", "108", "", "", authIris, nil, "", ""},
		{"no encryption certificate", "108", "fault", "no-encryption-certificate", leftIris, nil, "", ""},
		{"count", "109", "", "", leftIris, []any{"bio.count", "2"}, "", ""},
		{"claimed not ready", "110", "status", `{"type":"Iris","deviceStatus":"Not Ready"}`, leftIris, nil, "status", ready},
		{"warming up", "110", "fault", "not-ready", leftIris, nil, "", ""},
		{"not plugged in", "110", "scanner", `{"type":"Iris","plugged":false}`, leftIris, nil, "scanner", `{"type":"Iris","plugged":true}`},
		{"claimed busy", "111", "status", `{"type":"Iris","deviceStatus":"Busy"}`, leftIris, nil, "status", ready},
		{"transaction id", "112", "", "", leftIris, []any{"transactionId", "a_b"}, "", ""},
		{"wrong request", "500", "", "", leftIris, []any{"bio.type", "IRIS"}, "", ""},
		{"wrong purpose", "500", "", "", leftIris, []any{"purpose", "Auth"}, "", ""},
		{"wrong version", "500", "", "", leftIris, []any{"specVersion", "1.0.0"}, "", ""},
		{"no time", "500", "", "", leftIris, []any{"timeout", "0"}, "", ""},
		{"unplugged", "501", "fault", "removed", leftIris, nil, "", ""},
		{"no signing key", "503", "fault", "no-signing-key", leftIris, nil, "", ""},
		{"anything else", "599", "fault", "broken", leftIris, nil, "", ""},
	} {
		switch tt.control {
		case "":
		case "fault":
			s.control("fault", `{"type":"Iris","fault":"`+tt.order+`"}`)
			tt.controlAfter, tt.end = "fault", `{"type":"Iris","fault":""}`
		default:
			s.control(tt.control, tt.order)
		}
		s.capture(tt.scene, append([]any{"timeout", "50"}, tt.request...)...).wantCode(tt.name, tt.code)
		if tt.controlAfter != "" {
			s.control(tt.controlAfter, tt.end)
		}
		same(t, "status after "+tt.name, statusOf(s, leftIris), "Ready")
	}
}

func TestWrongRequestsOfEveryVerb(t *testing.T) {
	t.Parallel()
	s := deserted(t)
	for _, verb := range []string{"MOSIPDISC", "SBIDISC"} {
		_, body := s.call(verb, s.registration+"/device", `{"type":"Foot"}`)
		same(t, verb, parse[[]object](t, body), []object{{"error": object{"errorCode": "500", "errorInfo": "The program sent a request that is not valid."}}})
	}
	for name, changes := range map[string][]any{
		"purpose of the other port": {"purpose", "Auth"},
		"no type":                   {"bio.type", absent{}},
		"type of another device":    {"bio.type", "Finger"},
		"timeout beyond measure":    {"timeout", "600001"},
		"timeout that is negative":  {"timeout", "-5"},
		"timeout with a fraction":   {"timeout", "1000.5"},
		"timeout of a list":         {"timeout", []string{"1000"}},
		"count of a truth":          {"bio.count", true},
		"two biometrics":            {"bio", []any{object{}, object{}}},
		"no biometric":              {"bio", []any{}},
		"exceptions of no name":     {"bio.exception", []string{"Nose"}},
		"exceptions as text":        {"bio.exception", "Left"},
		"sensor of another scanner": {"bio.deviceSubId", "4"},
	} {
		s.capture(leftIris, changes...).wantCode(name, "500")
	}
	resp, body := s.call("GET", s.registration+"/capture", nil)
	if resp.StatusCode != 405 || !bytes.Contains(body, []byte(`"errorCode":"500"`)) {
		t.Errorf("GET /capture: %s, %s", resp.Status, body)
	}
	resp, body = s.call("RCAPTURE", s.registration+"/elsewhere", `{}`)
	if resp.StatusCode != 404 || !bytes.Contains(body, []byte(`"errorCode":"500"`)) {
		t.Errorf("RCAPTURE /elsewhere: %s, %s", resp.Status, body)
	}
}

func TestErrorTextsAreInTheClientsLanguage(t *testing.T) {
	t.Parallel()
	s := deserted(t)
	texts := map[string]string{
		"en":                      "Nothing was placed on the scanner in time.",
		"fr":                      "Rien n'a été posé sur le lecteur à temps.",
		"fr-CA,fr;q=0.9,en;q=0.8": "Rien n'a été posé sur le lecteur à temps.",
		"am,en;q=0.5":             "Nothing was placed on the scanner in time.",
		"":                        "Nothing was placed on the scanner in time.",
	}
	for language, want := range texts {
		code, info := s.captureAs([]string{"Accept-Language", language}, leftIris, "timeout", "1").refused()
		same(t, "error in "+language, [2]string{code, info}, [2]string{"101", want})
	}
}

func TestSecondCaptureIsBusy(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.control("scanner", `{"type":"Biometric Device","present":false}`)
	for _, sc := range []scene{leftIris, authFace} {
		url := map[string]string{"RCAPTURE": s.registration, "CAPTURE": s.auth}[sc.verb()]
		first := s.begin(sc, "timeout", "20000")
		s.awaitStatus(sc, "Busy")
		for range 3 {
			_, body := s.call(sc.verb(), url+"/capture", sc.request())
			answer{t: t, body: body}.wantCode("second capture", "111")
		}
		s.control("fault", `{"type":"Biometric Device","fault":"tampered"}`) // ends the first
		first.answer().wantCode("first capture", "103")
		s.control("fault", `{"type":"Biometric Device","fault":""}`)
		same(t, "status afterwards", statusOf(s, sc), "Ready")
	}
}

func TestHangUpEndsTheCapture(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.control("scanner", `{"type":"Biometric Device","present":false}`)
	for _, sc := range []scene{leftIris, face, authFinger} {
		for range 3 {
			c := s.begin(sc, "timeout", "300000")
			s.awaitStatus(sc, "Busy")
			c.hangUp()
			s.awaitStatus(sc, "Ready") // long before the timeout
		}
		s.capture(sc, "timeout", "1").wantCode("capture afterwards", "101")
	}
	if n := strings.Count(s.log.String(), "code=502"); n == 0 {
		t.Errorf("the log does not tell of the captures that were stopped:\n%s", s.log)
	}
}

func TestUnpluggingEndsTheCapture(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.control("scanner", `{"type":"Biometric Device","present":false}`)
	c := s.begin(leftIris)
	s.awaitStatus(leftIris, "Busy")
	s.control("scanner", `{"type":"Iris","plugged":false}`)
	c.answer().wantCode("capture under way", "501")
	status, code := s.status(leftIris)
	same(t, "status and code", [2]string{status, code}, [2]string{"Not Ready", "110"})
	s.control("scanner", `{"type":"Iris","plugged":true}`)
	s.capture(leftIris, "timeout", "1").wantCode("capture afterwards", "101")
}

// A capture that was begun with the old key is good, and the next has the new.
func TestRotation(t *testing.T) {
	t.Parallel()
	s := start(t)
	before := s.capture(leftIris).elements()[0].data.signed.Leaf()
	s.control("rotate", `{"type":"Iris"}`)
	b := s.capture(leftIris).elements()[0]
	after := b.data.signed.Leaf()
	if before.Equal(after) || after.NotBefore.Before(before.NotBefore) {
		t.Errorf("certificate %s from %s follows %s from %s", after.SerialNumber, after.NotBefore, before.SerialNumber, before.NotBefore)
	}
	if err := s.trusts("DEVICE", b.data); err != nil {
		t.Error(err)
	}
	same(t, "certificate of the digital id", b.id.signed.Leaf().Equal(after), true)
}

// What an operator mistypes must not pass for done.
func TestControlRefusesMistakes(t *testing.T) {
	t.Parallel()
	s := idle(t)
	for _, order := range [][2]string{
		{"status", `{"type":"Iris","deviceStatus":"ready"}`},
		{"status", `{"type":"Iris"}`},
		{"status", `{"type":"Nose","deviceStatus":"Ready"}`},
		{"status", `{"deviceStatus":"Ready"}`},
		{"status", `{"type":"Iris","deviceStatus":"Ready","typo":1}`},
		{"status", `{"type":"Iris","deviceStatus":"Ready"} {}`},
		{"status", ``},
		{"status", `"` + strings.Repeat("x", maxOrder) + `"`},
		{"scanner", `{"type":"Iris"}`},
		{"scanner", `{"type":"Iris","plugged":"no"}`},
		{"fault", `{"type":"Iris"}`},
		{"fault", `{"type":"Iris","fault":"earthquake"}`},
	} {
		_, body := s.call("POST", s.auth+"/admin/"+order[0], order[1])
		answer := parse[map[string]string](t, body)
		same(t, "members", slices.Sorted(maps.Keys(answer)), []string{"errorCode", "errorInfo"})
		if answer["errorCode"] != "500" || answer["errorInfo"] == "" {
			t.Errorf("%s %.60s: %s", order[0], order[1], body)
		}
	}
	resp, _ := s.call("POST", s.auth+"/admin/status", `{"type":"Iris","deviceStatus":"Busy"}`, "Origin", "https://evil.example")
	same(t, "status of a page's order", resp.StatusCode, 403)
	same(t, "status of the device", statusOf(s, leftIris), "Ready")
}
