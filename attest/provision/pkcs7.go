package provision

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"slices"
)

var oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}

// parsePKCS7 returns the certificates of a SignedData of RFC 2315 section 9.1,
// in DER, or in PEM as PKCS7 or CMS. Authorities send certificates so, in one
// that signs nothing. Whatever else is in it does not matter here.
func parsePKCS7(b []byte) ([]*x509.Certificate, error) {
	if block, _ := pem.Decode(b); block != nil {
		if !slices.Contains([]string{"PKCS7", "CMS"}, block.Type) {
			return nil, errors.New("PEM block of something else")
		}
		b = block.Bytes
	}
	var info struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	if rest, err := asn1.Unmarshal(b, &info); err != nil || len(rest) > 0 {
		return nil, errors.New("not a PKCS #7 file in DER")
	}
	if !info.Type.Equal(oidSignedData) {
		return nil, errors.New("PKCS #7 file without certificates")
	}
	var signed struct {
		Version      int
		Algorithms   asn1.RawValue `asn1:"set"`
		Content      asn1.RawValue
		Certificates asn1.RawValue `asn1:"optional,tag:0"`
		Revocations  asn1.RawValue `asn1:"optional,tag:1"`
		Signers      asn1.RawValue `asn1:"set"`
	}
	if rest, err := asn1.Unmarshal(info.Content.FullBytes, &signed); err != nil || len(rest) > 0 {
		return nil, errors.New("PKCS #7 file is damaged")
	}
	certs, err := x509.ParseCertificates(signed.Certificates.Bytes)
	if err == nil && len(certs) == 0 {
		err = errors.New("PKCS #7 file without certificates")
	}
	return certs, err
}
