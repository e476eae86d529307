package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sbid/capture"
	"sbid/capture/imagecodec"
	"sbid/capture/iso19794"
	"sbid/cmd/internal/daemon"
	"sbid/sbi"
	"sbid/simulator"
)

// A connection is a call that is under way, on a connection of its own.
type connection struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

// dial connects to an endpoint and writes text, as it is.
func (s *sim) dial(url, text string) *connection {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	// A test that hangs says where.
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	return &connection{s.t, conn, bufio.NewReaderSize(conn, 1<<20)}
}

// request writes a call as most clients do.
func request(verb, url, body string, header ...string) string {
	host := strings.TrimPrefix(url, "http://")
	path := map[string]string{"STREAM": "/stream", "CAPTURE": "/capture", "RCAPTURE": "/capture", "MOSIPDISC": "/device", "MOSIPDINFO": "/info"}[verb]
	var more strings.Builder
	for i := 0; i < len(header); i += 2 {
		fmt.Fprintf(&more, "%s: %s\r\n", header[i], header[i+1])
	}
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %d\r\n\r\n%s", verb, path, host, &more, len(body), body)
}

// begin starts a capture and does not wait for its answer.
func (s *sim) begin(sc scene, changes ...any) *connection {
	s.t.Helper()
	url := s.registration
	if sc.purpose == sbi.Auth {
		url = s.auth
	}
	body, err := json.Marshal(sc.request(changes...))
	if err != nil {
		s.t.Fatal(err)
	}
	return s.dial(url, request(sc.verb(), url, string(body)))
}

// answer waits for the answer to a capture.
func (c *connection) answer() answer {
	c.t.Helper()
	resp, body := c.response()
	if resp.StatusCode != http.StatusOK {
		c.t.Errorf("status %s", resp.Status)
	}
	return answer{t: c.t, body: body}
}

// response reads a whole answer.
func (c *connection) response() (*http.Response, []byte) {
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
	return resp, body
}

// hangUp ends the connection as a client that has gone.
func (c *connection) hangUp() {
	c.t.Helper()
	if err := c.Close(); err != nil {
		c.t.Error(err)
	}
}

// A viewer looks at a stream.
type viewer struct {
	*connection
	response *http.Response
	body     *bufio.Reader
}

// stream opens the stream of a scene's sensor as the toolkit does, without a
// timeout.
func (s *sim) stream(sc scene) *viewer {
	s.t.Helper()
	return s.openStream(fmt.Sprintf(`{"deviceId":%q,"deviceSubId":%q}`, sc.device, sc.sub))
}

func (s *sim) openStream(body string, header ...string) *viewer {
	s.t.Helper()
	c := s.dial(s.registration, request("STREAM", s.registration, body, header...))
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "multipart/x-mixed-replace") {
		text, _ := io.ReadAll(resp.Body)
		s.t.Fatalf("stream of %s: %s: %s", body, kind, text)
	}
	return &viewer{c, resp, bufio.NewReader(resp.Body)}
}

// next returns the next frame as it was sent, or io.EOF.
func (v *viewer) next() ([]byte, error) {
	size := -1
	for {
		line, err := v.body.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			return nil, io.EOF
		}
		if err != nil {
			return nil, fmt.Errorf("in the head of a part, after %q: %w", line, err)
		}
		if value, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			if size, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return nil, err
			}
		}
		if line == "\r\n" && size >= 0 {
			break
		}
	}
	frame := make([]byte, size+2)
	if _, err := io.ReadFull(v.body, frame); err != nil {
		return nil, fmt.Errorf("in a frame of %d bytes: %w", size, err)
	}
	if string(frame[size:]) != "\r\n" {
		return nil, fmt.Errorf("frame ends with %q", frame[size:])
	}
	return frame[:size], nil
}

// frame returns the next frame.
func (v *viewer) frame() []byte {
	v.t.Helper()
	frame, err := v.next()
	if err != nil {
		v.t.Fatal(err)
	}
	return frame
}

// rest returns the frames until the stream ends.
func (v *viewer) rest() [][]byte {
	v.t.Helper()
	var all [][]byte
	for {
		frame, err := v.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			v.t.Fatal(err)
		}
		all = append(all, frame)
	}
}

func (v *viewer) close() { v.hangUp() }

func decodeJPEG(t testing.TB, frame []byte) image.Image {
	t.Helper()
	img, err := jpeg.Decode(bytes.NewReader(frame))
	if err != nil {
		t.Fatalf("frame of %d bytes: %v", len(frame), err)
	}
	return img
}

// virtual returns the device at an address of the simulator, for registration
// and without keys.
func virtual(t *testing.T, addr string) daemon.Device {
	t.Helper()
	sim := simulator.New(simulator.Config{Seed: 1})
	infos, err := sim.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range infos {
		if info.Addr == addr {
			return daemon.Device{Device: &sbi.Device{
				ID: roles[addr].id, Scanner: capture.NewScanner(sim, info), SubType: roles[addr].subType,
				Level: "L0", Serial: info.Serial, Provider: "sbid developer", ProviderID: "SBID", Purpose: sbi.Registration,
			}}
		}
	}
	t.Fatalf("no scanner at %s", addr)
	return daemon.Device{}
}

// serve answers with devices of its own until the test ends, and returns where.
func serve(t *testing.T, devices ...daemon.Device) string {
	t.Helper()
	out, in := io.Pipe()
	d, err := daemon.Options{Ports: "4501-4600", Purpose: []string{"Registration"}}.
		New(t.Context(), daemon.Settings{Environment: "Developer"}, slog.New(slog.DiscardHandler), in)
	if err != nil {
		t.Fatal(err)
	}
	for _, dev := range devices {
		if err := d.Add(dev); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(strings.Fields(line)[2], "/")
}

// encryptionCertificate writes a certificate of a new key that is valid until
// life from now.
func encryptionCertificate(t *testing.T, life time.Duration) (*rsa.PrivateKey, string, *x509.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Adopter"}, CommonName: "session keys"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(life),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "encryption.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return key, file, cert
}

// pictures returns a folder with pictures to play: fingers as the shared sbisim
// captured them, by their names.
func pictures(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, b := range takenSlap(t).elements() {
		record, err := iso19794.Decode(b.record)
		if err != nil {
			t.Fatal(err)
		}
		position, _ := record.Position()
		if !slices.Contains(names, position.String()) {
			continue
		}
		img, _, err := imagecodec.Decode(record.Image())
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(dir, position.String()+".png"))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(png.Encode(f, img), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// freePorts returns the first of n ports in a row that are free. They are not
// among those that the system gives to whoever asks for any.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for range 100 {
		first := 20000 + mathrand.IntN(10000)
		var held []net.Listener
		for port := first; port < first+n; port++ {
			if l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
				held = append(held, l)
			}
		}
		for _, l := range held {
			l.Close()
		}
		if len(held) == n {
			return first
		}
	}
	t.Fatalf("no %d free ports in a row", n)
	return 0
}

// hold takes a port until the test ends.
func hold(t *testing.T, port int) {
	t.Helper()
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

func newReader(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }
