package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a service that answers every request with h, and returns its
// port.
func serve(t testing.TB, h http.HandlerFunc) int {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port
}

// answer is a service that sends the same body whatever is asked.
func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) }
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// jws is a token whose signature nobody checks here.
func jws(payload string) string { return b64(`{"alg":"RS256"}`) + "." + b64(payload) + ".c2ln" }

const digitalID = `{"serialNo":"SBI123456789","make":"Maker","model":"M1","type":"Finger","deviceSubType":"Slap",` +
	`"deviceProvider":"P","deviceProviderId":"P.1","dateTime":"2026-01-02T03:04:05Z"}`

func wantDigitalID(token string) DigitalID {
	return DigitalID{
		SerialNo: "SBI123456789", Make: "Maker", Model: "M1", Type: "Finger", SubType: "Slap",
		DeviceProvider: "P", DeviceProviderID: "P.1", DateTime: "2026-01-02T03:04:05Z", Token: token,
	}
}

func TestDiscover(t *testing.T) {
	port := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != "MOSIPDISC" || r.URL.Path != "/device" || string(body) != `{"type":"Finger"}` {
			t.Errorf("got %s %s %s", r.Method, r.URL.Path, body)
		}
		io.WriteString(w, `[{"deviceId":"4","deviceStatus":"Ready","certification":"L0","serviceVersion":"1.2","deviceSubId":["1","2","3"],`+
			`"callbackId":"http://127.0.0.1:4501/","digitalId":"`+b64(digitalID)+`","deviceCode":"SBI123456789","specVersion":["0.9.5"],`+
			`"purpose":"Registration","error":{"errorCode":"0","errorInfo":"Success"}}]`)
	})
	got, err := New().Discover(t.Context(), port, Finger)
	if err != nil {
		t.Fatal(err)
	}
	want := []Device{{
		Port: port, ID: "4", Status: Ready, Level: "L0", Purpose: Registration, Code: "SBI123456789", ServiceVersion: "1.2",
		SubIDs: []string{"1", "2", "3"}, SpecVersions: []string{"0.9.5"}, CallbackID: "http://127.0.0.1:4501/",
		DigitalID: wantDigitalID(b64(digitalID)),
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestInfo(t *testing.T) {
	signed := jws(`{"deviceId":4,"deviceStatus":"Busy","certification":"L1","serviceVersion":1.2,"deviceSubId":[0],"firmware":"F7",` +
		`"env":"Developer","digitalId":"` + jws(digitalID) + `","specVersion":"0.9.5","purpose":"Auth","deviceCode":null}`)
	port := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "MOSIPDINFO" || r.URL.Path != "/info" || r.ContentLength != 0 {
			t.Errorf("got %s %s with %d bytes", r.Method, r.URL.Path, r.ContentLength)
		}
		io.WriteString(w, `[{"deviceInfo":"`+signed+`","error":{"errorCode":111,"errorInfo":"Device is busy"}},`+
			`{"deviceInfo":"a.b","error":null}]`)
	})
	got, err := New().Info(t.Context(), port)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[1].Err == nil {
		t.Fatalf("got %+v, want a second device with an error", got)
	}
	want := Device{
		Port: port, ID: "4", Status: Busy, Level: "L1", Purpose: Auth, ServiceVersion: "1.2", SubIDs: []string{"0"},
		SpecVersions: []string{"0.9.5"}, DigitalID: wantDigitalID(jws(digitalID)), Firmware: "F7", Env: "Developer", Token: signed,
		Err: &Error{111, "Device is busy"},
	}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Error(diff)
	}
}

