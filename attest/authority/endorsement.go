package authority

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"sbid/attest/internal/akcert"
)

// maxEKCertificates bounds what a TPM may carry; there is one, with up to four
// authorities.
const maxEKCertificates = 16

// endorsements judges endorsement keys.
type endorsements struct {
	roots *x509.CertPool
}

// An endorsement is the endorsement key of a TPM. Anybody can show it: that
// the TPM is there is proven by the secret that it opens.
type endorsement struct {
	public *rsa.PublicKey
	hash   string // lower-case hex of the SHA-256 of the SubjectPublicKeyInfo
	// certificate is the manufacturer's, with a chain to one of our roots. It
	// is nil when there is none, and reason says why.
	certificate *x509.Certificate
	reason      error
}

// serial is the serial number of the certificate as the register writes it, ""
// if the certificate does not count.
func (e endorsement) serial() string {
	if e.certificate == nil {
		return ""
	}
	return e.certificate.SerialNumber.Text(16)
}

// parse fails for what is no endorsement key at all. A certificate that does
// not count is no error: the register may know the key itself.
func (s endorsements) parse(spki []byte, certificates [][]byte) (endorsement, error) {
	if len(certificates) > maxEKCertificates {
		return endorsement{}, fmt.Errorf("%d certificates, expected at most %d", len(certificates), maxEKCertificates)
	}
	parsed, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return endorsement{}, err
	}
	public, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return endorsement{}, fmt.Errorf("%T, expected RSA", parsed)
	}
	if err := checkRSA(public); err != nil {
		return endorsement{}, err
	}
	e := endorsement{public: public, hash: hashKey(public)}
	e.certificate, e.reason = s.verify(public, certificates)
	return e, nil
}

// hashKey is how the register calls a key. It does not depend on how the
// SubjectPublicKeyInfo was written.
func hashKey(public *rsa.PublicKey) string {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic("authority: an RSA key does not marshal: " + err.Error())
	}
	hash := sha256.Sum256(spki)
	return hex.EncodeToString(hash[:])
}

// verify returns the certificate of the endorsement key if a manufacturer of
// ours issued it.
func (s endorsements) verify(public *rsa.PublicKey, certificates [][]byte) (*x509.Certificate, error) {
	if len(certificates) == 0 {
		return nil, errors.New("the TPM shows no endorsement certificate")
	}
	var leaf *x509.Certificate
	intermediates := x509.NewCertPool()
	for _, der := range certificates {
		c, err := x509.ParseCertificate(der)
		switch {
		case err != nil:
			return nil, fmt.Errorf("the TPM's certificates cannot be read: %w", err)
		case public.Equal(c.PublicKey):
			leaf = c
		default:
			intermediates.AddCert(c)
		}
	}
	if leaf == nil {
		return nil, errors.New("the endorsement certificate is for another key")
	}
	if _, err := akcert.NamesOf(leaf); err != nil {
		return nil, fmt.Errorf("endorsement certificate: %w", err)
	}
	akcert.HandleAltName(leaf)
	// Manufacturers give most of these certificates an end, some none.
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:         s.roots,
		Intermediates: intermediates,
		CurrentTime:   time.Now(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, // Go does not know theirs
	})
	if err != nil {
		return nil, fmt.Errorf("the endorsement certificate was not issued by a manufacturer that is trusted here: %w", err)
	}
	for _, usage := range leaf.UnknownExtKeyUsage {
		if usage.Equal(akcert.EKUsage) {
			return leaf, nil
		}
	}
	return nil, fmt.Errorf("the certificate of the endorsement key lacks the usage %s", akcert.EKUsage)
}

// productNames says which product a TPM is: the manufacturer's own word if
// there is one, else the TPM's.
func productNames(e endorsement, told akcert.TPM) akcert.Names {
	if e.certificate != nil {
		if n, err := akcert.NamesOf(e.certificate); err == nil && n.Manufacturer != "" && n.Model != "" && n.Version != "" {
			n.Permanent = nil
			return n
		}
	}
	n := akcert.Names{Manufacturer: "id:00000000", Model: plain(told.Model), Version: plain(told.Firmware)}
	if id, err := strconv.ParseUint(told.Manufacturer, 10, 32); err == nil {
		n.Manufacturer = fmt.Sprintf("id:%08X", id)
	}
	return n
}

// maxName is how long a model or version may be.
const maxName = 64

// plain makes what a stranger says fit for a certificate, and never empty.
func plain(text string) string {
	if len(text) > maxName || !isPrintable(text) || text == "" {
		return "unknown"
	}
	return text
}

func isPrintable(text string) bool {
	return !slices.ContainsFunc([]byte(text), func(b byte) bool { return b < ' ' || b > '~' })
}
