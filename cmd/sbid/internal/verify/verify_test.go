package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sbid/capture/cbeff"
	"sbid/cmd/sbid/internal/sbitest"
	"sbid/driver"
	"sbid/sbi/client"
)

var keys *sbitest.Keys

func TestMain(m *testing.M) { os.Exit(sbitest.TestMain(m, &keys)) }

// slap is a request for two fingers of the left hand; auth one for any finger.
var (
	slap = client.Request{Env: "Developer", Timeout: time.Second, TransactionID: "transaction-1", Bio: []client.Bio{{
		Type: "Finger", Count: 2, SubTypes: []string{"Left IndexFinger", "Left MiddleFinger"}, Score: 60, DeviceID: "1", SubID: "1",
	}}}
	face = client.Request{Env: "Developer", Timeout: time.Second, TransactionID: "transaction-1", Bio: []client.Bio{{
		Type: "Face", Count: 1, Score: 60, DeviceID: "3", SubID: "0",
	}}}
	auth = client.Request{Env: "Developer", Timeout: time.Second, TransactionID: "transaction-1", Bio: []client.Bio{{
		Type: "Finger", Count: 1, SubTypes: []string{"UNKNOWN"}, Score: 60, DeviceID: "4", SubID: "0",
	}}}
)

// judging is what a test judges by: everything there is.
func judging() Options {
	return Options{Trust: keys.Trust(), Organisation: sbitest.Organisation, Key: keys.Opener()}
}

func rcapture(t *testing.T, s *sbitest.Service, r client.Request) []byte {
	t.Helper()
	answer, err := client.New().RCapture(t.Context(), s.Port, r)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Raw
}

func mustJudge(t *testing.T, b []byte, o Options) Report {
	t.Helper()
	report, err := Bytes(b, o)
	if err != nil {
		t.Fatalf("%v in %.200s", err, b)
	}
	return report
}

// lines are the checks of a report as a person reads them.
func lines(r Report) string {
	var b strings.Builder
	for _, item := range r.Items {
		for _, c := range item.Checks {
			fmt.Fprintf(&b, "%s: %s: %s: %s\n", item.Name, c.Name, c.Outcome, c.Detail)
		}
	}
	return b.String()
}

// What is right must pass every check, and every check must have been made.
func TestGoodThings(t *testing.T) {
	s := sbitest.Start(t, keys)
	captured := rcapture(t, s, slap)
	authCaptured, err := client.New().Capture(t.Context(), s.Port, auth)
	if err != nil {
		t.Fatal(err)
	}
	document, err := client.New().RCaptureCBEFF(t.Context(), s.Port, slap)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := client.DecodeAnswer(captured)
	if err != nil {
		t.Fatal(err)
	}
	infos, err := client.New().Info(t.Context(), s.Port)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		content []byte
		kind    string
		items   string
	}{
		"registration":  {captured, "capture answer", "answer left-index left-middle"},
		"face":          {rcapture(t, s, face), "capture answer", "answer face"},
		"auth":          {authCaptured.Raw, "capture answer", "answer unknown-finger"},
		"cbeff":         {document, "CBEFF document", "document left-index left-middle"},
		"cbeff, marked": {append([]byte("\ufeff"), document...), "CBEFF document", "document left-index left-middle"},
		"capture token": {[]byte(decoded.Biometrics[0].Data + "\n"), "token", "left-index"},
		"info token":    {[]byte(infos[0].Token), "token", "device 1"},
		"L0 digital ID": {[]byte(infos[0].DigitalID.Token), "token", "digital ID"},
		"L1 digital ID": {[]byte(infos[2].DigitalID.Token), "token", "digital ID"},
		"record":        {decoded.Biometrics[1].Payload.BioValue, "ISO record", "left-middle"},
		"discovery":     {call(t, s, "MOSIPDISC", "/device", `{"type":"Biometric Device"}`), "discovery answer", "device 1 device 3 device 4"},
		"info":          {call(t, s, "MOSIPDINFO", "/info", ""), "device info answer", "device 1 device 3 device 4"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			report := mustJudge(t, tt.content, judging())
			var items []string
			for _, item := range report.Items {
				items = append(items, item.Name)
				if len(item.Checks) == 0 {
					t.Errorf("%s has no checks", item.Name)
				}
			}
			if report.Kind != tt.kind || strings.Join(items, " ") != tt.items {
				t.Errorf("got %s: %v; want %s: %s", report.Kind, items, tt.kind, tt.items)
			}
			if report.Count(OK) == 0 || report.Count(Failed)+report.Count(NotChecked) > 0 {
				t.Errorf("not all is well:\n%s", lines(report))
			}
		})
	}
}

