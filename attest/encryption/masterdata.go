package encryption

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"sbid/attest"
)

// MasterData is the service that SBI itself names. Question and answer are
// signed.
type MasterData struct {
	URL            string // …/v1/masterdata/device/encryptioncertficates, spelt so
	Env, DomainURI string // as in a capture request
	// Identity signs the question.
	Identity func() (*attest.Identity, error)
	// Signer says whose answers are taken; it must not be empty.
	Signer Pin
	Tokens TokenSource
	HTTP   *http.Client // nil for the default
}

// Fetch asks for the certificate.
func (m MasterData) Fetch(ctx context.Context) (*x509.Certificate, error) {
	cert, err := m.fetch(ctx)
	if err != nil {
		return nil, fmt.Errorf("encryption certificate of %s: %w", m.DomainURI, err)
	}
	return cert, nil
}

func (m MasterData) fetch(ctx context.Context) (*x509.Certificate, error) {
	if m.Signer.empty() {
		return nil, errors.New("nobody's answer is taken: give the certificate of the server's signing key")
	}
	body, err := m.question()
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if err := authorized(ctx, r, m.Tokens); err != nil {
		return nil, err
	}
	a, err := do(m.HTTP, r)
	if err != nil {
		return nil, err
	}
	return m.open(a.Response)
}

func (m MasterData) question() ([]byte, error) {
	id, err := m.Identity()
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(map[string]string{"env": m.Env, "domainUri": m.DomainURI})
	if err != nil {
		return nil, err
	}
	token, err := id.Sign(data)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"id": "io.mosip.auth.country.certificate", "version": "1.0", "requesttime": requestTime(time.Now()),
		"request": map[string]string{"data": token},
	})
}

// open reads the JWS that the answer holds, with the whole answer once more in
// it.
func (m MasterData) open(response json.RawMessage) (*x509.Certificate, error) {
	var token string
	if err := json.Unmarshal(response, &token); err != nil {
		return nil, errors.New("answer is not signed")
	}
	verified, err := attest.Verify(token)
	if err != nil {
		return nil, fmt.Errorf("signature of the answer: %w", err)
	}
	if err := m.Signer.check(verified.Leaf()); err != nil {
		return nil, fmt.Errorf("signature of the answer: %w", err)
	}
	if err := attest.CheckValidity(verified.Leaf(), time.Now()); err != nil {
		return nil, fmt.Errorf("signature of the answer: %w", err)
	}
	a, err := parseAnswer(verified.Payload)
	if err != nil {
		return nil, err
	}
	var list []struct {
		Certificate string `json:"certificate"`
	}
	if err := json.Unmarshal(a.Response, &list); err != nil || len(list) == 0 {
		return nil, errors.New("answer holds no certificate")
	}
	return parseCertificate(list[0].Certificate)
}