// Services give errors in many shapes; each must come out as an *Error.
func TestReportedErrors(t *testing.T) {
	want := Error{110, "not ready"}
	shapes := map[string]string{
		"array of errors":   `[{"error":{"errorCode":"110","errorInfo":"not ready"}}]`,
		"object":            `{"error":{"errorCode":"110","errorInfo":"not ready"}}`,
		"flat object":       `{"errorCode":"110","errorInfo":"not ready"}`,
		"number":            `{"error":{"errorCode":110,"errorInfo":"not ready"}}`,
		"biometrics":        `{"biometrics":[{"specVersion":"0.9.5","data":"","hash":"","error":{"errorCode":"110","errorInfo":"not ready"}}]}`,
		"null members":      `{"biometrics":[{"data":null,"hash":null,"error":{"errorCode":"110","errorInfo":"not ready"}}]}`,
		"trailing newlines": "[{\"error\":{\"errorCode\":\"110\",\"errorInfo\":\"not ready\"}}]\r\n\r\n",
	}
	calls := map[string]func(ctx context.Context, port int) error{
		"discover": func(ctx context.Context, port int) error { _, err := New().Discover(ctx, port, AnyType); return err },
		"info":     func(ctx context.Context, port int) error { _, err := New().Info(ctx, port); return err },
		"capture":  func(ctx context.Context, port int) error { _, err := New().Capture(ctx, port, Request{}); return err },
		"rcapture": func(ctx context.Context, port int) error { _, err := New().RCapture(ctx, port, Request{}); return err },
		"cbeff": func(ctx context.Context, port int) error {
			_, err := New().RCaptureCBEFF(ctx, port, Request{})
			return err
		},
		"stream": func(ctx context.Context, port int) (last error) {
			for _, err := range New().Stream(ctx, port, StreamRequest{}) {
				last = err
			}
			return last
		},
	}
	for shape, body := range shapes {
		for call, f := range calls {
			for _, status := range []int{http.StatusOK, http.StatusMethodNotAllowed} {
				port := serve(t, func(w http.ResponseWriter, r *http.Request) {
					w.WriteHeader(status)
					io.WriteString(w, body)
				})
				got, ok := errors.AsType[*Error](f(t.Context(), port))
				if !ok || *got != want {
					t.Errorf("%s, %s, HTTP %d: got %v, want %v", shape, call, status, got, want)
				}
			}
		}
	}
}

// None of these is an answer; each must be a plain error, soon, and never an
// *Error.
func TestHostileServices(t *testing.T) {
	endless := strings.Repeat("x", 1<<16)
	services := map[string]struct {
		serve http.HandlerFunc
		want  string
	}{
		"empty":           {answer(""), "unexpected end of JSON"},
		"null error code": {answer(`[{"deviceId":"1","error":{"errorCode":{},"errorInfo":""}}]`), "not a string or a number"},
		"words as code":   {answer(`[{"deviceId":"1","error":{"errorCode":"none","errorInfo":""}}]`), "is not a number"},
		"html":            {answer("<html>"), "invalid character"},
		"status":          {http.NotFound, "404"},
		"redirect":        {http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound).ServeHTTP, "302"},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, endless); err != nil {
					return
				}
			}
		}, "more than 4194304 bytes"},
		"half an answer": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "[")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "unexpected EOF"},
	}
	for name, tt := range services {
		t.Run(name, func(t *testing.T) {
			port := serve(t, tt.serve)
			_, err := New().Discover(t.Context(), port, AnyType)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
			if sbiErr, ok := errors.AsType[*Error](err); ok {
				t.Errorf("%v was taken for an error of the service", sbiErr)
			}
			if Absent(err) {
				t.Errorf("%v was taken for a port at which nothing listens", err)
			}
		})
	}
}

func TestAbsent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	if _, err := New().Info(t.Context(), port); !Absent(err) {
		t.Errorf("closed port: got %v", err)
	}
}

// A scan finds what answers, says of what does not answer that it is there, and
// is not held up by a silent port for longer than the probe's time.
func TestScan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(addr)
			client, server := net.Pipe()
			say := func(answer string) {
				defer server.Close()
				server.Read(make([]byte, 4096))
				io.WriteString(server, answer)
			}
			switch port {
			case "4503":
				go say("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + `[{"deviceId":"1","deviceStatus":"Ready"}]`)
			case "4507": // takes the connection, says nothing
				go io.Copy(io.Discard, server)
			case "4509":
				go say("220 mail.example ESMTP\r\n")
			default:
				server.Close()
				return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
			}
			return client, nil
		}
		start := time.Now()
		got, err := newClient(dial).Scan(t.Context(), DefaultPorts, AnyType)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != probeTime {
			t.Errorf("took %v, want %v", took, probeTime)
		}
		if len(got) != 3 || got[0].Port != 4503 || got[1].Port != 4507 || got[2].Port != 4509 {
			t.Fatalf("got %+v, want ports 4503, 4507, 4509", got)
		}
		if got[0].Err != nil || len(got[0].Devices) != 1 || got[0].Devices[0].Port != 4503 {
			t.Errorf("got %+v", got[0])
		}
		if !errors.Is(got[1].Err, context.DeadlineExceeded) || got[2].Err == nil {
			t.Errorf("got %v and %v, want a deadline and a malformed answer", got[1].Err, got[2].Err)
		}
	})
}

func TestScanEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if got, err := newClient(dial).Scan(ctx, DefaultPorts, AnyType); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestParsePorts(t *testing.T) {
	tests := map[string]Ports{
		"4501-4600": {4501, 4600}, "4501": {4501, 4501}, "1-65535": {1, 65535},
		"": {}, "-": {}, "4600-4501": {}, "0-5": {}, "1-65536": {}, "a-b": {}, "1-2-3": {}, "-5": {},
	}
	for s, want := range tests {
		got, err := ParsePorts(s)
		if got != want || (err == nil) != (want != Ports{}) {
			t.Errorf("%q: got %v, %v; want %v", s, got, err, want)
		}
		if again, _ := ParsePorts(got.String()); err == nil && again != got {
			t.Errorf("%v printed and read is %v", got, again)
		}
	}
}

// The request must have the very members that MOSIP's clients send, all scalars
// as strings.
func TestCaptureRequests(t *testing.T) {
	request := Request{
		Env: "Developer", Timeout: 10 * time.Second, CaptureTime: time.Date(2026, 1, 2, 4, 4, 5, 678e6, time.FixedZone("", 3600)),
		DomainURI: "https://id.example", TransactionID: "1234567890",
		Bio: []Bio{{Type: "Finger", Count: 3, SubTypes: []string{"Left IndexFinger"}, Exceptions: []string{"Left RingFinger"},
			Score: 60, DeviceID: "4", SubID: "1"}},
	}
	var got string
	port := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.URL.Path + " " + r.Header.Get("Accept") + " " + string(body)
		io.WriteString(w, "<BIR/>")
	})
	const common = `"specVersion":"0.9.5","timeout":"10000","captureTime":"2026-01-02T03:04:05.678Z",`
	const finger = `"bio":[{"type":"Finger","count":"3","bioSubType":["Left IndexFinger"],`
	const rest = `"requestedScore":"60","deviceId":"4","deviceSubId":"1","previousHash":""}],"customOpts":null}`
	tests := map[string]struct {
		call func()
		want string
	}{
		"CAPTURE": {
			func() { New().Capture(t.Context(), port, request) },
			`CAPTURE /capture application/json {"env":"Developer","purpose":"Auth",` + common +
				`"domainUri":"https://id.example","transactionId":"1234567890",` + finger + rest,
		},
		"RCAPTURE": {
			func() { New().RCapture(t.Context(), port, request) },
			`RCAPTURE /capture application/json {"env":"Developer","purpose":"Registration",` + common +
				`"transactionId":"1234567890",` + finger + `"exception":["Left RingFinger"],` + rest,
		},
		"RCAPTURE for CBEFF": {
			func() { New().RCaptureCBEFF(t.Context(), port, request) },
			`RCAPTURE /capture application/cbeff+xml {"env":"Developer","purpose":"Registration",` + common +
				`"transactionId":"1234567890",` + finger + `"exception":["Left RingFinger"],` + rest,
		},
	}
	for name, tt := range tests {
		tt.call()
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	request.Bio = []Bio{{Type: "Face"}}
	if b, _ := json.Marshal(request.wire(verbRCapture)); !strings.Contains(string(b), `"bioSubType":[],"exception":[]`) {
		t.Errorf("empty lists are not []: %s", b)
	}
}

