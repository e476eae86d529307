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
