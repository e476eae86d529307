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
	"sync"
	"time"
)

// ErrNotRunning means that no sbid runs on the state folder.
var ErrNotRunning = errors.New("sbid is not running")

const (
	socket    = "control"
	maxBody   = 4 << 20          // bytes: certificates and evidence go through here
	readTime  = 10 * time.Second // for a request to come in
	writeTime = 10 * time.Second // for an answer to be taken, however long it took to make
	endTime   = 2 * time.Second  // for clients to take their answers when the service stops
	maxPath   = 100              // bytes: systems cut the path of a socket at 104 to 108
)

// Path returns where the socket of the sbid is that runs on a state folder.
func Path(state string) string { return filepath.Join(state, socket) }

// Listen opens the socket in a state folder, which it closes to other users. The
// caller holds the folder's lock, so a socket that is there is one that was left
// behind.
func Listen(ctx context.Context, state string) (net.Listener, error) {
	path := Path(state)
	if len(path) > maxPath {
		return nil, fmt.Errorf("open control socket: the path %s is too long for a socket; choose a shorter state folder", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	if err := shut(state); err != nil { // before the socket has its own mode, the folder keeps others from it
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

// shut takes the state folder from everybody but its owner.
func shut(state string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	info, err := os.Stat(state)
	switch {
	case err != nil:
		return err
	case info.Mode().Perm()&0o077 == 0:
		return nil
	case !ours(info) || info.Mode()&fs.ModeSticky != 0: // the second is a folder that everybody is meant to use
		return fmt.Errorf("other users can look into the state folder %s (mode %04o), which is not this user's alone: "+
			"make it so (chown and chmod 700), or choose another one", state, info.Mode().Perm())
	}
	return os.Chmod(state, 0o700) //nolint:gosec // a folder is of no use without x
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
// are under way have ended; their context ends with ctx. A client that does not
// finish its request, or does not take its answer, is left after a while.
func Serve(ctx context.Context, listener net.Listener, operations map[string]Operation) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var working sync.RWMutex // operations read; whoever has the lock alone knows that none is under way
	mux := http.NewServeMux()
	for name, do := range operations {
		mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
			// An operation may take as long as it takes: its time is no client's fault.
			conn := http.NewResponseController(w)
			_ = conn.SetReadDeadline(time.Time{})
			var answer any
			if err == nil {
				working.RLock()
				if err = ctx.Err(); err == nil {
					answer, err = do(r.Context(), body)
				}
				working.RUnlock()
			}
			status := http.StatusOK
			if err != nil {
				status, answer = http.StatusUnprocessableEntity, failure{err.Error()}
			}
			_ = conn.SetWriteDeadline(time.Now().Add(writeTime))
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(answer) // a command that was ended needs no answer
		})
	}
	server := &http.Server{
		Handler: mux, ReadTimeout: readTime,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		end(context.WithoutCancel(ctx), server)
	}()
	err := server.Serve(listener)
	cancel()
	<-ended
	working.Lock()
	defer working.Unlock()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve control socket: %w", err)
}

// end lets clients take their answers, and leaves those that do not.
func end(ctx context.Context, server *http.Server) {
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
}

// A Client calls the operations of the sbid that runs on a state folder.
type Client struct {
	http *http.Client
}

// Dial returns a client, or ErrNotRunning.
func Dial(ctx context.Context, state string) (*Client, error) {
	path := Path(state)
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
