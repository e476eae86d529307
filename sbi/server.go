// Package sbi is the wire: it serves MOSIP's Secure Biometric Interface 0.9.5
// over HTTP on 127.0.0.1. It is the only room that knows SBI; captures are made
// below it and signatures beside it.
package sbi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	specVersion = "0.9.5" // of SBI: the one every client accepts
	loopback    = "127.0.0.1"
	toolkitPort = 4510 // the last that MOSIP's compliance toolkit looks at, from 4501 on

	maxBody   = 64 << 10         // bytes of a request; the largest real one has about 1 KB
	maxDrain  = 256 << 10        // bytes of a request that is refused
	maxHeader = 16 << 10         // bytes
	readTime  = 5 * time.Second  // for a request, head and body
	writeTime = 10 * time.Second // for an answer, or one frame of a stream
	checkTime = 5 * time.Second  // between looks at how old what the devices say about themselves is
)

// Purpose is what the devices of an endpoint are for.
type Purpose string

const (
	Registration Purpose = "Registration"
	Auth         Purpose = "Auth"
)

// Config says what a server serves.
type Config struct {
	Purpose Purpose
	Origins Origins // whose pages may call
	// Environment is the SBI env the devices are registered in: Staging,
	// Developer, Pre-Production or Production.
	Environment string
	Version     string // of this service
	Log         *slog.Logger
	Extra       map[string]http.Handler // further patterns, behind the same guard
	// Report, if it is set, is told of every capture that was asked for, when it
	// is over. It must not take long: the client waits.
	Report func(Report)
	// SigningFailed, if it is set, is told each time a key of a device could not
	// sign: in a capture, or what the device says about itself, which is tried
	// every few seconds. It must not block.
	SigningFailed func(deviceID string, err error)
}

// A Server serves the devices of one purpose on one port. Mixing purposes on a
// port makes the registration client take one device for another.
type Server struct {
	cfg      Config
	log      *slog.Logger
	listener net.Listener
	handler  http.Handler

	adding  sync.Mutex
	devices atomic.Pointer[[]*Device] // replaced as a whole
}

// NewServer returns a server that will answer on the listener. It starts
// nothing, and has no devices before Add.
func NewServer(cfg Config, listener net.Listener) *Server {
	s := &Server{cfg: cfg, log: cfg.Log.With("purpose", string(cfg.Purpose)), listener: listener}
	if port := listener.Addr().(*net.TCPAddr).Port; port > toolkitPort {
		s.log.Warn("the compliance toolkit looks for devices on ports 4501 to 4510 only", "port", port)
	}
	s.devices.Store(&[]*Device{})
	mux := http.NewServeMux()
	mux.Handle("MOSIPDISC /device", s.verb(s.discover))
	mux.Handle("SBIDISC /device", s.verb(s.discover))
	mux.Handle("MOSIPDINFO /info", s.verb(s.info))
	mux.Handle("RCAPTURE /capture", s.verb(s.registrationCapture))
	mux.Handle("CAPTURE /capture", s.verb(s.authCapture))
	mux.Handle("STREAM /stream", s.verb(s.stream))
	for pattern, h := range cfg.Extra {
		mux.Handle(pattern, h)
	}
	mux.HandleFunc("/", s.unknown)
	s.handler = s.recovered(s.guard(mux))
	return s
}

// Add makes a device known, at any time. Its purpose is the server's. It is
// listed from its first SetKeys on.
func (s *Server) Add(d *Device) {
	s.adding.Lock()
	defer s.adding.Unlock()
	devices := append(slices.Clone(*s.devices.Load()), d)
	s.devices.Store(&devices)
}

// Handler returns everything the server answers.
func (s *Server) Handler() http.Handler { return s.handler }

func (s *Server) port() string {
	return strconv.Itoa(s.listener.Addr().(*net.TCPAddr).Port)
}

// Origin returns where the server answers, like http://127.0.0.1:4501.
func (s *Server) Origin() string { return "http://" + loopback + ":" + s.port() }

// Close gives the port of a server back that was never run.
func (s *Server) Close() error { return s.listener.Close() }

// Run serves until ctx ends, and returns when all that it started has stopped:
// captures and streams are cancelled, their answers get a second to leave.
func (s *Server) Run(ctx context.Context) error {
	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	hs := &http.Server{
		Handler:        s.handler,
		ReadTimeout:    readTime,
		MaxHeaderBytes: maxHeader,
		BaseContext:    func(net.Listener) context.Context { return work },
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.keepFresh(work) })
	wg.Go(func() {
		<-work.Done()
		grace, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer done()
		if hs.Shutdown(grace) != nil {
			hs.Close()
		}
	})
	err := hs.Serve(s.listener)
	cancel(err)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", s.Origin(), err)
}

// keepFresh signs again what the devices say about themselves before clients
// find it old. What fails is tried on every tick, and logged when it changes.
func (s *Server) keepFresh(ctx context.Context) {
	failing := map[*Device]string{} // with what
	tick := time.NewTicker(checkTime)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, d := range *s.devices.Load() {
			before, failed := failing[d]
			err := s.refresh(d)
			switch {
			case err == nil && failed:
				delete(failing, d)
				s.log.Info("what the device says about itself is signed again", "device", d.ID)
			case err != nil:
				if err.Error() != before {
					failing[d] = err.Error()
					s.log.Error("cannot sign what the device says about itself", "device", d.ID, "err", err)
				}
				s.signingFailed(d, err)
			}
		}
	}
}

