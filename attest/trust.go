package attest

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Domain is a partner domain of MOSIP. Each has its own trusted authorities.
type Domain string

// The domains that matter for a device.
const (
	DomainDevice Domain = "DEVICE" // device information and records
	DomainFTM    Domain = "FTM"    // digital IDs of level L1
)

// A Trust holds the authorities of each domain, as MOSIP's key manager does.
// The zero value trusts nobody. Check is safe for concurrent use, Add is not.
type Trust struct {
	domains map[Domain]*pools
}

type pools struct{ roots, intermediates *x509.CertPool }

// Add puts certificates of authorities into a domain. A self-signed one
// becomes a root, any other an intermediate.
func (t *Trust) Add(domain Domain, certs ...*x509.Certificate) {
	p := t.domains[domain]
	if p == nil {
		if t.domains == nil {
			t.domains = map[Domain]*pools{}
		}
		p = &pools{x509.NewCertPool(), x509.NewCertPool()}
		t.domains[domain] = p
	}
	for _, c := range certs {
		if selfSigned(c) {
			p.roots.AddCert(c)
		} else {
			p.intermediates.AddCert(c)
		}
	}
}

// ReadTrust reads a folder of certificates as a developer trust set keeps it:
// files that begin with "device-" or "ftm-" and end with ".pem" hold
// authorities of that domain. A folder without any such file is an error.
func ReadTrust(dir string) (*Trust, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read trust: %w", err)
	}
	t := new(Trust)
	for _, e := range entries {
		var domain Domain
		switch name := e.Name(); {
		case !strings.HasSuffix(name, ".pem"):
			continue
		case strings.HasPrefix(name, "device-"):
			domain = DomainDevice
		case strings.HasPrefix(name, "ftm-"):
			domain = DomainFTM
		default:
			continue
		}
		certs, err := ReadCertificates(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		t.Add(domain, certs...)
	}
	if len(t.domains) == 0 {
		return nil, fmt.Errorf("read trust: no device-*.pem or ftm-*.pem in %s", dir)
	}
	return t, nil
}

// Check decides as MOSIP does whether leaf may speak for a domain at a given
// time: leaf is valid then, and a path of valid authorities leads to a root.
// All of them come from the domain's own store, never from a token; key usages
// of the leaf and revocation do not count. It returns ErrExpired or
// ErrNotYetValid when the time of leaf itself is wrong, else ErrUntrusted.
func (t *Trust) Check(domain Domain, leaf *x509.Certificate, at time.Time) error {
	return t.CheckChain(domain, []*x509.Certificate{leaf}, at)
}

// CheckChain is Check of the first certificate of chain, but the others may
// stand between it and a root of the domain: what a provider sends with a new
// certificate need not be known before. The chain must not be empty.
func (t *Trust) CheckChain(domain Domain, chain []*x509.Certificate, at time.Time) error {
	leaf := chain[0]
	if err := CheckValidity(leaf, at); err != nil {
		return err
	}
	p := t.domains[domain]
	if p == nil {
		return fmt.Errorf("%w: %s: nobody is trusted in domain %s", ErrUntrusted, title(leaf), domain)
	}
	intermediates := p.intermediates
	if len(chain) > 1 {
		intermediates = intermediates.Clone()
		for _, c := range chain[1:] {
			intermediates.AddCert(c)
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:         p.roots,
		Intermediates: intermediates,
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("%w: %s in domain %s: %w", ErrUntrusted, title(leaf), domain, err)
	}
	return nil
}
