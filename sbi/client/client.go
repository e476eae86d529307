// Package client speaks MOSIP's Secure Biometric Interface (SBI, formerly MDS)
// 0.9.5 to the services on this machine: discovery, device info, captures and
// streams. It reads what any service in the field sends, its own or another
// maker's, and takes nothing on trust: every answer is bounded in size and in
// time. It decodes signed payloads but does not verify their signatures.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// The verbs of SBI 0.9.5 and the path that each is sent to.
const (
	verbDiscover = "MOSIPDISC"
	verbInfo     = "MOSIPDINFO"
	verbCapture  = "CAPTURE"
	verbRCapture = "RCAPTURE"
	verbStream   = "STREAM"

	pathDevice  = "/device"
	pathInfo    = "/info"
	pathCapture = "/capture"
	pathStream  = "/stream"
)

// What an answer may take. A service of this machine is fast, so the times are
// for one that hangs.
const (
	listingTime = 10 * time.Second // MOSIPDISC, MOSIPDINFO
	probeTime   = 2 * time.Second  // one port of a scan
	dialTime    = 500 * time.Millisecond
	captureTime = 30 * time.Second // to encode and sign, after the capture's own timeout
	streamTime  = 5 * time.Second  // to end a stream, after its own timeout

	listingSize = 4 << 20
	captureSize = 64 << 20
	frameSize   = 16 << 20
)

// SpecVersion is the version of SBI that this package speaks.
const SpecVersion = "0.9.5"

// A Client calls the services on 127.0.0.1. It is safe for concurrent use and
// keeps no connection open between calls.
type Client struct {
	http *http.Client
}

// New returns a client.
func New() *Client {
	return newClient((&net.Dialer{Timeout: dialTime}).DialContext)
}

func newClient(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *Client {
	return &Client{http: &http.Client{
		Transport: &http.Transport{
			DialContext:            dial,
			DisableKeepAlives:      true, // a service closes after each answer
			DisableCompression:     true, // an answer is as large as what arrives
			MaxResponseHeaderBytes: 64 << 10,
		},
		// An answer of another place is not an answer of this port.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// An Error is an error that the service reported: its code, such as 111 for
// busy, and its text, which is meant for people.
type Error struct {
	Code int
	Info string
}

// Error returns the code and the text.
func (e *Error) Error() string { return fmt.Sprintf("SBI error %d: %s", e.Code, e.Info) }

// Absent reports whether err says that nothing listens on the port at all.
func Absent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// call sends one request and returns its answer, at most limit bytes.
func (c *Client) call(ctx context.Context, port int, verb, path, accept string, body any, limit int64) (answer []byte, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s on port %d: %w", verb, port, err)
		}
	}()
	resp, err := c.send(ctx, port, verb, path, accept, body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err = readBounded(resp.Body, limit)
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		// A service may say in its body what is wrong, whatever the status.
		if sbiErr := reportedError(answer); sbiErr != nil {
			return nil, sbiErr
		}
		return nil, fmt.Errorf("service answered HTTP %s", resp.Status)
	}
	return answer, nil
}

// send sends one request; the caller closes the body of the answer.
func (c *Client) send(ctx context.Context, port int, verb, path, accept string, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(b)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	req, err := http.NewRequestWithContext(ctx, verb, "http://"+addr+path, content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	resp, err := c.http.Do(req)
	if err != nil {
		c.http.CloseIdleConnections() // and the dial that nobody waits for any more
		// The URL that Do repeats is in the caller's words already.
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return nil, err
	}
	return resp, nil
}

// readBounded reads r to its end and fails if there is more than limit.
func readBounded(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("more than %d bytes", limit)
	}
	return b, nil
}