// Without what to judge by, trust and encrypted records stay unchecked, and
// nothing fails for it.
func TestNotChecked(t *testing.T) {
	s := sbitest.Start(t, keys)
	answer, err := client.New().Capture(t.Context(), s.Port, auth)
	if err != nil {
		t.Fatal(err)
	}
	report := mustJudge(t, answer.Raw, Options{})
	got := lines(report)
	for _, want := range []string{": trust: not checked: no trusted", ": record: not checked: it is encrypted", ": hash chain: not checked"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if item := report.Items[1]; report.Count(Failed) > 0 || !item.Encrypted || item.Record != nil {
		t.Errorf("got %+v with\n%s", item, got)
	}
}

// Everything that can be wrong must be found, and blamed on what is wrong.
func TestBadThings(t *testing.T) {
	tests := map[string]struct {
		fault   string
		request client.Request
		change  func(answer string) string // of what came
		options func(*Options)
		want    []string // the failed checks, all of them
	}{
		"hash": {
			fault: sbitest.WrongHash, request: slap,
			want: []string{"left-index: hash chain: the record and the hash before make"},
		},
		"payload changed": {
			fault: sbitest.WrongPayload, request: slap,
			want: []string{"biometric 1: signature: signature does not verify"},
		},
		"record of another finger": {
			fault: sbitest.WrongRecord, request: slap,
			want: []string{"left-index: position: sent as left-index, but the record says right-thumb", "left-middle: position"},
		},
		"too few": {
			fault: sbitest.Short, request: slap,
			options: func(o *Options) { o.Asked = []driver.Position{driver.LeftIndex, driver.LeftMiddle} },
			want:    []string{"answer: request: left-index is missing"},
		},
		"not asked for": {
			request: slap,
			options: func(o *Options) { o.Asked = []driver.Position{driver.LeftIndex} },
			want:    []string{"answer: request: left-middle was not asked for"},
		},
		"another transaction": {
			request: slap,
			options: func(o *Options) { o.Transaction = "another" },
			want:    []string{"left-index: payload: transactionId is \"transaction-1\", not", "left-middle: payload: transactionId"},
		},
		"another chain": {
			request: slap,
			options: func(o *Options) { o.Previous = strings.Repeat("AB", 32) },
			want:    []string{"left-index: hash chain", "left-middle: hash chain"},
		},
		"another organisation": {
			request: slap,
			options: func(o *Options) { o.Organisation = "Other" },
			want:    []string{"left-index: organisation", "left-middle: organisation"},
		},
		"expired": {
			request: face,
			options: func(o *Options) { o.At = time.Now().AddDate(30, 0, 0) },
			want:    []string{"face: certificate", "face: trust"},
		},
		"unknown member": {
			request: face,
			change:  func(s string) string { return strings.Replace(s, `"specVersion"`, `"extra":1,"specVersion"`, 1) },
			want:    []string{`face: structure: "extra" is a member that clients do not know`},
		},
		"number for a text": {
			request: face,
			change:  func(s string) string { return strings.Replace(s, `"specVersion":"0.9.5"`, `"specVersion":0.9`, 1) },
			want:    []string{"face: structure: specVersion is not a text"},
		},
		"no error element": {
			request: face,
			change: func(s string) string {
				return strings.Replace(s, `"error":{"errorCode":"0","errorInfo":"Success"}`, `"error":null`, 1)
			},
			want: []string{"face: structure: error is not an object"},
		},
		"success by another name": {
			request: face,
			change:  func(s string) string { return strings.Replace(s, `"Success"`, `"Succès"`, 1) },
			want:    []string{`face: structure: error code "0" with the text`},
		},
		"token without signature": {
			request: face,
			change:  func(s string) string { return strings.Replace(s, `"data":"`, `"data":"x.`, 1) },
			want:    []string{"biometric 1: signature"},
		},
		"a second top member": {
			request: face,
			change:  func(s string) string { return strings.Replace(s, `{"biometrics"`, `{"version":"1","biometrics"`, 1) },
			want:    []string{`answer: structure: "version" is a member`},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := sbitest.Start(t, keys)
			s.SetFault(tt.fault)
			answer := string(rcapture(t, s, tt.request))
			if tt.change != nil {
				changed := tt.change(answer)
				if changed == answer {
					t.Fatal("the test changed nothing")
				}
				answer = changed
			}
			o := judging()
			if tt.options != nil {
				tt.options(&o)
			}
			expectFailures(t, mustJudge(t, []byte(answer), o), tt.want)
		})
	}
}

