package sbi

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOriginsAllow(t *testing.T) {
	tests := []struct {
		list   []string
		origin string
		want   bool
	}{
		{nil, "https://portal.example.org", false},
		{nil, "http://127.0.0.1:4501", true},
		{nil, "http://127.0.0.1:4600", true},
		{nil, "http://localhost:4550", true},
		{nil, "https://127.0.0.1:4501", false},
		{nil, "http://127.0.0.1:4500", false},
		{nil, "http://127.0.0.1:45010", false},
		{nil, "http://127.0.0.1", false},
		{nil, "http://127.0.0.1.evil.test:4501", false},
		{nil, "null", false},
		{[]string{"null"}, "null", true},
		{[]string{"https://portal.example.org"}, "https://portal.example.org", true},
		{[]string{"https://portal.example.org"}, "HTTPS://Portal.Example.org", true},
		{[]string{"https://portal.example.org"}, "http://portal.example.org", false},
		{[]string{"https://portal.example.org"}, "https://portal.example.org:444", false},
		{[]string{"https://portal.example.org"}, "https://portal.example.org.evil.test", false},
		{[]string{"https://*.example.org"}, "https://a.example.org", true},
		{[]string{"https://*.example.org"}, "https://a.b.example.org", true},
		{[]string{"https://*.example.org"}, "https://example.org", false},
		{[]string{"https://*.example.org"}, "https://.example.org", false},
		{[]string{"https://*.example.org"}, "https://a.example.org:444", false},
		{[]string{"https://*.example.org"}, "https://evil.test/.example.org", false},
		{[]string{"https://*.example.org"}, "https://evil.test?.example.org", false},
		{[]string{"https://*.example.org"}, "https://u@.example.org", false},
		{[]string{"*"}, "https://anything.test", true},
		{[]string{"chrome-extension://abcdefghijklmnop"}, "", false},
	}
	for _, tt := range tests {
		origins, err := ParseOrigins(tt.list, true)
		if err != nil {
			if tt.want || !strings.Contains(tt.list[0], "extension") {
				t.Errorf("%q: %v", tt.list, err)
			}
			continue
		}
		if got := origins.Allows(tt.origin); got != tt.want {
			t.Errorf("%q allows %q: %v, want %v", tt.list, tt.origin, got, tt.want)
		}
	}
}

func TestParseOriginsRefuses(t *testing.T) {
	for _, s := range []string{"", "portal.example.org", "https://portal.example.org/", "https://a.*.org", "ftp://a.org", "https://*", "https://*a.org", "https://*.*.org", "https://"} {
		if _, err := ParseOrigins([]string{s}, true); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
	if _, err := ParseOrigins([]string{"*"}, false); err == nil {
		t.Error("* was accepted for real scanners")
	}
}

// No request that a web page forged may reach a handler, whatever the verb.
func TestGuardKeepsStrangersOut(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var reached bool
	s := NewServer(Config{
		Purpose: Registration, Log: slog.New(slog.DiscardHandler), Origins: Origins{"https://portal.example.org"},
		Extra: map[string]http.Handler{"/probe": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })},
	}, listener)
	own := listener.Addr().String()
	localhost := "localhost:" + s.port()
	tests := map[string]struct {
		host, origin string
		want         int
	}{
		"client without origin":  {own, "", 200},
		"by the name localhost":  {localhost, "", 200},
		"upper case":             {strings.ToUpper(localhost), "", 200},
		"listed portal":          {own, "https://portal.example.org", 200},
		"own page":               {own, "http://127.0.0.1:4501", 200},
		"stranger":               {own, "https://evil.test", 403},
		"file page":              {own, "null", 403},
		"rebound name":           {"rebind.example.test:" + s.port(), "", 403},
		"rebound name as origin": {"rebind.example.test:" + s.port(), "http://rebind.example.test:" + s.port(), 403},
		"no host":                {"", "", 403},
		"no port":                {"127.0.0.1", "", 403},
		"other port":             {"127.0.0.1:1", "", 403},
		"all interfaces":         {"0.0.0.0:" + s.port(), "", 403},
		"ipv6":                   {"[::1]:" + s.port(), "", 403},
		"below localhost":        {"a.localhost:" + s.port(), "", 403},
	}
	for name, tt := range tests {
		for _, method := range []string{"GET", "POST", "HEAD", "MOSIPDISC", "SBIDISC", "MOSIPDINFO", "CAPTURE", "RCAPTURE", "STREAM"} {
			reached = false
			r := httptest.NewRequest(method, "/probe", nil)
			r.Host = tt.host
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			if w.Code != tt.want || reached != (tt.want == 200) {
				t.Errorf("%s, %s: status %d, handler ran: %v; want %d", name, method, w.Code, reached, tt.want)
			}
			readable := tt.want == 200 && tt.origin != "" && method != "POST" && method != "HEAD" // no page needs those
			if got := w.Header().Get("Access-Control-Allow-Origin"); (got != "") != readable {
				t.Errorf("%s, %s: Access-Control-Allow-Origin %q", name, method, got)
			}
			if w.Header().Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s, %s: credentials are allowed", name, method)
			}
		}
	}
}

// A bug in one handler is one answer and a log line, not the end.
func TestPanicIsOneAnswer(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var log strings.Builder
	s := NewServer(Config{Purpose: Registration, Log: slog.New(slog.NewTextHandler(&log, nil)), Extra: map[string]http.Handler{
		"RCAPTURE /bug": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("ridge data") }),
	}}, listener)
	r := httptest.NewRequest("RCAPTURE", "/bug", nil)
	r.Host = listener.Addr().String()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"errorCode":"599"`) {
		t.Errorf("answer %d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "panicked") || strings.Contains(log.String(), "ridge data") {
		t.Errorf("log: %s", log.String())
	}
}
