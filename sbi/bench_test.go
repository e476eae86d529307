package sbi

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"iter"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sbid/attest"
	"sbid/capture"
	"sbid/capture/imagecodec"
	"sbid/capture/iso19794"
	"sbid/driver"
	"sbid/simulator"
)

// A still is a scanner that shows one picture, and notes when it was chosen:
// that is when the consumer wants no more frames.
type still struct {
	info   driver.Info
	frame  driver.Frame
	chosen time.Time
}

func (s *still) ID() string                                           { return "still" }
func (s *still) Probe(context.Context) ([]driver.Info, error)         { return []driver.Info{s.info}, nil }
func (s *still) Open(context.Context, string) (driver.Scanner, error) { return s, nil }
func (s *still) Close() error                                         { return nil }
func (s *still) Frames(context.Context, driver.Target) iter.Seq2[driver.Frame, error] {
	return func(yield func(driver.Frame, error) bool) {
		for yield(s.frame, nil) {
		}
		s.chosen = time.Now()
	}
}

// benchKey and benchKeys are made once: RSA keys take long.
var benchKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

var benchKeys = sync.OnceValue(func() *attest.Identity {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, benchKey().Public(), benchKey())
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	id, err := attest.NewIdentity(benchKey(), []*x509.Certificate{cert})
	if err != nil {
		panic(err)
	}
	return id
})

// serve runs a server of the devices until the benchmark ends.
func serve(b *testing.B, devices ...*Device) *Server {
	b.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0") // no port that a client of another test may scan
	if err != nil {
		b.Fatal(err)
	}
	s := NewServer(Config{
		Purpose: Registration, Environment: "Developer", Version: "bench",
		Log: slog.New(slog.DiscardHandler),
	}, listener)
	for _, d := range devices {
		s.Add(d)
		if err := s.SetKeys(d, &Keys{Device: benchKeys(), DigitalID: benchKeys()}); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return s
}

func benchDevice(id string, m driver.Modality, frame driver.Frame) (*Device, *still) {
	sensors := []driver.Sensor{driver.Left, driver.Right, driver.Both}
	if m == driver.Face {
		sensors = []driver.Sensor{driver.Single}
	}
	scanner := &still{info: driver.Info{Addr: id, Make: "bench", Model: "Still", Modality: m, Sensors: sensors}, frame: frame}
	return &Device{ID: id, Scanner: capture.NewScanner(scanner, scanner.info), SubType: "Slap", Level: "L0", Serial: "BENCH0000" + id + "00", Purpose: Registration}, scanner
}

// request sends a whole HTTP request and returns the whole answer.
func request(conn net.Conn, verb, path, body string) ([]byte, error) {
	return exchange(conn, head(conn, verb, path, body), make([]byte, 4<<20))
}

func head(conn net.Conn, verb, path, body string) []byte {
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", verb, path, conn.RemoteAddr(), len(body), body)
}

// exchange sends bytes and reads what comes, to its end, into buf. It is all
// that a probe does, so that the figures are the server's.
func exchange(conn net.Conn, request, buf []byte) ([]byte, error) {
	defer conn.Close()
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	for n := 0; n < len(buf); {
		m, err := conn.Read(buf[n:])
		if n += m; errors.Is(err, io.EOF) {
			return buf[:n], nil
		} else if err != nil {
			return nil, err
		}
	}
	return nil, io.ErrShortBuffer
}

// BenchmarkProbe times discovery and info from the request's first byte to the
// answer's last: one probe after the other, a hundred of this port at once, and
// one in a page's scan of a hundred ports. Beside ours stands a bare net/http
// server that sends the same bytes.
func BenchmarkProbe(b *testing.B) {
	var devices []*Device
	for i, m := range []driver.Modality{driver.Finger, driver.Iris, driver.Face} {
		d, _ := benchDevice(fmt.Sprint(i+1), m, driver.Frame{Image: image.NewGray(image.Rect(0, 0, 1, 1))})
		devices = append(devices, d)
	}
	ours := serve(b, devices...).listener.Addr().String()
	for _, verb := range []struct{ name, path, body string }{
		{"MOSIPDISC", "/device", `{"type":"Biometric Device"}`}, {"MOSIPDINFO", "/info", ""},
	} {
		answer, err := request(dial(b, ours), verb.name, verb.path, verb.body)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
			b.Fatalf("%s: %.60q %v", verb.name, answer, err)
		}
		_, body, _ := strings.Cut(string(answer), "\r\n\r\n")
		bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			_, _ = io.WriteString(w, body) // the client notices if it does not come
		}))
		b.Cleanup(bare.Close)
		for _, at := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/%d at once", verb.name, at), func(b *testing.B) {
				var took, bareTook []time.Duration
				for b.Loop() {
					took = append(took, wave(b, ours, at, verb.name, verb.path, verb.body)...)
					bareTook = append(bareTook, wave(b, bare.Listener.Addr().String(), at, verb.name, verb.path, verb.body)...)
				}
				p50, p99 := percentiles(took)
				_, bare99 := percentiles(bareTook)
				b.ReportMetric(p50, "p50-ms")
				b.ReportMetric(p99, "p99-ms")
				b.ReportMetric(p99/bare99, "p99/bare")
			})
		}
		b.Run(verb.name+"/in a scan of 100 ports", func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				took = append(took, scan(b, ours, verb.name, verb.path, verb.body))
			}
			p50, p99 := percentiles(took)
			b.ReportMetric(p50, "p50-ms")
			b.ReportMetric(p99, "p99-ms")
		})
	}
}

