package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
)

// Path is where the configuration is when nobody says otherwise.
func Path() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(os.Getenv("ProgramData"), "sbid", "sbid.yaml")
	}
	return "/etc/sbid/sbid.yaml"
}

func defaultState() string {
	if runtime.GOOS == "windows" {
		return filepath.Join(os.Getenv("ProgramData"), "sbid", "state")
	}
	return "/var/lib/sbid"
}

const maxFile = 1 << 20 // bytes; a long configuration has some thousand

// Load reads the file at path over the defaults. An empty path means Path, where
// no file need be. Paths in it are relative to its folder.
func Load(path string) (Config, error) {
	c := Defaults()
	wanted := path != ""
	if !wanted {
		path = Path()
	}
	text, err := readFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !wanted:
		return c, nil
	case err != nil:
		return c, fmt.Errorf("read configuration: %w", err)
	}
	if err := c.parse(text); err != nil {
		return c, fmt.Errorf("configuration %s: %w", path, err)
	}
	c.anchor(filepath.Dir(path))
	return c, nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d bytes, which is no configuration", path, info.Size())
	}
	return os.ReadFile(path)
}

// parse takes the members that text names; one that is not known is an error.
func (c *Config) parse(text []byte) error {
	k := koanf.New("\x00") // no key has parts
	if err := k.Load(rawbytes.Provider(text), yaml.Parser()); err != nil {
		return err
	}
	err := k.UnmarshalWithConf("", c, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		Result:      c,
		ErrorUnused: true,
		MatchName: func(key, field string) bool {
			return strings.EqualFold(strings.ReplaceAll(key, "-", ""), field)
		},
		DecodeHook: duration,
	}})
	if err != nil {
		return err
	}
	return c.check()
}

var days = regexp.MustCompile(`^([0-9]{1,4})d$`)

// duration reads times as Go writes them, and days like 30d.
func duration(_, to reflect.Type, data any) (any, error) {
	text, ok := data.(string)
	if !ok || to != reflect.TypeFor[time.Duration]() {
		return data, nil
	}
	if m := days.FindStringSubmatch(text); m != nil {
		hours, err := time.ParseDuration(m[1] + "h")
		return 24 * hours, err
	}
	return time.ParseDuration(text)
}

// check refuses what cannot be meant.
func (c *Config) check() error {
	oneOf := func(what, value string, allowed ...string) error {
		if slices.Contains(allowed, value) {
			return nil
		}
		return fmt.Errorf("%s is %q; it can be %s", what, value, strings.Join(allowed, ", "))
	}
	errs := []error{
		oneOf("environment", c.Environment, "Staging", "Developer", "Pre-Production", "Production"),
		oneOf("level", c.Level, "L0", "L1"),
		oneOf("keys.store", c.Keys.Store, "tpm", "file"),
	}
	for _, p := range c.Purposes {
		errs = append(errs, oneOf("purposes", p, "Registration", "Auth"))
	}
	for _, r := range c.Roles {
		for _, p := range r.Purposes {
			errs = append(errs, oneOf("roles: purposes", p, "Registration", "Auth"))
		}
		if r.Scanner == "" {
			errs = append(errs, errors.New(`roles: a role without scanner; "*" means all`))
		}
		if r.Serial != "" && !serials.MatchString(r.Serial) {
			errs = append(errs, fmt.Errorf("roles: serial %q is not 12 to 64 letters and digits", r.Serial))
		}
		if r.Serial != "" && strings.HasSuffix(r.Scanner, "*") {
			errs = append(errs, fmt.Errorf("roles: serial %q is that of one scanner, and %s can be several", r.Serial, r.Scanner))
		}
	}
	if len(c.Purposes) == 0 {
		errs = append(errs, errors.New("purposes is empty: name Registration, Auth or both"))
	}
	if slices.Contains(c.Purposes, "Auth") && c.Level != "L1" {
		errs = append(errs, errors.New("purpose Auth needs level L1: clients for authentication see no other device. "+
			"L1 is a promise about this machine's trust module; SECURITY.md tells what it takes"))
	}
	if c.Level == "L1" && c.Keys.Store == "file" {
		errs = append(errs, errors.New("level L1 with keys.store file: keys in files are L0; use a TPM"))
	}
	if c.Certificates.RotateAfter < time.Hour {
		errs = append(errs, fmt.Errorf("certificates.rotate-after is %v; an hour is the least", c.Certificates.RotateAfter))
	}
	if c.Audit.MaxFile < 4096 || c.Audit.MaxFiles < 2 {
		errs = append(errs, errors.New("audit: max-file is at least 4096 bytes, max-files at least 2"))
	}
	if c.Encryption.File != "" && c.Encryption.Fetch != nil {
		errs = append(errs, errors.New("encryption has both file and fetch; one of them"))
	}
	if a := c.Certificates.ACME; a != nil && len(a.Roots) == 0 {
		errs = append(errs, errors.New("certificates.acme.roots is empty: name the file of the provider's TLS root"))
	}
	if f := c.Encryption.Fetch; f != nil {
		errs = append(errs,
			oneOf("encryption.fetch.kind", f.Kind, "keymanager", "masterdata"),
			oneOf("encryption.fetch.token-kind", f.TokenKind, "oauth2", "authmanager"))
		if len(f.Thumbprints)+len(f.Issuers) == 0 {
			errs = append(errs, errors.New("encryption.fetch names neither thumbprints nor issuers: "+
				"a key manager makes a new certificate, which nobody can decrypt for, when it is asked for one that there is not"))
		}
	}
	return errors.Join(errs...)
}

var serials = regexp.MustCompile(`^[A-Za-z0-9]{12,64}$`)

// anchor makes relative paths mean files beside the configuration.
func (c *Config) anchor(folder string) {
	paths := []*string{&c.State, &c.Keys.Passphrase, &c.Encryption.File, &c.Scanners.USB.Helper}
	lists := [][]string{c.Certificates.DeviceRoots, c.Certificates.FTMRoots}
	if a := c.Certificates.ACME; a != nil {
		paths = append(paths, &a.Token)
		lists = append(lists, a.Roots)
	}
	if f := c.Encryption.Fetch; f != nil {
		paths = append(paths, &f.SecretFile)
		lists = append(lists, f.Roots, f.Issuers, f.Signers)
	}
	for _, list := range lists {
		for i := range list {
			paths = append(paths, &list[i])
		}
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(folder, *p)
		}
	}
}
