package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sbid/attest"
	"sbid/capture/imagecodec"
)

// The compliance toolkit would certify every device: all of its functional
// cases, sent as its page sends them, answered as its validators and schemas
// want, and more strictly where they look at less than clients do. The keys are
// in a TPM.
func TestConformance(t *testing.T) {
	cases, schemas := ctkCases(t), ctkSchemasOf(t)
	// All at once, which t.Parallel does not do on a small machine: the longest
	// cases only wait for their timeouts.
	var projects sync.WaitGroup
	for _, p := range ctkProjects {
		projects.Go(func() {
			t.Run(p.name, func(t *testing.T) {
				r := newCTKRun(t, p, schemas, asShipped)
				r.rehearse(t, cases)
				for _, c := range p.of(cases) {
					t.Run(c.String(), func(t *testing.T) { r.run(t, c) })
				}
			})
		})
	}
	projects.Wait()
}

// shipped is sbisim built as it ships. The race detector, which other tests run
// it with, would stretch the cases to many minutes.
var shipped = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sbisim-test-program-")
	if err != nil {
		return "", err
	}
	atEnd(func() error { return os.RemoveAll(dir) })
	path := filepath.Join(dir, "sbisim")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sbisim: %w\n%s", err, out)
	}
	return path, nil
})

// asShipped is the runner of that, in a process of its own.
func asShipped(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	path, err := shipped()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Run(); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("sbisim ended: %w", err)
	}
	return nil
}

// A ctkRun is one project: the toolkit's page, its operator and an sbisim.
type ctkRun struct {
	project ctkProject
	schemas ctkSchemas
	sim     *sim
	url     string
	device  map[string]any // as discovery told, with its digital ID decoded

	// What the toolkit was given: whom it trusts, and its encryption key.
	trust      *attest.Trust
	key        crypto.Decrypter
	thumbprint string
}

const (
	ctkOrigin       = "https://compliance.test"
	ctkOrganisation = "SBID Developer" // letter case does not count
	// ctkPatience is for what takes a moment on a busy machine.
	ctkPatience = 20 * time.Second
)

