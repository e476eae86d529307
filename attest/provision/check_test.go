package provision

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"sbid/attest"
)

// issuerFunc is an issuer that only fails.
type issuerFunc func(context.Context, attest.CertificateRequest) error

func (f issuerFunc) Issue(ctx context.Context, r attest.CertificateRequest) ([]*x509.Certificate, error) {
	return nil, f(ctx, r)
}

var errRefused = errors.New("the server says no")

func refuse([]*x509.Certificate) ([]*x509.Certificate, error) { return nil, errRefused }

// Whatever is wrong with a certificate, it is not used, the error says so, and
// everything is as before.
func TestRefused(t *testing.T) {
	t.Parallel()
	pki := pki()
	editing, answering := pki.device.editing, pki.device.answering
	chain := func(f func(c []*x509.Certificate) []*x509.Certificate) *authority {
		return answering(func(c []*x509.Certificate) ([]*x509.Certificate, error) { return f(c), nil })
	}
	small := newAuthority(organisation, "Acme provider", generate(2048), nil) // of the same name, unknown
	tests := map[string]struct {
		issuer attest.Issuer
		want   error
		text   string
	}{
		"refusal":             {answering(refuse), errRefused, ""},
		"no certificate":      {chain(func([]*x509.Certificate) []*x509.Certificate { return nil }), attest.ErrKeyMismatch, ""},
		"key":                 {chain(func(c []*x509.Certificate) []*x509.Certificate { return c[1:] }), attest.ErrKeyMismatch, ""},
		"expired":             {editing(func(c *x509.Certificate) { c.NotAfter = start.Add(-time.Second) }), attest.ErrExpired, "2026-01-02T03:04:05Z"},
		"not yet valid":       {editing(func(c *x509.Certificate) { c.NotBefore = start.Add(time.Minute) }), attest.ErrNotYetValid, "the clock says 2026-01-02T03:04:05Z"},
		"organisation":        {editing(func(c *x509.Certificate) { c.Subject.Organization[0] = "Emca" }), attest.ErrOrganisation, `"Emca"`},
		"organisation's case": {editing(func(c *x509.Certificate) { c.Subject.Organization[0] = "ACME" }), attest.ErrOrganisation, "letter by letter"},
		"no organisation":     {editing(func(c *x509.Certificate) { c.Subject.Organization = nil }), attest.ErrOrganisation, ""},
		"domain":              {pki.ftm.editing(func(c *x509.Certificate) { c.Subject.Organization[0] = organisation }), attest.ErrUntrusted, "domain DEVICE"},
		"unknown authority":   {small, attest.ErrUntrusted, ""},
		"authority left out":  {chain(func(c []*x509.Certificate) []*x509.Certificate { return c[:1] }), attest.ErrUntrusted, ""},
		"another's authority": {chain(func(c []*x509.Certificate) []*x509.Certificate { return append(c[:1], pki.ftm.cert) }), attest.ErrUntrusted, ""},
		"common name":         {editing(func(c *x509.Certificate) { c.Subject.CommonName = "ACME000054321" }), ErrName, "ACME000054321"},
		"no common name":      {editing(func(c *x509.Certificate) { c.Subject.CommonName = "" }), ErrName, ""},
		"SHA-384":             {editing(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA384WithRSA }), ErrAlgorithm, "SHA384-RSA"},
		"SHA-512 and PSS":     {editing(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA512WithRSAPSS }), ErrAlgorithm, ""},
		"usage":               {editing(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), ErrUsage, ""},
		"authority":           {editing(func(c *x509.Certificate) { c.IsCA = true }), ErrAuthority, ""},
		"critical extension": {editing(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: true, Value: []byte{5, 0}}}
		}), ErrCritical, "1.3.6.1.4.1.99999.1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			s := m.provisioned()
			before := take(t, m.dir)
			for what, try := range map[string]func() (*attest.Identity, error){
				"Rotate":    func() (*attest.Identity, error) { return s.Rotate(t.Context(), "slap", tt.issuer) },
				"Provision": func() (*attest.Identity, error) { return s.Provision(t.Context(), Device{"iris", serial}, tt.issuer) },
			} {
				m.events = nil
				id, err := try()
				if id != nil || !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("%s: got %v, want %v with %q", what, err, tt.want, tt.text)
				}
				if want := []Kind{KeyMade, Refused, KeyDestroyed}; !slices.Equal(m.kinds(), want) || !errors.Is(m.events[1].Err, tt.want) {
					t.Errorf("%s: events %v, want %v", what, m.events, want)
				}
				if after := take(t, m.dir); !maps.Equal(before, after) {
					t.Errorf("%s left %v", what, slices.Sorted(maps.Keys(after)))
				}
			}
			m.wantSigning(s, "slap")
			if names := s.Names(); !slices.Equal(names, []string{"slap"}) {
				t.Errorf("names %v", names)
			}
			m.rotate(s, "slap")
		})
	}
}

// What verifiers take is taken.
func TestTaken(t *testing.T) {
	tests := map[string]*authority{
		"negative serial number": pki().device.answering(func(c []*x509.Certificate) ([]*x509.Certificate, error) {
			return []*x509.Certificate{negative(c[0], pki().device), c[1]}, nil
		}),
		"no key usage": pki().device.editing(func(c *x509.Certificate) { c.KeyUsage = 0 }),
		"PSS":          pki().device.editing(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA256WithRSAPSS }),
		"any order": pki().device.answering(func(c []*x509.Certificate) ([]*x509.Certificate, error) {
			slices.Reverse(c)
			return append(c, pki().ftm.cert), nil
		}),
		"permanent identifier": pki().device.editing(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: []byte{
				0x30, 0x12, 0xa0, 0x10, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 8, 3, 0xa0, 0x04, 0x30, 0x02, 0x0c, 0x00,
			}}}
		}),
	}
	for name, issuer := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			s := m.start()
			id, err := s.Provision(t.Context(), slap, issuer)
			if err != nil {
				t.Fatal(err)
			}
			if len(id.Chain()) != 2 {
				t.Errorf("chain of %d", len(id.Chain()))
			}
			s.Close()
			m.wantSigning(m.start(), "slap")
		})
	}
}

// negative returns a certificate again with a negative serial number, which Go
// reads and does not write.
func negative(c *x509.Certificate, by *authority) *x509.Certificate {
	var cert struct {
		Body      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	_, err := asn1.Unmarshal(c.Raw, &cert)
	must(err)
	rest := cert.Body.Bytes
	var parts []asn1.RawValue
	for len(rest) > 0 {
		var part asn1.RawValue
		rest, err = asn1.Unmarshal(rest, &part)
		must(err)
		parts = append(parts, part)
	}
	number, err := asn1.Marshal(big.NewInt(-0x123456789))
	must(err)
	parts[1] = asn1.RawValue{FullBytes: number}
	tbs, err := asn1.Marshal(parts)
	must(err)
	digest := sha256.Sum256(tbs)
	signature, err := by.key.Sign(nil, digest[:], crypto.SHA256)
	must(err)
	der, err := asn1.Marshal(struct {
		Body      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, cert.Algorithm, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
	must(err)
	again, err := x509.ParseCertificate(der)
	must(err)
	if again.SerialNumber.Sign() >= 0 {
		panic("the serial number is not negative")
	}
	return again
}

// Without authorities to lead to, a certificate has to be right otherwise.
func TestWithoutTrust(t *testing.T) {
	m := newMachine(t)
	m.config = func(c *Config) { c.Trust = nil }
	s := m.start()
	unknown := newAuthority(organisation, "somebody", testKeys()[0], nil)
	if _, err := s.Provision(t.Context(), slap, unknown); err != nil {
		t.Error(err)
	}
	iris := Device{"iris", serial}
	if _, err := s.Provision(t.Context(), iris, unknown.editing(func(c *x509.Certificate) { c.IsCA = true })); !errors.Is(err, ErrAuthority) {
		t.Error(err)
	}
	others := unknown.answering(func(c []*x509.Certificate) ([]*x509.Certificate, error) { return append(c[:1], pki().ftm.cert), nil })
	if _, err := s.Provision(t.Context(), iris, others); !errors.Is(err, attest.ErrUntrusted) {
		t.Errorf("with an authority that did not issue it: %v", err)
	}
}

// What was in use is looked at again at every start, and its time at every use.
func TestNotUsableAnyMore(t *testing.T) {
	m := newMachine(t)
	s := m.provisioned()
	id := m.wantSigning(s, "slap")
	tests := map[string]struct {
		now    time.Time
		config func(*Config)
		want   error
	}{
		"expired":            {start.AddDate(0, 0, 90), nil, attest.ErrExpired},
		"clock behind":       {time.Unix(0, 0), nil, attest.ErrNotYetValid},
		"other organisation": {start, func(c *Config) { c.Organisation = "Acme Ltd" }, attest.ErrOrganisation},
		"other roots":        {start, func(c *Config) { c.Trust = new(attest.Trust) }, attest.ErrUntrusted},
		"roots of the other domain": {start, func(c *Config) {
			c.Trust = new(attest.Trust)
			c.Trust.Add(attest.DomainFTM, pki().device.above...)
		}, attest.ErrUntrusted},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s.Close()
			before := take(t, m.dir)
			m.config = tt.config
			m.clock.set(tt.now)
			s := m.start()
			if _, err := s.Device("slap"); !errors.Is(err, tt.want) || errors.Is(err, attest.ErrNoKey) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if st := s.Status("slap"); !errors.Is(st.Err, tt.want) || st.Serial != serial {
				t.Errorf("status %+v", st)
			}
			if tt.config == nil { // time comes, without a restart
				m.clock.set(start)
				m.wantSigning(s, "slap")
			}
			s.Close()
			if !maps.Equal(before, take(t, m.dir)) {
				t.Error("something was changed")
			}
			m.config = nil
			m.clock.set(start)
			s = m.start()
			if again := m.wantSigning(s, "slap"); again != nil && !again.Certificate().Equal(id.Certificate()) {
				t.Error("another certificate")
			}
			s.Close()
		})
	}
	// What has expired is replaced by Provision, and by Rotate.
	m.clock.set(start.AddDate(0, 0, 90))
	s = m.start()
	later := pki().device.editing(func(c *x509.Certificate) { c.NotAfter = start.AddDate(1, 0, 0) })
	if _, err := s.Provision(t.Context(), slap, later); err != nil {
		t.Error(err)
	}
	m.wantSigning(s, "slap")
}
