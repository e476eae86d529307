package encryption

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"sbid/attest"
)

// maxAnswer bounds an answer in bytes; a certificate has two thousand.
const maxAnswer = 1 << 20

// An answer is the frame that MOSIP's services put around everything. The HTTP
// status is 200 for failures, too: errors counts.
type answer struct {
	Response json.RawMessage `json:"response"`
	Errors   []answerError   `json:"errors"`
	header   http.Header
}

type answerError struct {
	Code    string `json:"errorCode"`
	Message string `json:"message"`
}

// What to do about the codes that a wrong configuration gives.
var hints = map[string]string{
	"KER-ATH-401": "check the client id and its secret, and that the id is in the service's auth.server.admin.allowed.audience",
	"KER-ATH-402": "the token is too old: check the clocks",
	"KER-ATH-403": "give the client a role that may read certificates, such as ID_AUTHENTICATION",
	"KER-KMS-002": "check the application id and the reference id",
}

func (e answerError) Error() string {
	text := fmt.Sprintf("%.40s: %.200s", e.Code, e.Message)
	if hint := hints[e.Code]; hint != "" {
		text += ": " + hint
	}
	return text
}

// client returns an HTTP client that follows no redirection: a token and the
// question where a certificate comes from are for one server.
func client(c *http.Client) *http.Client {
	if c == nil {
		c = http.DefaultClient
	}
	strict := *c
	strict.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		return fmt.Errorf("redirected to %s: give the address that answers by itself", r.URL.Redacted())
	}
	return &strict
}

// checkURL refuses what would send a secret, or take a certificate, in the
// clear.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return err
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" && u.Host != "" || u.Scheme == "http" && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s is no https address", u.Redacted())
}

// do sends a request and returns the answer, its errors being errors.
func do(c *http.Client, r *http.Request) (*answer, error) {
	if err := checkURL(r.URL.String()); err != nil {
		return nil, err
	}
	resp, err := client(c).Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("answer is longer than %d bytes", maxAnswer)
	}
	a, err := parseAnswer(body)
	switch {
	case errors.As(err, new(answerError)):
		return nil, err
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, errors.New("HTTP 401: the service does not take the client's token: " +
			"add the client id to auth.server.admin.allowed.audience of that service")
	case resp.StatusCode == http.StatusForbidden:
		return nil, fmt.Errorf("HTTP 403: %s", hints["KER-ATH-403"])
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("HTTP %d: check the address", resp.StatusCode)
	case err != nil:
		return nil, fmt.Errorf("%w: check the address", err)
	}
	a.header = resp.Header
	return a, nil
}

// parseAnswer reads an answer and returns its first error as one.
func parseAnswer(body []byte) (*answer, error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, fmt.Errorf("answer is not JSON as MOSIP's services send it: %w", err)
	}
	if len(a.Errors) > 0 {
		return nil, a.Errors[0]
	}
	return &a, nil
}

// certificate reads what getCertificate answers: the certificate as a text, or
// as the member of an object.
func (a *answer) certificate() (*x509.Certificate, error) {
	var text string
	if err := json.Unmarshal(a.Response, &text); err != nil {
		var object struct {
			Certificate string `json:"certificate"`
		}
		if err := json.Unmarshal(a.Response, &object); err != nil {
			return nil, errors.New("answer holds no certificate")
		}
		text = object.Certificate
	}
	return parseCertificate(text)
}

// parseCertificate reads a certificate as it comes in JSON: sometimes its line
// ends are escaped twice.
func parseCertificate(text string) (*x509.Certificate, error) {
	text = strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(text)
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("answer holds no certificate")
	}
	certs, err := attest.ParseCertificates([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("certificate in the answer: %w", err)
	}
	return certs[0], nil
}

// authorized puts a token into a request, unless none is wanted.
func authorized(ctx context.Context, r *http.Request, tokens TokenSource) error {
	if tokens == nil {
		return nil
	}
	token, err := tokens.Token(ctx)
	if err != nil {
		return err
	}
	if token == "" || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`",;\`, c) }) {
		return errors.New("the token that was given out is none")
	}
	// MOSIP's services look for it in a cookie of this name.
	r.Header.Set("Cookie", "Authorization="+token)
	return nil
}