func TestRCapture(t *testing.T) {
	payload := `{"digitalId":"` + jws(digitalID) + `","deviceCode":"SBI123456789","deviceServiceVersion":"1","bioType":"Finger",` +
		`"bioSubType":"Left IndexFinger","purpose":"Registration","env":"Developer","bioValue":"RklSAA","transactionId":"1234",` +
		`"timestamp":"2026-01-02T03:04:05Z","requestedScore":"60","qualityScore":81.5}`
	body := `{"biometrics":[{"specVersion":"0.9.5","data":"` + jws(payload) + `","hash":"AB","error":{"errorCode":"0","errorInfo":"Success"}}]}`
	got, err := New().RCapture(t.Context(), serve(t, answer(body)), Request{})
	if err != nil {
		t.Fatal(err)
	}
	want := Answer{Raw: []byte(body), Biometrics: []Biometric{{
		SpecVersion: "0.9.5", Data: jws(payload), Hash: "AB",
		Payload: CapturePayload{
			DigitalID: wantDigitalID(jws(digitalID)), DeviceCode: "SBI123456789", ServiceVersion: "1", BioType: "Finger",
			BioSubType: "Left IndexFinger", Purpose: "Registration", Env: "Developer", BioValue: []byte("FIR\x00"),
			TransactionID: "1234", Timestamp: "2026-01-02T03:04:05Z", RequestedScore: "60", QualityScore: "81.5",
		},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// One bad element fails the answer, and the good ones still come with it.
func TestAnswerWithOneError(t *testing.T) {
	got, err := DecodeAnswer([]byte(`{"biometrics":[{"data":"` + jws(`{"bioValue":"RklSAA"}`) + `","hash":"AB"},` +
		`{"data":"","hash":"","error":{"errorCode":"102","errorInfo":"smudged"}},{"data":"x.y"},{}]}`))
	if sbiErr, ok := errors.AsType[*Error](err); !ok || *sbiErr != (Error{102, "smudged"}) {
		t.Errorf("got %v", err)
	}
	if len(got.Biometrics) != 4 || got.Biometrics[0].Err != nil || string(got.Biometrics[0].Payload.BioValue) != "FIR\x00" {
		t.Errorf("got %+v", got)
	}
	for i, want := range []string{1: "SBI error 102: smudged", 2: "token has 2 parts", 3: "neither data nor an error"} {
		if want != "" && (got.Biometrics[i].Err == nil || !strings.Contains(got.Biometrics[i].Err.Error(), want)) {
			t.Errorf("element %d: got %v, want %q", i, got.Biometrics[i].Err, want)
		}
	}
}

func TestPayload(t *testing.T) {
	for name, token := range map[string]string{
		"signed":            "e30.fj8-.sig",
		"unsigned":          "fj8-",
		"standard alphabet": "fj8+",
		"signed, standard":  "e30.fj8+.sig",
	} {
		if got, err := Payload(token); err != nil || string(got) != "~?>" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	if got, err := Payload("YQ=="); err != nil || string(got) != "a" {
		t.Errorf("padded: got %q, %v", got, err)
	}
	for _, token := range []string{"a.b", "a.b.c.d", "e30.!!.sig"} {
		if got, err := Payload(token); err == nil {
			t.Errorf("%q: got %q, want an error", token, got)
		}
	}
}

func TestRCaptureCBEFF(t *testing.T) {
	for _, body := range []string{`<?xml version="1.0"?><BIR/>`, "\ufeff<BIR/>", "\n<BIR/>"} {
		if got, err := New().RCaptureCBEFF(t.Context(), serve(t, answer(body)), Request{}); err != nil || string(got) != body {
			t.Errorf("%q: got %q, %v", body, got, err)
		}
	}
	_, err := New().RCaptureCBEFF(t.Context(), serve(t, answer(`{"biometrics":[]}`)), Request{})
	if err == nil || !strings.Contains(err.Error(), "JSON only") {
		t.Errorf("a service without CBEFF: got %v", err)
	}
}

// Whatever comes in an answer, decoding it ends, and an error is never lost: a
// biometric has data that decoded or says why not.
func FuzzDecodeAnswer(f *testing.F) {
	f.Add([]byte(`{"biometrics":[{"specVersion":"0.9.5","data":"` + jws(`{"bioValue":"RklSAA","qualityScore":1}`) + `","hash":"AB"}]}`))
	f.Add([]byte(`{"biometrics":[{"data":null,"error":{"errorCode":101,"errorInfo":"none"}}]}`))
	f.Add([]byte(`[{"error":{"errorCode":"110"}}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := DecodeAnswer(body)
		if err == nil && len(got.Biometrics) == 0 {
			t.Error("no biometrics and no error")
		}
		for _, b := range got.Biometrics {
			if b.Err == nil && b.Data == "" {
				t.Errorf("neither data nor an error: %+v", b)
			}
			if sbiErr, ok := errors.AsType[*Error](b.Err); ok && (sbiErr.Code == 0 || err == nil) {
				t.Errorf("%v beside %v", sbiErr, err)
			}
		}
	})
}

// A listing is devices or an error, and never an error of code 0.
func FuzzDecodeListing(f *testing.F) {
	f.Add([]byte(`[{"deviceId":"4","deviceSubId":[1],"digitalId":"` + b64(digitalID) + `","error":{"errorCode":0}}]`))
	f.Add([]byte(`[{"deviceInfo":"` + jws(`{"deviceId":"4"}`) + `","error":{"errorCode":"111","errorInfo":"busy"}}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, decode := range []func([]byte) ([]Device, error){decodeDiscovery, decodeInfo} {
			devices, err := decode(body)
			if err != nil && devices != nil {
				t.Errorf("devices beside the error %v", err)
			}
			if sbiErr, ok := errors.AsType[*Error](err); ok && sbiErr.Code == 0 {
				t.Error("an error of code 0")
			}
		}
	})
}
