package sbi

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"iter"
	"log/slog"
	"math"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sbid/attest"
	"sbid/capture"
	"sbid/driver"
)

// A fake is a driver with one scanner whose frames are up to the test.
type fake struct {
	info driver.Info
	// frames yields what the scanner sees, as driver.Scanner has it.
	frames func(ctx context.Context, yield func(driver.Frame, error) bool)
	open   atomic.Int32 // how often it is open now
	twice  atomic.Bool  // it was open more than once at a time
}

func (f *fake) ID() string                                   { return "fake" }
func (f *fake) Probe(context.Context) ([]driver.Info, error) { return []driver.Info{f.info}, nil }
func (f *fake) Open(context.Context, string) (driver.Scanner, error) {
	if f.open.Add(1) > 1 {
		f.twice.Store(true)
	}
	return f, nil
}
func (f *fake) Close() error { f.open.Add(-1); return nil }
func (f *fake) Frames(ctx context.Context, _ driver.Target) iter.Seq2[driver.Frame, error] {
	return func(yield func(driver.Frame, error) bool) { f.frames(ctx, yield) }
}

// every yields the same picture at an interval.
func every(interval time.Duration, img image.Image) func(context.Context, func(driver.Frame, error) bool) {
	return func(ctx context.Context, yield func(driver.Frame, error) bool) {
		for yield(driver.Frame{Image: img, DPI: 500}, nil) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(interval):
			}
		}
	}
}

// failing yields one picture of nothing and then an error.
func failing(err error) func(context.Context, func(driver.Frame, error) bool) {
	return func(_ context.Context, yield func(driver.Frame, error) bool) {
		if yield(driver.Frame{Image: emptyGlass(), DPI: 500}, nil) {
			yield(driver.Frame{}, err)
		}
	}
}

func emptyGlass() *image.Gray {
	img := image.NewGray(image.Rect(0, 0, 96, 96))
	for i := range img.Pix {
		img.Pix[i] = 0xFF
	}
	return img
}

// ridges is a picture with ridges like those of a finger at 500 dpi.
var ridges = sync.OnceValue(func() *image.Gray { return ridgesRound(120, 420) })

// ridgesRound draws ridges round a centre.
func ridgesRound(cx, cy float64) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, 240, 320))
	for y := range 320 {
		for x := range 240 {
			r := math.Hypot(float64(x)-cx, float64(y)-cy)
			img.Pix[img.PixOffset(x, y)] = uint8(128 + 90*math.Sin(2*math.Pi*r/9))
		}
	}
	return img
}

// newFake returns a scanner for one finger at a time.
func newFake(frames func(context.Context, func(driver.Frame, error) bool)) *fake {
	return &fake{frames: frames, info: driver.Info{
		Addr: "1", Serial: "FAKE00000001", Make: "Test", Model: "Fake", Firmware: "1",
		Modality: driver.Finger, Sensors: []driver.Sensor{driver.Single},
		Abilities: driver.Abilities{Streams: true},
	}}
}

// identity returns a key of a device whose certificate is valid until then.
func identity(t testing.TB, until time.Time) *attest.Identity {
	t.Helper()
	return identityOf(t, benchKey(), until)
}

func identityOf(t testing.TB, signer crypto.Signer, until time.Time) *attest.Identity {
	t.Helper()
	id, err := attest.NewIdentity(signer, []*x509.Certificate{certificate(t, until)})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func identityBetween(t testing.TB, from, until time.Time) *attest.Identity {
	t.Helper()
	id, err := attest.NewIdentity(benchKey(), []*x509.Certificate{certificateBetween(t, from, until)})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// certificate returns one for the key of all tests.
func certificate(t testing.TB, until time.Time) *x509.Certificate {
	t.Helper()
	return certificateBetween(t, time.Unix(0, 0), until)
}

func certificateBetween(t testing.TB, from, until time.Time) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, benchKey().Public(), benchKey())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// A signer signs with the key of all tests, unless it shall fail.
type signer struct {
	*rsa.PrivateKey
	fail func() error
}

func (s signer) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := s.fail(); err != nil {
		return nil, err
	}
	return s.PrivateKey.Sign(r, digest, opts)
}

// A rig has a device with a fake scanner, and a server without a network.
type rig struct {
	*Server
	t      testing.TB
	device *Device
	line   *line
	log    *strings.Builder
}

