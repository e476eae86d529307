package akcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
)

var product = Names{Manufacturer: "id:49465800", Model: "SLB9672", Version: "id:000F0017"}

func TestNamesSurviveACertificate(t *testing.T) {
	for name, names := range map[string]Names{
		"product and devices": {product.Manufacturer, product.Model, product.Version, []string{"ABCDEF123456", "ABCDEF123457"}},
		"product alone":       product,
		"device alone":        {Permanent: []string{"ABCDEF123456"}},
		"not ASCII":           {Permanent: []string{"Gerät"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := NamesOf(withNames(t, names))
			if err != nil || !reflect.DeepEqual(got, names) {
				t.Errorf("got %+v, %v, want %+v", got, err, names)
			}
		})
	}
}

func TestNamesOfOthers(t *testing.T) {
	raw := func(class, tag int, compound bool, content ...[]byte) []byte {
		der, err := asn1.Marshal(asn1.RawValue{Class: class, Tag: tag, IsCompound: compound, Bytes: concat(content)})
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	oid := func(id asn1.ObjectIdentifier) []byte {
		der, err := asn1.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	const universal, context = asn1.ClassUniversal, asn1.ClassContextSpecific
	sequence := func(content ...[]byte) []byte { return raw(universal, asn1.TagSequence, true, content...) }
	text := raw(universal, asn1.TagUTF8String, false, []byte("X"))
	other := func(id asn1.ObjectIdentifier, value []byte) []byte {
		return raw(context, 0, true, oid(id), raw(context, 0, true, value))
	}
	tests := map[string]struct {
		der  []byte
		want Names
		err  string
	}{
		"mail and DNS names are nobody's business": {sequence(raw(context, 1, false, []byte("a@example.org")), raw(context, 2, false, []byte("example.org"))), Names{}, ""},
		"another kind of other name":               {sequence(other(asn1.ObjectIdentifier{1, 2, 3}, text)), Names{}, ""},
		"identifier of an assigner":                {sequence(other(oidPermanentIdentifier, sequence(text, oid(asn1.ObjectIdentifier{1, 2, 3})))), Names{}, ""},
		"identifier that is the subject":           {sequence(other(oidPermanentIdentifier, sequence())), Names{}, ""},
		"identifier":                               {sequence(other(oidPermanentIdentifier, sequence(text))), Names{Permanent: []string{"X"}}, ""},
		"no sequence":                              {text, Names{}, "read alternative name"},
		"bytes behind":                             {append(sequence(), 0), Names{}, "after its end"},
		"identifier that is a text":                {sequence(other(oidPermanentIdentifier, text)), Names{}, "permanent identifier"},
		"directory that is a text":                 {sequence(raw(context, 4, true, text)), Names{}, "directory name"},
		"names of another class":                   {sequence(text), Names{}, "not a list of names"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cert := &x509.Certificate{Extensions: []pkix.Extension{{Id: SubjectAltName, Value: tt.der}}}
			got, err := NamesOf(cert)
			if tt.err == "" {
				if err != nil || !reflect.DeepEqual(got, tt.want) {
					t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
				}
			} else if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v does not say %q", err, tt.err)
			}
		})
	}
}

func TestHandleAltName(t *testing.T) {
	cert := withNames(t, product)
	unknown := asn1.ObjectIdentifier{1, 2, 3}
	cert.UnhandledCriticalExtensions = append(cert.UnhandledCriticalExtensions, unknown)
	if len(cert.UnhandledCriticalExtensions) != 2 {
		t.Fatalf("Go knows the extension now: %v", cert.UnhandledCriticalExtensions)
	}
	HandleAltName(cert)
	if left := cert.UnhandledCriticalExtensions; len(left) != 1 || !left[0].Equal(unknown) {
		t.Errorf("left %v, want %v", left, unknown)
	}
}

// What can be read can be written again, and then says the same.
func FuzzNames(f *testing.F) {
	for _, names := range []Names{product, {Permanent: []string{"A", "B"}}} {
		der, err := names.marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		names, err := parseNames(der)
		if err != nil {
			return
		}
		again, err := names.marshal()
		if err != nil {
			return // a directory name may hold texts that Go reads but does not write
		}
		if got, err := parseNames(again); err != nil || !reflect.DeepEqual(got, names) {
			t.Errorf("%+v became %+v, %v", names, got, err)
		}
	})
}

func concat(parts [][]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func withNames(t *testing.T, names Names) *x509.Certificate {
	t.Helper()
	extension, err := names.Extension(true)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), ExtraExtensions: []pkix.Extension{extension},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
