package encryption

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
)

// A KeyManager is a service that answers getCertificate: MOSIP's key manager,
// ID authentication, which hands the question on, or the compliance toolkit.
type KeyManager struct {
	// URL is …/v1/keymanager/getCertificate,
	// …/idauthentication/v1/internal/getCertificate or the toolkit's
	// …/getEncryptionKey.
	URL string
	// ApplicationID and ReferenceID name the key: IDA and IDA-FIR,
	// COMPLIANCE_TOOLKIT and COMP-FIR. Empty ones are left out.
	ApplicationID, ReferenceID string
	Tokens                     TokenSource
	HTTP                       *http.Client // nil for the default
}

// Fetch asks for the certificate.
func (k KeyManager) Fetch(ctx context.Context) (*x509.Certificate, error) {
	cert, err := k.fetch(ctx)
	if err != nil {
		return nil, fmt.Errorf("get certificate: %w", err)
	}
	return cert, nil
}

func (k KeyManager) fetch(ctx context.Context) (*x509.Certificate, error) {
	u, err := url.Parse(k.URL)
	if err != nil {
		return nil, err
	}
	query := u.Query()
	for name, value := range map[string]string{"applicationId": k.ApplicationID, "referenceId": k.ReferenceID} {
		if value != "" {
			query.Set(name, value)
		}
	}
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if err := authorized(ctx, r, k.Tokens); err != nil {
		return nil, err
	}
	a, err := do(k.HTTP, r)
	if err != nil {
		return nil, err
	}
	return a.certificate()
}