// scan probes a hundred ports at once, as a browser page does to find the one
// that answers, and returns how long that one took, connection included.
func scan(b *testing.B, addr, verb, path, body string) time.Duration {
	b.Helper()
	var took time.Duration
	var all errgroup.Group
	start := time.Now()
	for port := range 99 { // nobody listens on the first ports
		all.Go(func() error {
			if conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", 1+port)); err == nil {
				conn.Close()
			}
			return nil
		})
	}
	all.Go(func() error {
		conn, err := net.Dial("tcp4", addr)
		if err == nil {
			_, err = exchange(conn, head(conn, verb, path, body), probeBuffers[0])
		}
		took = time.Since(start)
		return err
	})
	if err := all.Wait(); err != nil {
		b.Fatal(err)
	}
	return took
}

func dial(b *testing.B, addr string) net.Conn {
	b.Helper()
	conn, err := net.Dial("tcp4", addr)
	if err != nil {
		b.Fatal(err)
	}
	return conn
}

// probeBuffers take the answers of a wave, the largest of which has 40 KB.
var probeBuffers = func() (b [100][]byte) {
	for i := range b {
		b[i] = make([]byte, 64<<10)
	}
	return b
}()

// wave sends the same request on n open connections at once and returns how
// long each took.
func wave(b *testing.B, addr string, n int, verb, path, body string) []time.Duration {
	b.Helper()
	took := make([]time.Duration, n)
	open, heads := make([]net.Conn, n), make([][]byte, n)
	for i := range open {
		open[i] = dial(b, addr)
		heads[i] = head(open[i], verb, path, body)
	}
	var all errgroup.Group
	gate := make(chan struct{})
	for i, conn := range open {
		all.Go(func() error {
			<-gate
			start := time.Now()
			answer, err := exchange(conn, heads[i], probeBuffers[i])
			took[i] = time.Since(start)
			if err == nil && !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
				err = fmt.Errorf("answer %.40q", answer)
			}
			return err
		})
	}
	close(gate)
	if err := all.Wait(); err != nil {
		b.Fatal(err)
	}
	return took
}

// percentiles returns the median and the 99th percentile in milliseconds.
func percentiles(took []time.Duration) (p50, p99 float64) {
	slices.Sort(took)
	return took[len(took)/2].Seconds() * 1000, took[len(took)*99/100].Seconds() * 1000
}

