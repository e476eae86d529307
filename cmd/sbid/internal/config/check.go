package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"sbid/cmd/internal/daemon"
	"sbid/sbi"
)

// check refuses what cannot be meant, and names all of it.
func (c *Config) check() error {
	return errors.Join(
		c.checkService(),
		c.checkRoles(),
		c.checkKeys(),
		c.Encryption.check(),
	)
}

func oneOf(what, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s is %q; it can be %s", what, value, strings.Join(allowed, ", "))
}

func (c *Config) checkService() error {
	errs := []error{
		oneOf("environment", c.Environment, "Staging", "Developer", "Pre-Production", "Production"),
		oneOf("level", c.Level, "L0", "L1"),
	}
	for _, p := range c.Purposes {
		errs = append(errs, oneOf("purposes", p, "Registration", "Auth"))
	}
	if len(c.Purposes) == 0 {
		errs = append(errs, errors.New("purposes is empty: name Registration, Auth or both"))
	}
	if slices.Contains(c.Purposes, "Auth") && c.Level != "L1" {
		errs = append(errs, errors.New("purpose Auth needs level L1: clients for authentication see no other device. "+
			"L1 is a promise about this machine's trust module; SECURITY.md tells what it takes"))
	}
	if _, _, err := (daemon.Options{Ports: c.Ports}).PortRange(); err != nil {
		errs = append(errs, err)
	}
	if _, err := sbi.ParseOrigins(c.Origins, false); err != nil {
		errs = append(errs, fmt.Errorf("origins: %w", err))
	}
	if c.Provider.Organisation != "" && c.Provider.ID == "" {
		errs = append(errs, errors.New("provider.organisation without provider.id, which every digital ID names"))
	}
	if c.Audit.MaxFile < 4096 || c.Audit.MaxFiles < 2 {
		errs = append(errs, errors.New("audit: max-file is at least 4096 bytes, max-files at least 2"))
	}
	return errors.Join(errs...)
}

var serials = regexp.MustCompile(`^[A-Za-z0-9]{12,64}$`)

func (c *Config) checkRoles() error {
	var errs []error
	taken := map[string]bool{}
	for _, r := range c.Roles {
		for _, p := range r.Purposes {
			errs = append(errs, oneOf("roles: purposes", p, "Registration", "Auth"))
			if !slices.Contains(c.Purposes, p) {
				errs = append(errs, fmt.Errorf("roles: scanner %q is for %s, which purposes does not name: nobody would find its device", r.Scanner, p))
			}
		}
		if r.Scanner == "" {
			errs = append(errs, errors.New(`roles: a role without scanner; "*" means all`))
		}
		if r.Serial == "" {
			continue
		}
		if !serials.MatchString(r.Serial) {
			errs = append(errs, fmt.Errorf("roles: serial %q is not 12 to 64 letters and digits", r.Serial))
		}
		if strings.HasSuffix(r.Scanner, "*") {
			errs = append(errs, fmt.Errorf("roles: serial %q is that of one scanner, and %s can be several", r.Serial, r.Scanner))
		}
		if taken[r.Serial] {
			errs = append(errs, fmt.Errorf("roles: serial %q is given to two scanners", r.Serial))
		}
		taken[r.Serial] = true
	}
	return errors.Join(errs...)
}

// checkKeys looks at the keys and at how they come by their certificates.
func (c *Config) checkKeys() error {
	errs := []error{oneOf("keys.store", c.Keys.Store, "tpm", "file")}
	if c.Level == "L1" && c.Keys.Store == "file" {
		errs = append(errs, errors.New("level L1 with keys.store file: keys in files are L0; use a TPM"))
	}
	if c.Keys.Passphrase != "" && c.Keys.Store == "tpm" {
		errs = append(errs, errors.New("keys.passphrase with keys.store tpm: it is for keys in files; a TPM needs none"))
	}
	certs := c.Certificates
	if certs.RotateAfter < time.Hour {
		errs = append(errs, fmt.Errorf("certificates.rotate-after is %v; an hour is the least", certs.RotateAfter))
	}
	if len(certs.FTMRoots) > 0 && len(certs.DeviceRoots) == 0 {
		errs = append(errs, errors.New("certificates.ftm-roots without device-roots: no device certificate could be trusted"))
	}
	if a := certs.ACME; a != nil {
		errs = append(errs, a.check())
		if c.Keys.Store == "file" {
			errs = append(errs, errors.New("certificates.acme with keys.store file: an ACME server certifies keys in a TPM only"))
		}
	}
	return errors.Join(errs...)
}

func (a *ACME) check() error {
	var errs []error
	for _, m := range []struct {
		name, value string
		optional    bool
	}{
		{"directory", a.Directory, false},
		{"ftm-directory", a.FTMDirectory, true},
		{"attestation", a.Attestation, false},
	} {
		u, err := url.Parse(m.value)
		switch {
		case m.value == "" && m.optional:
		case m.value == "":
			errs = append(errs, fmt.Errorf("certificates.acme.%s is empty: name the URL of the provider's service", m.name))
		case err != nil || u.Scheme != "https" || u.Host == "":
			errs = append(errs, fmt.Errorf("certificates.acme.%s is %q; it must be a URL that begins with https://", m.name, m.value))
		}
	}
	if len(a.Roots) == 0 {
		errs = append(errs, errors.New("certificates.acme.roots is empty: name the file of the provider's TLS root"))
	}
	return errors.Join(errs...)
}

func (e Encryption) check() error {
	f := e.Fetch
	if f == nil {
		return nil
	}
	errs := []error{
		oneOf("encryption.fetch.kind", f.Kind, "keymanager", "masterdata"),
		oneOf("encryption.fetch.token-kind", f.TokenKind, "oauth2", "authmanager"),
	}
	if e.File != "" {
		errs = append(errs, errors.New("encryption has both file and fetch; one of them"))
	}
	if len(f.Thumbprints)+len(f.Issuers) == 0 {
		errs = append(errs, errors.New("encryption.fetch names neither thumbprints nor issuers: "+
			"a key manager makes a new certificate, which nobody can decrypt for, when it is asked for one that there is not"))
	}
	masterData, authManager := f.Kind == "masterdata", f.TokenKind == "authmanager"
	for _, m := range []struct {
		name          string
		needed, given bool
	}{
		{"url", true, f.URL != ""},
		{"token-url", true, f.TokenURL != ""},
		{"client-id", true, f.ClientID != ""},
		{"secret-file", true, f.SecretFile != ""},
		{"app-id", authManager, f.AppID != ""},
		{"domain-uri", masterData, f.DomainURI != ""},
		{"signers", masterData, len(f.Signers) > 0},
	} {
		if m.needed && !m.given {
			errs = append(errs, fmt.Errorf("encryption.fetch.%s is empty, and kind %s with token-kind %s needs it", m.name, f.Kind, f.TokenKind))
		}
	}
	return errors.Join(errs...)
}
