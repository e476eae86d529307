// Package control lets the other commands of sbid reach the one that runs: HTTP
// on a socket in the state folder, which only the service's own user may open.
// Each operation is a POST of a JSON value that is answered with another.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// ErrNotRunning means that no sbid runs on the state folder.
var ErrNotRunning = errors.New("sbid is not running")

const (
	socket   = "control"
	maxBody  = 4 << 20 // bytes: certificates and evidence go through here
	readTime = 10 * time.Second
	maxPath  = 100 // bytes: systems cut the path of a socket at 104 to 108
)

// Listen opens the socket in a state folder. The caller holds the folder's lock,
// so a socket that is there is one that was left behind.
func Listen(ctx context.Context, state string) (net.Listener, error) {
	path := filepath.Join(state, socket)
	if len(path) > maxPath {
		return nil, fmt.Errorf("open control socket: the path %s is too long for a socket; choose a shorter state folder", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	if runtime.GOOS != "windows" { // there the folder's access list is what counts
		if err := os.Chmod(path, 0o600); err != nil {
			return nil, errors.Join(fmt.Errorf("open control socket: %w", err), listener.Close())
		}
	}
	return listener, nil
}

// A failure is the answer to an operation that failed.
type failure struct {
	Error string `json:"error"`
}

// An Operation answers a JSON value with another.
type Operation func(ctx context.Context, body []byte) (any, error)

// Op makes an Operation of a function on values.
func Op[Req, Res any](do func(context.Context, Req) (Res, error)) Operation {
	return func(ctx context.Context, body []byte) (any, error) {
		var req Req
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&req); err != nil {
			return nil, fmt.Errorf("read request: %w", err)
		}
		return do(ctx, req)
	}
}

// Serve answers operations by name until ctx ends, and returns when all that
// are under way have ended; their context ends with ctx.
func Serve(ctx context.Context, listener net.Listener, operations map[string]Operation) error {
	mux := http.NewServeMux()
	for name, do := range operations {
		mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
			var answer any
			if err == nil {
				answer, err = do(r.Context(), body)
			}
			status := http.StatusOK
			if err != nil {
				status, answer = http.StatusUnprocessableEntity, failure{err.Error()}
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(answer) // a command that was ended needs no answer
		})
	}
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: readTime,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		_ = server.Shutdown(context.WithoutCancel(ctx)) // waits for the handlers, whose context is over
	}()
	err := server.Serve(listener)
	if errors.Is(err, http.ErrServerClosed) {
		<-ended
		return nil
	}
	return fmt.Errorf("serve control socket: %w", err)
}

// A Client calls the operations of the sbid that runs on a state folder.
type Client struct {
	http *http.Client
}

// Dial returns a client, or ErrNotRunning.
func Dial(ctx context.Context, state string) (*Client, error) {
	path := filepath.Join(state, socket)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx, "", "")
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("reach the sbid that runs: %w; become root or the service's user", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w on %s", ErrNotRunning, state)
	}
	_ = conn.Close()
	return &Client{&http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}, nil
}

// Call calls an operation. The error is that of the operation, or why it could
// not be reached.
func Call[Req, Res any](ctx context.Context, c *Client, name string, req Req) (Res, error) {
	var res Res
	body, err := json.Marshal(req)
	if err != nil {
		return res, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://sbid/"+name, bytes.NewReader(body))
	if err != nil {
		return res, err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return res, fmt.Errorf("ask the sbid that runs: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4*maxBody))
	if err != nil {
		return res, fmt.Errorf("ask the sbid that runs: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var f failure
		if json.Unmarshal(answer, &f) != nil || f.Error == "" {
			return res, fmt.Errorf("ask the sbid that runs: %s: is it of the same version?", resp.Status)
		}
		return res, errors.New(f.Error)
	}
	if err := json.Unmarshal(answer, &res); err != nil {
		return res, fmt.Errorf("ask the sbid that runs: %w", err)
	}
	return res, nil
}
