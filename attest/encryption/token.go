package encryption

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"sbid/attest/internal/statedir"
)

// A TokenSource gives the token that MOSIP's services want. A certificate is
// fetched once a day, so tokens are not kept.
type TokenSource interface {
	Token(ctx context.Context) (string, error)
}

// A Client is one of the adopter's, made for this purpose.
type Client struct {
	ID string
	// SecretFile holds the secret in its first line; nobody but the owner may
	// read the file. It is read for each token, so the secret can be changed.
	SecretFile string
}

func (c Client) secret() (string, error) {
	b, err := statedir.ReadSecret(c.SecretFile)
	if err != nil {
		return "", fmt.Errorf("secret of client %s: %w", c.ID, err)
	}
	defer clear(b)
	line, _, _ := bytes.Cut(b, []byte("\n"))
	secret := string(bytes.TrimSpace(line))
	if secret == "" {
		return "", fmt.Errorf("secret of client %s: %s is empty", c.ID, c.SecretFile)
	}
	return secret, nil
}

// Keycloak asks MOSIP's identity server itself, by OAuth 2.0's client
// credentials (RFC 6749 section 4.4).
type Keycloak struct {
	URL    string // …/auth/realms/mosip/protocol/openid-connect/token
	Client Client
	HTTP   *http.Client // nil for the default
}

// Token returns an access token.
func (k Keycloak) Token(ctx context.Context) (string, error) {
	if err := checkURL(k.URL); err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	secret, err := k.Client.secret()
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	config := clientcredentials.Config{
		ClientID: k.Client.ID, ClientSecret: secret, TokenURL: k.URL, AuthStyle: oauth2.AuthStyleInParams,
	}
	token, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, client(k.HTTP)))
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		// Its text has the whole answer in it.
		return "", fmt.Errorf("token for client %s: HTTP %d %.40s: %.200s: check the client id and its secret",
			k.Client.ID, refused.Response.StatusCode, refused.ErrorCode, refused.ErrorDescription)
	}
	if err != nil {
		return "", fmt.Errorf("token for client %s: %w", k.Client.ID, err)
	}
	return token.AccessToken, nil
}

// AuthManager asks MOSIP's older authentication service.
type AuthManager struct {
	URL    string // …/v1/authmanager/authenticate/clientidsecretkey
	AppID  string // such as "ida"
	Client Client
	HTTP   *http.Client // nil for the default
}

// Token returns a token from the header or the cookie of the answer.
func (a AuthManager) Token(ctx context.Context) (string, error) {
	token, err := a.token(ctx)
	if err != nil {
		return "", fmt.Errorf("token for client %s: %w", a.Client.ID, err)
	}
	return token, nil
}

func (a AuthManager) token(ctx context.Context) (string, error) {
	secret, err := a.Client.secret()
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]any{
		"id": "", "version": "", "requesttime": requestTime(time.Now()), "metadata": struct{}{},
		"request": map[string]string{"appId": a.AppID, "clientId": a.Client.ID, "secretKey": secret},
	})
	if err != nil {
		return "", err
	}
	defer clear(body)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := do(a.HTTP, r)
	if err != nil {
		return "", err
	}
	// The header has the token alone; a "Bearer" would be somebody's proxy.
	if token := strings.TrimPrefix(answer.header.Get("Authorization"), "Bearer "); token != "" {
		return token, nil
	}
	for _, c := range (&http.Response{Header: answer.header}).Cookies() {
		if c.Name == "Authorization" && c.Value != "" {
			return c.Value, nil
		}
	}
	return "", errors.New("the answer has no token in its Authorization header")
}

// requestTime is a time as MOSIP's services want it.
func requestTime(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }
