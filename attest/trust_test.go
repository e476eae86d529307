package attest

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"sync"
	"testing"
)

func noOrganisation(c *x509.Certificate)   { c.Subject.Organization = nil }
func twoOrganisations(c *x509.Certificate) { c.Subject.Organization = []string{"First", "Second"} }

func TestTrustCheck(t *testing.T) {
	pki := newPKI(t)
	leaf := func(edit func(*x509.Certificate)) *x509.Certificate {
		return certificate(t, "leaf", deviceKey().Public(), pki.provider, nil, edit)
	}
	// below makes an authority that the edit spoils, and a leaf under it.
	below := func(edit func(*x509.Certificate)) (authority, leaf *x509.Certificate) {
		authority = certificate(t, "spoilt", otherKey().Public(), pki.root, nil, func(c *x509.Certificate) {
			asAuthority(c)
			edit(c)
		})
		return authority, certificate(t, "leaf", deviceKey().Public(), &issuer{authority, otherKey()}, nil, nil)
	}
	spoilt := func(edit func(*x509.Certificate)) (*Trust, *x509.Certificate) {
		authority, leaf := below(edit)
		trust := pki.trust()
		trust.Add(DomainDevice, authority)
		return trust, leaf
	}
	critical := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}

	type check struct {
		trust  *Trust
		domain Domain
		leaf   *x509.Certificate
		want   error
	}
	tests := map[string]check{
		"chain":        {pki.trust(), DomainDevice, pki.device, nil},
		"no key usage": {pki.trust(), DomainDevice, leaf(func(c *x509.Certificate) { c.KeyUsage = 0 }), nil},
		"other extended usage": {pki.trust(), DomainDevice, leaf(func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
		}), nil},
		"directly below root":        {pki.trust(), DomainDevice, certificate(t, "leaf", deviceKey().Public(), pki.root, nil, nil), nil},
		"leaf outlives its issuer":   {pki.trust(), DomainDevice, leaf(func(c *x509.Certificate) { c.NotAfter = testTime.AddDate(30, 0, 0) }), nil},
		"other domain":               {pki.trust(), DomainFTM, pki.device, ErrUntrusted},
		"nobody trusted":             {new(Trust), DomainDevice, pki.device, ErrUntrusted},
		"critical unknown extension": {pki.trust(), DomainDevice, leaf(func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{critical} }), ErrUntrusted},
		"self-signed stranger":       {pki.trust(), DomainDevice, certificate(t, "stranger", deviceKey().Public(), nil, deviceKey(), nil), ErrUntrusted},
		"same names, other keys":     {pki.trust(), DomainDevice, certificate(t, "leaf", deviceKey().Public(), &issuer{impostor(t, pki), otherKey()}, nil, nil), ErrUntrusted},
		"expired":                    {pki.trust(), DomainDevice, leaf(func(c *x509.Certificate) { c.NotAfter = testTime.AddDate(0, 0, -1) }), ErrExpired},
		"not yet valid":              {pki.trust(), DomainDevice, leaf(func(c *x509.Certificate) { c.NotBefore = testTime.AddDate(0, 0, 1) }), ErrNotYetValid},
	}
	add := func(name string, want error, edit func(*x509.Certificate)) {
		trust, leaf := spoilt(edit)
		tests[name] = check{trust, DomainDevice, leaf, want}
	}
	add("another authority", nil, func(*x509.Certificate) {})
	add("issuer expired", ErrUntrusted, func(c *x509.Certificate) { c.NotAfter = testTime.AddDate(0, 0, -1) })
	add("issuer not yet valid", ErrUntrusted, func(c *x509.Certificate) { c.NotBefore = testTime.AddDate(0, 0, 1) })
	add("issuer no authority", ErrUntrusted, func(c *x509.Certificate) { c.IsCA = false })
	add("issuer may not sign certificates", ErrUntrusted, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })

	// An issuer that only the token knows does not count.
	_, unknown := below(func(*x509.Certificate) {})
	tests["issuer not in the store"] = check{pki.trust(), DomainDevice, unknown, ErrUntrusted}

	// A path of one authority too many.
	short := certificate(t, "short path", otherKey().Public(), pki.root, nil, func(c *x509.Certificate) {
		asAuthority(c)
		c.MaxPathLenZero = true
	})
	sub := certificate(t, "sub", ftmKey().Public(), &issuer{short, otherKey()}, nil, asAuthority)
	long := pki.trust()
	long.Add(DomainDevice, short, sub)
	tests["path too long"] = check{long, DomainDevice, certificate(t, "leaf", deviceKey().Public(), &issuer{sub, ftmKey()}, nil, nil), ErrUntrusted}

	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.trust.Check(tt.domain, tt.leaf, testTime)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			for _, other := range []error{ErrExpired, ErrNotYetValid, ErrUntrusted} {
				if !errors.Is(tt.want, other) && errors.Is(err, other) {
					t.Errorf("%v also says %v", err, other)
				}
			}
		})
	}
}

func TestTrustCheckConcurrently(t *testing.T) {
	pki := newPKI(t)
	trust := pki.trust()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := trust.Check(DomainDevice, pki.device, testTime); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestReadTrust(t *testing.T) {
	pki := newPKI(t)
	dir := t.TempDir()
	writeFile(t, dir, "device-root.pem", pemOf(pki.root.cert))
	writeFile(t, dir, "device-provider.pem", pemOf(pki.provider.cert))
	writeFile(t, dir, "encryption.pem", []byte("nobody reads this"))
	writeFile(t, dir, "device-notes.txt", []byte("nor this"))
	trust, err := ReadTrust(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := trust.Check(DomainDevice, pki.device, testTime); err != nil {
		t.Error(err)
	}
	if err := trust.Check(DomainFTM, pki.device, testTime); !errors.Is(err, ErrUntrusted) {
		t.Errorf("nothing was read for FTM: %v", err)
	}
	writeFile(t, dir, "ftm-all.pem", pemOf(pki.root.cert, pki.provider.cert))
	if trust, err = ReadTrust(dir); err != nil {
		t.Fatal(err)
	}
	if err := trust.Check(DomainFTM, pki.ftm, testTime); err != nil {
		t.Error(err)
	}
	writeFile(t, dir, "ftm-bad.pem", []byte("garbage"))
	if _, err := ReadTrust(dir); err == nil || !strings.Contains(err.Error(), "ftm-bad.pem") {
		t.Errorf("%v does not name the file", err)
	}
	if _, err := ReadTrust(t.TempDir()); err == nil {
		t.Error("an empty folder is a trust store")
	}
	if _, err := ReadTrust(dir + "-absent"); err == nil {
		t.Error("an absent folder is a trust store")
	}
}

// The authorities between come with the certificate, the root does not.
func TestTrustCheckChain(t *testing.T) {
	pki := newPKI(t)
	trust := new(Trust)
	trust.Add(DomainDevice, pki.root.cert)
	chain := []*x509.Certificate{pki.device, pki.provider.cert}
	if err := trust.CheckChain(DomainDevice, chain, testTime); err != nil {
		t.Error(err)
	}
	if err := trust.CheckChain(DomainDevice, chain[:1], testTime); !errors.Is(err, ErrUntrusted) {
		t.Errorf("without the authority between: %v", err)
	}
	if err := trust.CheckChain(DomainFTM, chain, testTime); !errors.Is(err, ErrUntrusted) {
		t.Errorf("in another domain: %v", err)
	}
	if err := trust.Check(DomainDevice, pki.device, testTime); !errors.Is(err, ErrUntrusted) {
		t.Errorf("what came with a chain stays trusted: %v", err)
	}
	if err := new(Trust).CheckChain(DomainDevice, append(chain, pki.root.cert), testTime); !errors.Is(err, ErrUntrusted) {
		t.Errorf("a root that came with the chain: %v", err)
	}
}