func newCTKRun(t *testing.T, p ctkProject, schemas ctkSchemas, run runner) *ctkRun {
	t.Helper()
	_, err := imagecodec.EncodeJP2(image.NewGray(image.Rect(0, 0, 16, 16)), imagecodec.JP2Options{Lossless: true})
	if errors.Is(err, imagecodec.ErrNoOpenJPEG) {
		t.Skip("without OpenJPEG there are no captures")
	}
	r := &ctkRun{project: p, schemas: schemas}
	args := append([]string{"--purpose", p.purpose, "--allow-origin", ctkOrigin}, inTPM(t)...)
	if r.sim, err = newSimOf(run, newState(t), args...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.sim.stop(); err != nil {
			t.Errorf("%v\n%s", err, r.sim.log)
		}
	})
	r.url = r.sim.registration + r.sim.auth // of which there is one
	trusted := filepath.Join(r.sim.state, "trust")
	if r.trust, err = attest.ReadTrust(trusted); err != nil {
		t.Fatal(err)
	}
	encryption, err := attest.ReadCertificates(filepath.Join(trusted, "encryption.pem"))
	if err != nil {
		t.Fatal(err)
	}
	r.thumbprint = attest.Thumbprint(encryption[0])
	b, err := os.ReadFile(filepath.Join(trusted, "encryption-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatal("the encryption key is no PEM file")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	r.key = key.(crypto.Decrypter)
	r.device = r.scan(t)
	return r
}

// rehearse captures everything once, with time enough. The simulator draws a
// person when it first sees them, which on a busy machine would use up the time
// of a case.
func (r *ctkRun) rehearse(t *testing.T, cases []ctkCase) {
	t.Helper()
	for _, c := range cases {
		if !slices.Contains(r.project.rehearsal, c.number) {
			continue
		}
		c.score, c.timeout = "1", 2*time.Minute
		body, err := json.Marshal(r.body(c, ctkFirstHash))
		if err != nil {
			t.Fatal(err)
		}
		if answer := r.send(t, c.call, string(body)); !bytes.Contains(answer, []byte(`"errorCode":"0"`)) {
			t.Fatalf("%v, rehearsed: %.200s", c, answer)
		}
	}
}

// scan looks for the project's device and refuses any other as the page does.
func (r *ctkRun) scan(t *testing.T) map[string]any {
	t.Helper()
	for _, device := range r.discover(t) {
		id := device["digitalIdDecoded"].(map[string]any)
		if id["type"] == r.project.kind && id["deviceSubType"] == r.project.subType && device["purpose"] == r.project.purpose {
			return device
		}
	}
	t.Fatalf("no %s %s for %s", r.project.kind, r.project.subType, r.project.purpose)
	return nil
}

func (r *ctkRun) discover(t *testing.T) []map[string]any {
	t.Helper()
	_, devices, err := r.decode("MOSIPDISC", r.send(t, "MOSIPDISC", `{"type":"Biometric Device"}`))
	if err != nil {
		t.Fatal(err)
	}
	return devices
}

// A ctkStep is what the operator does to the device around a call, as a control
// call of the simulator, and what makes it good again.
type ctkStep struct{ call, before, between, after string }

var ctkOperator = map[string]ctkStep{
	"":           {},
	"nothing":    {call: "scanner", before: `,"present":false`, after: `,"present":true`},
	"unplug":     {call: "scanner", before: `,"plugged":false`, after: `,"plugged":true`},
	"busy":       {call: "status", before: `,"deviceStatus":"Busy"`, after: `,"deviceStatus":"Ready"`},
	"unregister": {call: "status", before: `,"deviceStatus":"Not Registered"`, after: `,"deviceStatus":"Ready"`},
	"rotate":     {call: "rotate", between: ` `},
}

func (r *ctkRun) operate(t *testing.T, call, what string) {
	t.Helper()
	if what != "" {
		r.sim.in(t).control(call, fmt.Sprintf(`{"type":%q%s}`, r.project.kind, what))
	}
}

// run does a case and judges each of its answers.
func (r *ctkRun) run(t *testing.T, c ctkCase) {
	step := ctkOperator[c.operator]
	r.operate(t, step.call, step.before)
	defer r.awaitReady(t)
	defer r.operate(t, step.call, step.after)
	var x *ctkExchange
	for range c.rounds {
		if x != nil {
			r.operate(t, step.call, step.between)
		}
		x = r.exchange(t, c, x)
		x.judge(t)
	}
}

// A ctkExchange is one call with its answer.
type ctkExchange struct {
	*ctkRun
	c          ctkCase
	request    map[string]any
	start, end time.Time
	answer     any              // as the page hands it to the validators
	elements   []map[string]any // of the answer
	before     *ctkExchange     // the call before it in the same case, nil if it is the first
	warn       func(format string, args ...any)
}

func (r *ctkRun) exchange(t *testing.T, c ctkCase, before *ctkExchange) *ctkExchange {
	t.Helper()
	x := &ctkExchange{ctkRun: r, c: c, before: before, warn: t.Logf}
	body, err := json.Marshal(r.body(c, x.previousHash()))
	if err == nil {
		err = json.Unmarshal(body, &x.request)
	}
	if err == nil {
		err = r.schemas.check(x.request, ctkRequests[c.request])
	}
	if err != nil {
		t.Fatalf("the toolkit would not send this: %v", err)
	}
	if c.call == "RCAPTURE" {
		defer r.stream(t, c.sub)()
	}
	x.start = time.Now()
	answer := r.send(t, c.call, string(body))
	x.end = time.Now()
	if x.answer, x.elements, err = r.decode(c.call, answer); err != nil {
		t.Fatalf("the page cannot decode the answer: %v", err)
	}
	return x
}

// judge fails the test for what is wrong with the answer.
func (x *ctkExchange) judge(t *testing.T) {
	t.Helper()
	complain := func(check string) {
		if err := ctkValidators[check](x); err != nil {
			t.Errorf("%s: %v", check, err)
		}
	}
	checks := slices.Concat([]string{"Sch"}, x.c.checks)
	if x.c.capture() && x.c.code == "" { // what clients check of every capture
		checks = append(checks, "Sig", "Mis", "Time")
	}
	slices.Sort(checks)
	for _, check := range slices.Compact(checks) {
		if check == "Key" && x.before == nil {
			continue // nothing to compare with yet
		}
		complain(check)
	}
	if x.c.capture() && x.c.rename == "" {
		if err := x.punctual(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("answer after %v: %s", x.end.Sub(x.start).Round(time.Millisecond), x.scores())
}

// body is the body of a request, member by member as the page makes it.
func (r *ctkRun) body(c ctkCase, previousHash string) map[string]any {
	id := r.device["digitalIdDecoded"].(map[string]any)
	switch c.call {
	case "MOSIPDINFO":
		return map[string]any{}
	case "MOSIPDISC":
		if c.upper {
			return map[string]any{"type": strings.ToUpper(r.project.kind)}
		}
		return map[string]any{"type": id["type"]}
	}
	transaction := fmt.Sprintf("SBI%d-123", c.number)
	if more := c.transactionLength - len(transaction); more > 0 {
		transaction += strings.Repeat("4", more)
	}
	bio := map[string]any{
		"type": id["type"], "count": c.count, "bioSubType": c.subTypes, "requestedScore": c.score,
		"deviceId": r.device["deviceId"], "deviceSubId": c.sub, "previousHash": previousHash,
	}
	body := map[string]any{
		"env": "Developer", "purpose": r.device["purpose"], "specVersion": r.device["specVersion"].([]any)[0],
		"timeout": fmt.Sprint(c.timeout.Milliseconds()), "captureTime": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
		"transactionId": transaction, "bio": []any{bio}, "customOpts": nil,
	}
	if c.call == "CAPTURE" {
		body["domainUri"] = ""
	} else {
		bio["exception"] = c.exceptions
	}
	for _, in := range []map[string]any{body, bio} {
		if v, there := in[c.rename]; there {
			delete(in, c.rename)
			in[c.rename+"XXX"] = v
		}
	}
	return body
}

var ctkPaths = map[string]string{
	"MOSIPDISC": "/device", "MOSIPDINFO": "/info", "CAPTURE": "/capture", "RCAPTURE": "/capture", "STREAM": "/stream",
}

// send makes a call as a browser does for a page of another origin, with its
// question beforehand, and returns the body of the answer.
func (r *ctkRun) send(t *testing.T, verb, body string) []byte {
	t.Helper()
	s := r.sim.in(t)
	url := r.url + ctkPaths[verb]
	resp, _ := s.call("OPTIONS", url, nil, "Origin", ctkOrigin,
		"Access-Control-Request-Method", verb, "Access-Control-Request-Headers", "content-type")
	if h := resp.Header; resp.StatusCode/100 != 2 || h.Get("Access-Control-Allow-Origin") != ctkOrigin ||
		!strings.Contains(h.Get("Access-Control-Allow-Methods"), verb) ||
		!strings.EqualFold(h.Get("Access-Control-Allow-Headers"), "content-type") {
		t.Fatalf("a browser may not send %s: %s, %v", verb, resp.Status, h)
	}
	resp, answer := s.call(verb, url, body, "Origin", ctkOrigin,
		"Content-Type", "application/json", "Accept", "application/json, text/plain, */*", "Accept-Language", "en-GB,en;q=0.9")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Access-Control-Allow-Origin") != ctkOrigin {
		t.Fatalf("a browser may not show the answer to %s: %s, %v", verb, resp.Status, resp.Header)
	}
	return answer
}

// stream starts the preview of a sensor, as the operator does before every
// registration capture, and returns when there is a picture. The preview stays
// until the returned function ends it.
func (r *ctkRun) stream(t *testing.T, sub string) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	body := fmt.Sprintf(`{"deviceId":%q,"deviceSubId":%q}`, r.device["deviceId"], sub)
	req, err := http.NewRequestWithContext(ctx, "STREAM", r.url+ctkPaths["STREAM"], strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	req.Header.Set("Origin", ctkOrigin)
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatalf("STREAM: %v", err)
	}
	_, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || params["boundary"] == "" {
		answer, _ := io.ReadAll(resp.Body)
		t.Fatalf("STREAM: %s, %v: %s", resp.Status, err, answer)
	}
	pictures, first, ended := 0, make(chan struct{}), make(chan error, 1)
	go func() {
		defer resp.Body.Close()
		for parts := multipart.NewReader(resp.Body, params["boundary"]); ; {
			part, err := parts.NextPart()
			if err == nil && pictures == 0 {
				_, err = jpeg.Decode(part)
			}
			if err != nil {
				ended <- err
				return
			}
			if pictures++; pictures == 1 {
				close(first)
			}
		}
	}()
	select {
	case <-first:
	case err := <-ended:
		cancel()
		t.Fatalf("STREAM ended without a picture: %v", err)
	case <-time.After(ctkPatience):
		cancel()
		t.Fatal("STREAM: no picture")
	}
	return func() {
		cancel()
		<-ended
		r.awaitReady(t)
	}
}

// awaitReady returns when the device says that it is Ready. What the operator
// did last may take it a moment.
func (r *ctkRun) awaitReady(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for status, since := any(nil), time.Now(); status != "Ready"; <-tick.C {
		if time.Since(since) > ctkPatience {
			t.Fatalf("the device is %v, not Ready", status)
		}
		for _, device := range r.discover(t) {
			if device["deviceId"] == r.device["deviceId"] {
				status = device["deviceStatus"]
			}
		}
	}
}
