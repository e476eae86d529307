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
	var info []asn1.RawValue // type and content
	if rest, err := asn1.Unmarshal(b, &info); err != nil || len(rest) > 0 || len(info) != 2 {
		return nil, errors.New("not a PKCS #7 file in DER")
	}
	var kind asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(info[0].FullBytes, &kind); err != nil || !kind.Equal(oidSignedData) {
		return nil, errors.New("PKCS #7 file of something else")
	}
	var signed []asn1.RawValue
	if rest, err := asn1.Unmarshal(info[1].Bytes, &signed); err != nil || len(rest) > 0 {
		return nil, errors.New("PKCS #7 file is damaged")
	}
	i := slices.IndexFunc(signed, func(v asn1.RawValue) bool {
		return v.Class == asn1.ClassContextSpecific && v.Tag == 0
	})
	if i < 0 {
		return nil, errors.New("PKCS #7 file without certificates")
	}
	certs, err := x509.ParseCertificates(signed[i].Bytes)
	if err == nil && len(certs) == 0 {
		err = errors.New("PKCS #7 file without certificates")
	}
	return certs, err
}