// expectFailures compares the failed checks with what they must begin with.
func expectFailures(t *testing.T, report Report, want []string) {
	t.Helper()
	got := report.Failures()
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("got the failures\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// What MOSIP's registration processor would refuse in a document must be found.
func TestBadCBEFF(t *testing.T) {
	s := sbitest.Start(t, keys)
	document, err := client.New().RCaptureCBEFF(t.Context(), s.Port, slap)
	if err != nil {
		t.Fatal(err)
	}
	birs, err := cbeff.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	exception, err := cbeff.NewException(driver.LeftRing, time.Now(), "")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(*cbeff.BIR)
		want   []string
	}{
		"nothing":      {func(*cbeff.BIR) {}, nil},
		"an exception": {func(b *cbeff.BIR) { *b = exception }, nil},
		"the record":   {func(b *cbeff.BIR) { b.BDB = birs[1].BDB }, []string{"left-index: signature", "left-index: position"}},
		"the finger": {
			func(b *cbeff.BIR) { b.BDBInfo.Subtype = "Right Thumb" },
			[]string{"left-index: BIR and token: the BIR is of right-thumb, what was signed of left-index"},
		},
		"the score": {func(b *cbeff.BIR) { b.BDBInfo.Quality.Score++ }, []string{"left-index: BIR and token: the BIR has score"}},
		"the format": {
			func(b *cbeff.BIR) { b.BDBInfo.Format.Type = "9" },
			[]string{"left-index: BIR: Format type"},
		},
		"the signature": {
			func(b *cbeff.BIR) { b.SB = "" },
			[]string{"left-index: BIR: rebuild token", "left-index: token: rebuild token"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			changed := slices.Clone(birs)
			quality := *birs[0].BDBInfo.Quality
			changed[0].BDBInfo.Quality = &quality
			tt.change(&changed[0])
			b, err := cbeff.Marshal(changed)
			if err != nil {
				t.Fatal(err)
			}
			expectFailures(t, mustJudge(t, b, judging()), tt.want)
		})
	}
	report := mustJudge(t, []byte(`<BIR xmlns="http://standards.iso.org/iso-iec/19785/-3/ed-2/"><Nonsense/></BIR>`), judging())
	if n := report.Count(Failed); n != 1 || report.Items[0].Checks[0].Name != "schema" {
		t.Errorf("a document against the schema: got\n%s", lines(report))
	}
}

// An answer that is an error is a good answer without content, and a listing may
// say of its devices that they cannot capture.
func TestReportedErrors(t *testing.T) {
	s := sbitest.Start(t, keys)
	body, err := json.Marshal(map[string]any{"transactionId": "1234", "bio": []any{map[string]any{"deviceId": "1"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ fault, verb, path, body, want string }{
		{sbitest.Nothing, "RCAPTURE", "/capture", string(body), "capture: not checked: the device reported error 101"},
		{sbitest.NoDevices, "MOSIPDISC", "/device", `{"type":"Finger"}`, "device: not checked: the service reported error 202"},
		{sbitest.Busy, "MOSIPDISC", "/device", `{"type":"Finger"}`, "structure: ok"},
		{sbitest.Busy, "MOSIPDINFO", "/info", "", "device info: ok: Busy"},
		{sbitest.Unregistered, "MOSIPDINFO", "/info", "", "device info: ok: Not Registered"},
	} {
		s.SetFault(tt.fault)
		report := mustJudge(t, call(t, s, tt.verb, tt.path, tt.body), judging())
		if got := lines(report); report.Count(Failed) > 0 || !strings.Contains(got, tt.want) {
			t.Errorf("%s %s: no %q in\n%s", tt.fault, tt.verb, tt.want, got)
		}
	}
}

func TestBadListings(t *testing.T) {
	s := sbitest.Start(t, keys)
	for name, tt := range map[string]struct {
		verb, path, body, old, changed string
		want                           []string
	}{
		"status without its error": {"MOSIPDISC", "/device", `{"type":"Face"}`, `"Ready"`, `"Busy"`,
			[]string{`device 3: structure: status "Busy" with error code "0"`}},
		"callback without a slash": {"MOSIPDISC", "/device", `{"type":"Face"}`, `/","certification`, `","certification`,
			[]string{"device 3: structure: callbackId is"}},
		"another version": {"MOSIPDISC", "/device", `{"type":"Face"}`, `["0.9.5"]`, `["0.9.5","1.0"]`,
			[]string{`device 3: structure: specVersion is "1.0"`}},
		"another serial number": {"MOSIPDISC", "/device", `{"type":"Face"}`, `"deviceCode":"TEST00000003"`, `"deviceCode":"X"`,
			[]string{`device 3: digital ID: serialNo is not the deviceCode "X"`}},
		"damaged digital ID": {"MOSIPDISC", "/device", `{"type":"Face"}`, `"digitalId":"`, `"digitalId":"!`,
			[]string{"device 3: structure: digitalId is", "device 3: digital ID: decode token"}},
		"info with another status": {"MOSIPDINFO", "/info", "", `"errorCode":"0","errorInfo":"Success"`, `"errorCode":"111","errorInfo":"Busy"`,
			[]string{`device 1: status: status "Ready" with error code "111"`}},
		"info of another shape": {"MOSIPDINFO", "/info", "", `{"deviceInfo"`, `{"extra":"","deviceInfo"`,
			[]string{`device 1: structure: "extra" is a member`}},
	} {
		t.Run(name, func(t *testing.T) {
			answer := string(call(t, s, tt.verb, tt.path, tt.body))
			changed := strings.Replace(answer, tt.old, tt.changed, 1)
			if changed == answer {
				t.Fatalf("the test changed nothing in %s", answer)
			}
			expectFailures(t, mustJudge(t, []byte(changed), judging()), tt.want)
		})
	}
}

// call sends a request and returns the answer as it comes.
func call(t *testing.T, s *sbitest.Service, verb, path, body string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), verb, fmt.Sprintf("http://127.0.0.1:%d%s", s.Port, path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestUnknown(t *testing.T) {
	for _, content := range []string{"", "hello", "{}", "[]", `[{"a":1}]`, "<html/>", "<!-- BIR -->", "\x89PNG", "a.b", "a.b.c.d", "FIR"} {
		if report, err := Bytes([]byte(content), Options{}); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: got %v, %v", content, report, err)
		}
	}
}

// Records that other software made are taken for what they are.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("../../../../../shared/samples/*.iso")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Log("no samples beside the repository: the records of the other tests must do")
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		report := mustJudge(t, b, Options{})
		short := strings.HasSuffix(file, "-short.iso") // a WSQ file that MOSIP cannot read
		if (report.Count(Failed) > 0) != short || report.Items[0].Image == nil {
			t.Errorf("%s:\n%s", filepath.Base(file), lines(report))
		}
	}
}

// Whatever is judged, the report says something about it and can be printed.
func FuzzBytes(f *testing.F) {
	f.Add([]byte(`{"biometrics":[{"specVersion":"0.9.5","data":"a.b.c","hash":"","error":{"errorCode":"0","errorInfo":"Success"}}]}`))
	f.Add([]byte(`[{"deviceInfo":"e30","error":{"errorCode":"100","errorInfo":"x"}}]`))
	f.Add([]byte(`[{"deviceId":"1","digitalId":"e30","error":null}]`))
	f.Add([]byte(`<BIR xmlns="http://standards.iso.org/iso-iec/19785/-3/ed-2/"><BIRInfo><Integrity>false</Integrity></BIRInfo></BIR>`))
	f.Add([]byte("FIR\x00020\x00\x00\x00\x00\x10\x00\x01\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		report, err := Bytes(b, Options{Trust: keys.Trust(), Key: keys.Opener()})
		if err != nil {
			if !errors.Is(err, ErrUnknown) {
				t.Errorf("got %v", err)
			}
			return
		}
		if report.Count(OK)+report.Count(Failed)+report.Count(NotChecked) == 0 {
			t.Errorf("a %s without a check", report.Kind)
		}
		if _, err := json.Marshal(report); err != nil {
			t.Error(err)
		}
	})
}