// newRig returns a server of one registered device. It does not run yet.
func newRig(t testing.TB, purpose Purpose, drv *fake) *rig {
	t.Helper()
	d := &Device{
		ID: "1", Scanner: capture.NewScanner(drv, drv.info), SubType: "Single", Level: "L0", Serial: drv.info.Serial,
		Provider: "Test", ProviderID: "TEST", Purpose: purpose, Encryption: fixed(certificate(t, time.Now().AddDate(1, 0, 0))),
	}
	b := bareRig(t, purpose, d)
	id := identity(t, time.Now().AddDate(1, 0, 0))
	if err := b.SetKeys(d, &Keys{Device: id, DigitalID: id}); err != nil {
		t.Fatal(err)
	}
	return b
}

// bareRig returns a server of devices without keys.
func bareRig(t testing.TB, purpose Purpose, devices ...*Device) *rig {
	t.Helper()
	l := &line{conns: make(chan net.Conn), closed: make(chan struct{})}
	b := &rig{t: t, line: l, log: &strings.Builder{}}
	b.Server = NewServer(Config{
		Purpose: purpose, Environment: "Developer", Version: "1.2.3",
		Log: slog.New(slog.NewTextHandler(&lockedWriter{w: b.log}, nil)),
	}, l)
	for _, d := range devices {
		b.Add(d)
	}
	if len(devices) > 0 {
		b.device = devices[0]
	}
	return b
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// run serves until the test ends.
func (b *rig) run() *rig {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	})
	return b
}

// A line is a listener whose connections go through memory, so that time can
// be fake. Nothing is buffered: a write waits for its reader.
type line struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *line) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *line) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *line) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4501} }

// A client is one connection.
type client struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

// dial connects and sends text in the background, as far as it is read.
func (b *rig) dial(text string) *client {
	b.t.Helper()
	near, far := net.Pipe()
	b.line.conns <- far
	c := &client{b.t, near, bufio.NewReader(near)}
	b.t.Cleanup(func() { near.Close() })
	go func() { _, _ = io.WriteString(near, text) }() // a server need not read what it refuses
	return c
}

// send sends a call.
func (b *rig) send(verb, path, body string, header ...string) *client {
	b.t.Helper()
	return b.dial(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: 127.0.0.1:4501\r\n%sContent-Length: %d\r\n\r\n%s",
		verb, path, strings.Join(append(header, ""), "\r\n"), len(body), body))
}

// call sends a call and reads its answer.
func (b *rig) call(verb, path, body string, header ...string) []byte {
	b.t.Helper()
	return b.send(verb, path, body, header...).answer()
}

// answer reads an answer to its end.
func (c *client) answer() []byte {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return body
}

// frames reads a stream until it ends.
func (c *client) frames() (count int) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return bytes.Count(body, []byte("--"+boundary+"\r\n"))
}

// status returns the status of the device and the code beside it.
func (b *rig) status() (Status, string) {
	b.t.Helper()
	var entries []discoveryEntry
	if err := json.Unmarshal(b.call("MOSIPDISC", "/device", ""), &entries); err != nil || len(entries) != 1 {
		b.t.Fatalf("discovery of %d devices: %v", len(entries), err)
	}
	return entries[0].DeviceStatus, entries[0].Error.Code
}

// serials returns those of the devices that are listed.
func serials(t testing.TB, r *rig) (list []string) {
	t.Helper()
	var entries []discoveryEntry
	if err := json.Unmarshal(r.call("MOSIPDISC", "/device", ""), &entries); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.DeviceCode)
	}
	return list
}

// captureRequestBody returns a request for one finger.
func captureRequestBody(purpose Purpose, timeout time.Duration, score int) string {
	return fmt.Sprintf(`{"env":"Developer","purpose":%q,"specVersion":"0.9.5","timeout":%d,"transactionId":"test-1",
		"bio":[{"type":"Finger","count":1,"bioSubType":["Left IndexFinger"],"requestedScore":%d,"deviceId":"1","deviceSubId":"0"}]}`,
		purpose, timeout.Milliseconds(), score)
}

// codeOf returns the error code in an answer of any verb.
func codeOf(t testing.TB, answer []byte) string {
	t.Helper()
	code, err := readCode(answer)
	if err != nil {
		t.Fatalf("%v in %.300s", err, answer)
	}
	return code
}

func readCode(answer []byte) (string, error) {
	_, after, found := bytes.Cut(answer, []byte(`"errorCode":"`))
	code, _, ended := bytes.Cut(after, []byte(`"`))
	if !found || !ended || !json.Valid(answer) {
		return "", errors.New("no error code")
	}
	return string(code), nil
}

var farFuture = time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)

// fixed is a source of one certificate.
func fixed(cert *x509.Certificate) func() (*x509.Certificate, error) {
	return func() (*x509.Certificate, error) { return cert, nil }
}