// BenchmarkRCAPTURE times a registration capture from the moment its frame is
// chosen to the last byte of the answer, and beside it what cannot be avoided:
// encoding the same images, hashing and signing the records, on the same cores.
func BenchmarkRCAPTURE(b *testing.B) {
	person := simulator.NewPerson(1)
	slap, _ := person.Slap(driver.Left, nil, simulator.Pose{})
	both := image.NewGray(image.Rect(0, 0, 1280, 480))
	for i, p := range []driver.Position{driver.RightIris, driver.LeftIris} {
		eye, _ := person.Eye(p, simulator.Shot{})
		for y := range 480 {
			copy(both.Pix[y*both.Stride+i*640:], eye.Pix[y*eye.Stride:y*eye.Stride+640])
		}
	}
	face, _ := person.Face(simulator.Shot{})
	for _, tt := range []struct {
		name, subID string
		modality    driver.Modality
		frame       driver.Frame
		count       int
	}{
		{"left slap", "1", driver.Finger, driver.Frame{Image: slap, DPI: 500}, 4},
		{"both irises", "3", driver.Iris, driver.Frame{Image: both}, 2},
		{"face", "0", driver.Face, driver.Frame{Image: face}, 1},
	} {
		b.Run(tt.name, func(b *testing.B) {
			d, scanner := benchDevice("1", tt.modality, tt.frame)
			addr := serve(b, d).listener.Addr().String()
			body := fmt.Sprintf(`{"env":"Developer","purpose":"Registration","specVersion":"0.9.5","timeout":"10000","transactionId":"bench-1",
				"bio":[{"type":%q,"count":"%d","requestedScore":"1","deviceId":"1","deviceSubId":%q}]}`, tt.modality, tt.count, tt.subID)
			var whole, bare time.Duration
			for b.Loop() {
				answer, err := request(dial(b, addr), "RCAPTURE", "/capture", body)
				if err != nil {
					b.Fatal(err)
				}
				whole += time.Since(scanner.chosen)
				images := imagesOf(b, answer, tt.count)
				start := time.Now()
				bareOperations(b, images)
				bare += time.Since(start)
			}
			b.ReportMetric(whole.Seconds()*1000/float64(b.N), "answer-ms")
			b.ReportMetric(bare.Seconds()*1000/float64(b.N), "bare-ms")
			b.ReportMetric(whole.Seconds()/bare.Seconds(), "answer/bare")
		})
	}
}

// imagesOf decodes the images in an answer.
func imagesOf(b *testing.B, answer []byte, count int) []image.Image {
	b.Helper()
	_, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	var got captureAnswer
	if err := json.Unmarshal([]byte(body), &got); err != nil || len(got.Biometrics) != count || got.Biometrics[0].Data == "" {
		b.Fatalf("answer %.200s", body)
	}
	var images []image.Image
	for _, e := range got.Biometrics {
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(e.Data, ".")[1])
		if err != nil {
			b.Fatal(err)
		}
		var block dataBlock
		if err := json.Unmarshal(payload, &block); err != nil {
			b.Fatal(err)
		}
		value, err := base64.RawURLEncoding.DecodeString(block.BioValue)
		if err != nil {
			b.Fatal(err)
		}
		record, err := iso19794.Decode(value)
		if err != nil {
			b.Fatal(err)
		}
		img, _, err := imagecodec.DecodeJP2(record.Image())
		if err != nil {
			b.Fatal(err)
		}
		images = append(images, img)
	}
	return images
}

// bareOperations encodes, hashes and signs images side by side, with nothing
// around it.
func bareOperations(b *testing.B, images []image.Image) {
	var work errgroup.Group
	for _, img := range images {
		work.Go(func() error {
			encoded, err := imagecodec.EncodeJP2(img, imagecodec.JP2Options{Lossless: true, DPI: 500})
			if err != nil {
				return err
			}
			digest := sha256.Sum256(encoded)
			_, err = benchKey().Sign(rand.Reader, digest[:], crypto.SHA256)
			return err
		})
	}
	if err := work.Wait(); err != nil {
		b.Fatal(err)
	}
}
