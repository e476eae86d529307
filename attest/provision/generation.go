package provision

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"sbid/attest"
	"sbid/attest/internal/statedir"
)

// An Origin says where a private key was made.
type Origin string

// Origins of keys.
const (
	Made     Origin = "made"     // in the key store, which it never left
	Imported Origin = "imported" // outside: whoever uses it is level L0 at best
)

// A record is what the file of a generation says.
type record struct {
	Name         string    `json:"name"` // of the device, or FTM
	Generation   int       `json:"generation"`
	Serial       string    `json:"serial"`
	Organisation string    `json:"organisation"`
	Country      string    `json:"country,omitempty"`
	Origin       Origin    `json:"origin"`
	Made         time.Time `json:"made"` // when the key was, UTC, whole seconds
	// Requested says that somebody outside may be certifying the key.
	Requested bool `json:"requested,omitempty"`
	// X5C are the certificates, the key's own first, in the form of RFC 7515
	// section 4.1.6. They make the generation one in use.
	X5C [][]byte `json:"x5c,omitempty"`
	// Destroyed says that the key is no more, and the certificates are kept to
	// look at.
	Destroyed bool `json:"destroyed,omitempty"`
	// Sum is SHA-256 of the file without it. It guards against accidents only.
	Sum []byte `json:"sum,omitempty"`
}

var (
	deviceName = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$`)
	serialForm = regexp.MustCompile(`^[A-Za-z0-9]{12,64}$`) // 64: the bound of a common name, RFC 5280 appendix A.1
	fileForm   = regexp.MustCompile(`^(?:device\.([a-z0-9-]{1,40})|` + FTM + `)\.([1-9][0-9]{0,8})\.json$`)
)

const (
	maxFile   = 1 << 20 // bytes; a chain has about ten thousand
	maxChain  = 16
	maxNumber = 999_999_999 // of a generation
)

func (d Device) check() error {
	if !deviceName.MatchString(d.Name) {
		return fmt.Errorf("%q cannot name a device: letters a-z, digits and hyphens are allowed, at most 40", d.Name)
	}
	if !serialForm.MatchString(d.Serial) {
		return fmt.Errorf("serial number %q of %s: expected 12 to 64 letters and digits", d.Serial, d.Name)
	}
	return nil
}

// domainOf says whose authorities certify a key.
func domainOf(name string) attest.Domain {
	if name == FTM {
		return attest.DomainFTM
	}
	return attest.DomainDevice
}

// key is the name of the generation's key in the key store.
func (r record) key() string {
	if r.Name == FTM {
		return FTM
	}
	return "device." + r.Name + "." + strconv.Itoa(r.Generation)
}

func fileName(name string, generation int) string {
	if name != FTM {
		name = "device." + name
	}
	return fmt.Sprintf("%s.%d.json", name, generation)
}

func (s *Set) path(name string, generation int) string {
	return filepath.Join(s.dir, fileName(name, generation))
}

// list returns the generations that have a file, highest first, by name.
func (s *Set) list() (map[string][]int, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]int{}
	for _, e := range entries {
		m := fileForm.FindStringSubmatch(e.Name())
		if m == nil || m[1] == FTM { // which is no device
			continue
		}
		name := m[1]
		if name == "" {
			name = FTM
		}
		n, err := strconv.Atoi(m[2])
		if err != nil {
			return nil, fmt.Errorf("generation of %s: %w", e.Name(), err)
		}
		files[name] = append(files[name], n)
	}
	for _, numbers := range files {
		slices.Sort(numbers)
		slices.Reverse(numbers)
	}
	return files, nil
}

// write puts a record into its file. When it returns without an error, the
// file survives a power cut; with one, it has the old content or the new.
func (s *Set) write(r record) error {
	text, err := r.marshal()
	if err != nil {
		return err
	}
	return statedir.WriteFile(s.path(r.Name, r.Generation), text, 0o600)
}

// read returns ErrDamaged for a file that is not one of write's.
func (s *Set) read(name string, generation int) (record, error) {
	f, err := os.Open(s.path(name, generation)) //nolint:gosec // the name has the form of deviceName
	if err != nil {
		return record{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return record{}, err
	}
	r, err := parseRecord(text)
	if err == nil && (r.Name != name || r.Generation != generation) {
		err = errors.New("it is the file of another generation")
	}
	if err != nil {
		return record{}, fmt.Errorf("%w: %s: %w", ErrDamaged, f.Name(), err)
	}
	return r, nil
}

func (r record) marshal() ([]byte, error) {
	r.Sum = nil
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write generation: %w", err)
	}
	sum := sha256.Sum256(text)
	r.Sum = sum[:]
	text, err = json.MarshalIndent(r, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("write generation: %w", err)
	}
	return append(text, '\n'), nil
}

// parseRecord accepts what marshal returns and nothing else.
func parseRecord(text []byte) (record, error) {
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, err
	}
	again, err := r.marshal()
	if err != nil {
		return record{}, err
	}
	if !bytes.Equal(again, text) {
		return record{}, errors.New("its check sum is wrong")
	}
	return r, nil
}

// chain returns the certificates of a generation in use.
func (r record) chain() ([]*x509.Certificate, error) {
	return x509.ParseCertificates(bytes.Join(r.X5C, nil))
}

// inUse: its certificates are there.
func (r record) inUse() bool { return len(r.X5C) > 0 }

// pending: somebody outside may be certifying the key.
func (r record) pending() bool { return r.Requested && !r.inUse() }

// begun: an interruption, or a failure, left it.
func (r record) begun() bool { return !r.Requested && !r.inUse() }