func (s *Server) signingFailed(d *Device, err error) {
	if s.cfg.SigningFailed != nil {
		s.cfg.SigningFailed(d.ID, err)
	}
}

// A call is one request of a verb, read to its end.
type call struct {
	w    http.ResponseWriter
	r    *http.Request
	body []byte
	log  *slog.Logger
}

// verb makes a handler of a function that answers calls. The body is read to
// its end first, since before that the server does not notice a hang-up.
func (s *Server) verb(f func(*call)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			s.log.Warn("request not read", "verb", r.Method, "err", err)
			drain(r)
			s.reply(w, http.StatusOK, errorBody(r.Method, r.Header.Get("Accept-Language"), InvalidRequest))
			return
		}
		// From here on reading only serves to notice a hang-up, for as long as it takes.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // tests without a connection have none
		c := &call{w: w, r: r, body: body, log: s.log}
		f(c)
		c.log.Debug("answered", "verb", r.Method, "took", time.Since(start))
	})
}

// errorBody is an error in the shape that the clients of a verb expect.
func errorBody(verb, language string, code Code) any {
	e := errorInfo{code.String(), code.Text(language)}
	switch verb {
	case "CAPTURE", "RCAPTURE":
		return captureAnswer{[]biometric{{SpecVersion: specVersion, Error: e}}}
	case "STREAM":
		return struct {
			Error errorInfo `json:"error"`
		}{e}
	}
	return []struct {
		Error errorInfo `json:"error"`
	}{{e}}
}

// errorInfo is the error member of every answer. Clients want it on success,
// too.
type errorInfo struct {
	Code string `json:"errorCode"`
	Info string `json:"errorInfo"`
}

// fail answers a call with an error. The cause goes to the log alone.
func (s *Server) fail(c *call, err error) {
	code := CodeOf(err)
	level := slog.LevelInfo
	if code == Internal || code == NoSigningKey { // nothing that a client could have done
		level = slog.LevelError
	}
	c.log.Log(c.r.Context(), level, "refused", "verb", c.r.Method, "code", int(code), "err", err)
	s.reply(c.w, http.StatusOK, errorBody(c.r.Method, c.r.Header.Get("Accept-Language"), code))
}

func (s *Server) reply(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types always marshal
	}
	s.send(w, status, "application/json", body)
}

func (s *Server) send(w http.ResponseWriter, status int, contentType string, body []byte) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		s.log.Debug("client is gone", "err", err) // probes drop their first answer unread
	}
}

func (s *Server) forbid(w http.ResponseWriter, r *http.Request, why, key, value string) {
	s.log.Warn("refused a stranger", "why", why, "verb", brief(r.Method), key, brief(value))
	drain(r)
	s.reply(w, http.StatusForbidden, errorBody(r.Method, "", InvalidRequest))
}

// drain takes in what is left of a body that nobody wants, within bounds of size
// and time: a client that is still sending would be reset, and not see its answer.
func drain(r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, maxDrain) // it may end before, or the client be gone
}

// brief is what the log says of a text that a stranger chose.
func brief(text string) string {
	const most = 100 // bytes
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// unknown answers what is no SBI call at all.
func (s *Server) unknown(w http.ResponseWriter, r *http.Request) {
	status := http.StatusNotFound
	switch r.URL.Path {
	case "/device", "/info", "/capture", "/stream":
		status = http.StatusMethodNotAllowed
	}
	s.reply(w, status, errorBody(r.Method, r.Header.Get("Accept-Language"), InvalidRequest))
}

// recovered keeps a bug in one handler from being the end of the service.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if bug := recover(); bug != nil {
				if err, ok := bug.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(bug)
				}
				s.reportBug(bug)
				s.reply(w, http.StatusOK, errorBody(r.Method, r.Header.Get("Accept-Language"), Internal))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// try calls f and makes an error of a panic, which in a goroutine of its own
// would be the end of the service.
func (s *Server) try(f func() error) (err error) {
	defer func() {
		if bug := recover(); bug != nil {
			s.reportBug(bug)
			err = errBug
		}
	}()
	return f()
}

var errBug = errors.New("bug: a panic, see above in the log")

// reportBug logs a panic where it is recovered. The value may quote what a
// client or a scanner sent, so it stays out.
func (s *Server) reportBug(bug any) {
	s.log.Error("bug: a handler panicked", "type", fmt.Sprintf("%T", bug), "stack", string(debug.Stack()))
}

// Listen binds the lowest free port of 127.0.0.1 from first to last. A port
// that is taken is passed over.
func Listen(ctx context.Context, first, last int) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1} // nobody on this machine goes away without a word
	var err error
	for port := first; port <= last; port++ {
		var l net.Listener
		if l, err = lc.Listen(ctx, "tcp4", net.JoinHostPort(loopback, strconv.Itoa(port))); err == nil {
			return l, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("no port from %d to %d of %s is free: other services hold them, stop one of them or choose other ports: %w", first, last, loopback, err)
}
