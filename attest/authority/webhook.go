package authority

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

const (
	// signatureHeader is HMAC-SHA-256 of the body in hex.
	signatureHeader = "X-Smallstep-Signature"
	// webhookAge is how far the clocks of step-ca and the authority may differ.
	// Older questions are not answered again.
	webhookAge = 5 * time.Minute
)

// A webhookRequest is what step-ca tells of a certificate that it is about to
// sign, as far as it matters here.
type webhookRequest struct {
	Timestamp       time.Time `json:"timestamp"`
	AttestationData *struct {
		PermanentIdentifier string `json:"permanentIdentifier"`
	} `json:"attestationData"`
	Certificate *struct {
		Subject struct {
			CommonName string `json:"commonName"`
		} `json:"subject"`
		SANs []struct {
			Type  string `json:"type"`
			Value string `json:"value"`
		} `json:"sans"`
		DNSNames  []string `json:"dnsNames"`
		PublicKey []byte   `json:"publicKey"` // SubjectPublicKeyInfo in DER
	} `json:"x509Certificate"`
}

type webhookResponse struct {
	Allow bool          `json:"allow"`
	Error *webhookError `json:"error,omitempty"`
}

// A webhookError reaches the client as the detail of step-ca's own error.
type webhookError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// A webhookGuard lets step-ca in, and nobody else.
type webhookGuard struct {
	secret  []byte         // may be empty
	clients *x509.CertPool // may be nil
}

// admits checks the two things by which step-ca can be known.
func (g webhookGuard) admits(r *http.Request, body []byte) error {
	if len(g.secret) > 0 {
		got, err := hex.DecodeString(r.Header.Get(signatureHeader))
		mac := hmac.New(sha256.New, g.secret)
		mac.Write(body)
		if err != nil || !hmac.Equal(got, mac.Sum(nil)) {
			return refuse(http.StatusUnauthorized, "%s is wrong: the webhook's secret is not the same on both sides", signatureHeader)
		}
	}
	if g.clients == nil {
		return nil
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return refuse(http.StatusUnauthorized, "no client certificate: leave disableTLSClientAuth of the webhook off")
	}
	leaf := r.TLS.PeerCertificates[0]
	intermediates := pool(r.TLS.PeerCertificates[1:])
	_, err := leaf.Verify(x509.VerifyOptions{Roots: g.clients, Intermediates: intermediates, CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return refuse(http.StatusUnauthorized, "client certificate: %v", err)
	}
	// The devices' certificates come from the same root. They say nothing
	// about usage, which Verify takes for every usage.
	if !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return refuse(http.StatusUnauthorized, "client certificate of %s is not one for TLS clients", leaf.Subject)
	}
	return nil
}

func (a *Authority) serveWebhook(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(w, r, maxWebhook)
	if err == nil {
		err = a.webhook.admits(r, body)
	}
	var request webhookRequest
	if err == nil {
		if jsonErr := json.Unmarshal(body, &request); jsonErr != nil {
			err = refuse(http.StatusBadRequest, "not the JSON of a webhook: %v", jsonErr)
		}
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	var devices []Device
	if devices, err = a.register.read(); err != nil {
		// 5xx makes step-ca ask again, and then give up.
		a.fail(w, r, err)
		return
	}
	response := webhookResponse{Allow: true}
	if refused := authorize(devices, request, time.Now()); refused != nil {
		response = webhookResponse{Error: refused}
		a.log.Warn("certificate not allowed", "code", refused.Code, "reason", refused.Message)
	} else {
		a.log.Info("certificate allowed", "device", request.AttestationData.PermanentIdentifier)
	}
	a.reply(w, http.StatusOK, "application/json", response)
}

// authorize decides whether a device may have a certificate; nil means yes.
func authorize(devices []Device, request webhookRequest, now time.Time) *webhookError {
	deny := func(code, format string, args ...any) *webhookError {
		return &webhookError{code, fmt.Sprintf(format, args...)}
	}
	if age := now.Sub(request.Timestamp).Abs(); age > webhookAge {
		return deny("stale", "the question is %s old, or the clocks of the certificate authority and the attestation CA differ by that: set them", age.Truncate(time.Second))
	}
	if request.AttestationData == nil || request.AttestationData.PermanentIdentifier == "" {
		return deny("notAttested", "only devices that are attested by device-attest-01 get certificates here")
	}
	serial := request.AttestationData.PermanentIdentifier
	i := slices.IndexFunc(devices, func(d Device) bool { return d.Serial == serial })
	if i < 0 {
		return deny("notRegistered", "device %.80q is not registered: ask the device provider", serial)
	}
	d := devices[i]
	if d.Blocked {
		return deny("blocked", "%v", d.blockedError())
	}
	if d.EK == "" {
		return deny("notEnrolled", "device %s is registered, but no TPM has proven to be its own: no attestation key was certified for it", serial)
	}
	if request.Certificate == nil {
		return deny("noCertificate", "the certificate authority does not say what it wants to sign: the webhook must be of kind AUTHORIZING and certType X509")
	}
	return checkCertificate(request, d, deny)
}

func checkCertificate(request webhookRequest, d Device, deny func(code, format string, args ...any) *webhookError) *webhookError {
	c := request.Certificate
	if c.Subject.CommonName != d.Serial {
		return deny("commonName", "the certificate would be for %.80q, the device is %s: its common name must be the serial number", c.Subject.CommonName, d.Serial)
	}
	for _, san := range c.SANs {
		if san.Type != "permanentIdentifier" || san.Value != d.Serial {
			return deny("alternativeName", "the certificate would also be for %.80q, the device is %s alone", san.Value, d.Serial)
		}
	}
	if len(c.DNSNames) > 0 {
		return deny("alternativeName", "the certificate would also be for %.80q, the device is %s alone", c.DNSNames[0], d.Serial)
	}
	parsed, err := x509.ParsePKIXPublicKey(c.PublicKey)
	if err != nil {
		return deny("publicKey", "the public key cannot be read: %v", err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return deny("publicKey", "the key is a %T, device keys are RSA-2048", parsed)
	}
	if err := checkRSA(key); err != nil {
		return deny("publicKey", "%v", err)
	}
	// It decrypts, and cannot sign: something is badly mixed up.
	if hashKey(key) == d.EK {
		return deny("publicKey", "the key is the TPM's endorsement key")
	}
	return nil
}
