// Package evidence is how a machine proves what it is: Collect puts together
// what its TPM states, and Verify judges that anywhere, without a network.
//
// A document is a collection of conceptual messages (RFC 9999): each label has
// a media type and bytes, in JSON
//
//	{"ak":["application/vnd.sbid.tpmt-public","AAEACw..."],"claims":[...],...}
//
// with the bytes in base64url, or the same in CBOR. The labels are
//
//	claims           what the machine says of itself, in JSON: Claims
//	ek               the endorsement key, a SubjectPublicKeyInfo
//	ek/certificates  its certificate and those of authorities, in PEM
//	ak               the attestation key, a TPMT_PUBLIC
//	ak/certificates  its certificate and those of authorities, in PEM
//	key/NAME         TPM2_Certify of the signing key called NAME
//	quote            TPM2_Quote of registers, and what they hold
//	eventlog, ima    what firmware and kernel measured into the registers
//	audit            TPM2_NV_Certify of the audit log's counter
//
// Nothing around them is signed. The TPM's statements carry as extraData
//
//	SHA-256(nonce ‖ SHA-256(claims))
//
// and the claims carry the digest of every part that is no statement, and say
// what is not there and why. So not one byte can be changed, added or left out
// but by whoever may use the attestation key.
//
// An endorsement key tells a machine from all others for ever: send a document
// to none but the provider.
package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Labels.
const (
	labelClaims         = "claims"
	labelEK             = "ek"
	labelEKCertificates = "ek/certificates"
	labelAK             = "ak"
	labelAKCertificates = "ak/certificates"
	labelQuote          = "quote"
	labelEventLog       = "eventlog"
	labelIMA            = "ima"
	labelAudit          = "audit"

	prefixKey = "key/"
)

// Media types. Those without a registration are named for this project.
const (
	typeClaims       = "application/json"
	typeCertificates = "application/pem-certificate-chain" // RFC 8555
	typeSPKI         = "application/vnd.sbid.spki"
	typePublic       = "application/vnd.sbid.tpmt-public"
	typeStatement    = "application/vnd.sbid.tpm-statement"
	typeEventLog     = "application/vnd.sbid.tcg-event-log"
	typeIMA          = "application/vnd.sbid.ima-measurements"
)

// mediaType returns the only type that a label may have, empty if there is no
// such label.
func mediaType(label string) string {
	switch label {
	case labelClaims:
		return typeClaims
	case labelEK:
		return typeSPKI
	case labelEKCertificates, labelAKCertificates:
		return typeCertificates
	case labelAK:
		return typePublic
	case labelQuote, labelAudit:
		return typeStatement
	case labelEventLog:
		return typeEventLog
	case labelIMA:
		return typeIMA
	}
	if name, ok := strings.CutPrefix(label, prefixKey); ok && name != "" {
		return typeStatement
	}
	return ""
}

// isStatement says whether the TPM signed a part: then the claims do not carry
// its digest.
func isStatement(label string) bool { return mediaType(label) == typeStatement }

// Sizes in bytes. A firmware's log has tens of kilobytes, a kernel's list can
// have megabytes.
const (
	maxDocument = 32 << 20
	maxLog      = 8 << 20

	minNonce, maxNonce = 8, 64 // of RFC 9711
)

// A collection is a document, by label.
type collection map[string][]byte

// marshal writes the only JSON that parseJSON takes: labels in ascending
// order, no white space, base64url without padding.
func (c collection) marshal() ([]byte, error) {
	records := make(map[string][2]string, len(c))
	for label, data := range c {
		records[label] = [2]string{mediaType(label), base64.RawURLEncoding.EncodeToString(data)}
	}
	return json.Marshal(records)
}

// parse reads a document in JSON or CBOR.
func parse(document []byte) (collection, error) {
	if len(document) > maxDocument {
		return nil, fmt.Errorf("document of %d bytes, expected at most %d", len(document), maxDocument)
	}
	if bytes.HasPrefix(document, []byte("{")) {
		return parseJSON(document)
	}
	return parseCBOR(document)
}

func parseJSON(document []byte) (collection, error) {
	var records map[string][2]string
	if err := json.Unmarshal(document, &records); err != nil {
		return nil, fmt.Errorf("JSON: %w", err)
	}
	c := make(collection, len(records))
	for label, record := range records {
		if want := mediaType(label); want == "" || record[0] != want {
			return nil, fmt.Errorf("label %q of type %q is unknown", label, record[0])
		}
		data, err := base64.RawURLEncoding.DecodeString(record[1])
		if err != nil {
			return nil, fmt.Errorf("label %s: %w", label, err)
		}
		c[label] = data
	}
	// One document has one form, so that nobody reads in it what another does
	// not: no member twice, nothing in between.
	again, err := c.marshal()
	if err != nil {
		return nil, fmt.Errorf("JSON: %w", err)
	}
	if !bytes.Equal(again, document) {
		return nil, errors.New("JSON: not in the form that this format prescribes")
	}
	return c, nil
}

// labels are in ascending order.
func (c collection) labels() []string { return slices.Sorted(maps.Keys(c)) }

// binding is what every statement carries: it ties the TPM's words to the
// verifier's question and to what the machine says of itself.
func binding(nonce, claims []byte) []byte {
	digest := sha256.Sum256(claims)
	sum := sha256.Sum256(slices.Concat(nonce, digest[:]))
	return sum[:]
}
