package sbi

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rs/cors"
)

// Origins are the web origins whose pages may use the scanners, such as
// https://portal.example.org. Two forms stand for more than themselves:
// https://*.example.org for every name below example.org, and * for all. The
// word null admits pages without an origin.
type Origins []string

// ParseOrigins checks a configured list. "*" is refused unless any is true.
func ParseOrigins(list []string, anyAllowed bool) (Origins, error) {
	var o Origins
	for _, s := range list {
		if s == "*" && !anyAllowed {
			return nil, fmt.Errorf("allowed origin %q: every web page could use the scanners; name the origins instead", s)
		}
		if s != "*" && s != "null" {
			u, err := url.Parse(s)
			if err != nil || u.Host == "" || s != u.Scheme+"://"+u.Host || u.Scheme != "http" && u.Scheme != "https" {
				return nil, fmt.Errorf("allowed origin %q: write it like https://portal.example.org, without a path", s)
			}
			if rest, ok := strings.CutPrefix(u.Host, "*."); strings.Contains(rest, "*") || !ok && strings.Contains(u.Host, "*") {
				return nil, fmt.Errorf("allowed origin %q: the only wildcard is a leading *. as in https://*.example.org", s)
			}
		}
		o = append(o, strings.ToLower(s))
	}
	return o, nil
}

// Allows says whether a page of this origin may call. The service's own pages,
// on any SBI port of this machine, always may.
func (o Origins) Allows(origin string) bool {
	if slices.Contains(o, "*") {
		return true
	}
	origin = strings.ToLower(origin)
	if slices.Contains(o, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || origin != u.Scheme+"://"+u.Host {
		return false
	}
	if u.Scheme == "http" && (u.Hostname() == "127.0.0.1" || u.Hostname() == "localhost") {
		p := u.Port()
		return len(p) == 4 && p >= "4501" && p <= "4600"
	}
	for _, allowed := range o {
		scheme, suffix, ok := strings.Cut(allowed, "*")
		if ok && strings.HasPrefix(origin, scheme) && strings.HasSuffix(origin, suffix) && len(origin) > len(scheme)+len(suffix) {
			return true
		}
	}
	return false
}

// guard lets in only what was meant for this service: the Host header keeps
// out pages that rebound a name of theirs to 127.0.0.1, the Origin keeps out
// pages of sites that nobody listed. CORS headers come before the Origin check
// so that a refused page can read why.
func (s *Server) guard(next http.Handler) http.Handler {
	checked := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" && !s.cfg.Origins.Allows(origin) {
			s.forbid(w, r, "origin not allowed", "origin", origin)
			return
		}
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
	crossOrigin := cors.New(cors.Options{
		AllowOriginFunc:      s.cfg.Origins.Allows,
		AllowedMethods:       []string{"GET", "MOSIPDISC", "SBIDISC", "MOSIPDINFO", "CAPTURE", "RCAPTURE", "STREAM"},
		AllowedHeaders:       []string{"Content-Type", "Accept", "Authorization", "X-Requested-With", "Cache-Control", "EXT"},
		MaxAge:               600, // seconds
		AllowPrivateNetwork:  true,
		OptionsSuccessStatus: http.StatusNoContent,
	}).Handler(checked)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Location", s.Origin())
		h.Set("Connection", "close")
		h.Set("X-Content-Type-Options", "nosniff")
		host, port, _ := strings.Cut(strings.ToLower(r.Host), ":")
		if host != loopback && host != "localhost" || port != s.port() {
			s.forbid(w, r, "host not ours", "host", r.Host)
			return
		}
		crossOrigin.ServeHTTP(w, r)
	})
}
