package akcert

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
)

// Object identifiers of the Trusted Computing Group (TCG EK Credential Profile,
// sections 3.1.2 and 3.2.16) and of RFC 4043.
var (
	// EKUsage is the extended key usage of endorsement certificates.
	EKUsage = asn1.ObjectIdentifier{2, 23, 133, 8, 1}
	// AKUsage is the extended key usage of attestation key certificates.
	AKUsage = asn1.ObjectIdentifier{2, 23, 133, 8, 3}

	oidManufacturer        = asn1.ObjectIdentifier{2, 23, 133, 2, 1}
	oidModel               = asn1.ObjectIdentifier{2, 23, 133, 2, 2}
	oidVersion             = asn1.ObjectIdentifier{2, 23, 133, 2, 3}
	oidPermanentIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 3}

	// SubjectAltName is the extension with the names below. Where the subject
	// is empty it is critical, and Go then reports it as one that it does not
	// know, since it has none of the names that Go knows.
	SubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// Choices of GeneralName, RFC 5280 section 4.2.1.6.
const (
	tagOtherName     = 0
	tagDirectoryName = 4
)

// Names are what the alternative name of a certificate says about a TPM and
// the devices that use it.
type Names struct {
	Manufacturer string // "id:" and 8 digits of hex
	Model        string
	Version      string
	// Permanent are the permanent identifiers of RFC 4043.
	Permanent []string
}

type otherName struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue `asn1:"explicit,tag:0"`
}

type permanentIdentifier struct {
	Value    string                `asn1:"utf8,optional"`
	Assigner asn1.ObjectIdentifier `asn1:"optional"`
}

// Extension returns the names as an extension of a certificate or of a request
// for one.
func (n Names) Extension(critical bool) (pkix.Extension, error) {
	value, err := n.marshal()
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("write alternative name: %w", err)
	}
	return pkix.Extension{Id: SubjectAltName, Critical: critical, Value: value}, nil
}

func (n Names) marshal() ([]byte, error) {
	var names []asn1.RawValue
	if n.Manufacturer != "" || n.Model != "" || n.Version != "" {
		product, err := asn1.Marshal(pkix.RDNSequence{
			{{Type: oidManufacturer, Value: n.Manufacturer}},
			{{Type: oidModel, Value: n.Model}},
			{{Type: oidVersion, Value: n.Version}},
		})
		if err != nil {
			return nil, err
		}
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tagDirectoryName, IsCompound: true, Bytes: product})
	}
	for _, identifier := range n.Permanent {
		value, err := asn1.Marshal(permanentIdentifier{Value: identifier})
		if err != nil {
			return nil, err
		}
		name, err := asn1.MarshalWithParams(otherName{
			Type:  oidPermanentIdentifier,
			Value: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: value},
		}, "tag:0")
		if err != nil {
			return nil, err
		}
		names = append(names, asn1.RawValue{FullBytes: name})
	}
	return asn1.Marshal(names)
}

// NamesOf returns the names of a certificate, none if it has no alternative
// name.
func NamesOf(cert *x509.Certificate) (Names, error) {
	for _, e := range cert.Extensions {
		if e.Id.Equal(SubjectAltName) {
			n, err := parseNames(e.Value)
			if err != nil {
				return Names{}, fmt.Errorf("read alternative name: %w", err)
			}
			return n, nil
		}
	}
	return Names{}, nil
}

func parseNames(der []byte) (Names, error) {
	var list []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &list); err != nil {
		return Names{}, err
	} else if len(rest) > 0 {
		return Names{}, errors.New("bytes after its end")
	}
	var n Names
	for _, name := range list {
		if name.Class != asn1.ClassContextSpecific {
			return Names{}, errors.New("not a list of names")
		}
		var err error
		switch name.Tag {
		case tagOtherName:
			err = n.addOther(name.FullBytes)
		case tagDirectoryName:
			err = n.addDirectory(name.Bytes)
		}
		if err != nil {
			return Names{}, err
		}
	}
	return n, nil
}

func (n *Names) addOther(der []byte) error {
	var name otherName
	if _, err := asn1.UnmarshalWithParams(der, &name, "tag:0"); err != nil {
		return fmt.Errorf("other name: %w", err)
	}
	if !name.Type.Equal(oidPermanentIdentifier) {
		return nil
	}
	var identifier permanentIdentifier
	if _, err := asn1.Unmarshal(name.Value.Bytes, &identifier); err != nil {
		return fmt.Errorf("permanent identifier: %w", err)
	}
	// Without a value it would be the certificate's subject, which is not ours
	// to compare; with an assigner it is a name in somebody else's list.
	if identifier.Value != "" && identifier.Assigner == nil {
		n.Permanent = append(n.Permanent, identifier.Value)
	}
	return nil
}

func (n *Names) addDirectory(der []byte) error {
	var sequence pkix.RDNSequence
	if _, err := asn1.Unmarshal(der, &sequence); err != nil {
		return fmt.Errorf("directory name: %w", err)
	}
	for _, set := range sequence {
		for _, attribute := range set {
			text, ok := attribute.Value.(string)
			switch {
			case !ok:
			case attribute.Type.Equal(oidManufacturer):
				n.Manufacturer = text
			case attribute.Type.Equal(oidModel):
				n.Model = text
			case attribute.Type.Equal(oidVersion):
				n.Version = text
			}
		}
	}
	return nil
}

// HandleAltName takes the alternative name off the list of critical extensions
// that nobody has understood. Call it on a certificate before Verify, once its
// names were read.
func HandleAltName(cert *x509.Certificate) {
	var rest []asn1.ObjectIdentifier
	for _, id := range cert.UnhandledCriticalExtensions {
		if !id.Equal(SubjectAltName) {
			rest = append(rest, id)
		}
	}
	cert.UnhandledCriticalExtensions = rest
}
