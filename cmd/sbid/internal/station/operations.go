package station

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sbid/attest"
	"sbid/attest/audit"
	"sbid/attest/evidence"
	"sbid/attest/provision"
	"sbid/cmd/internal/version"
	"sbid/cmd/sbid/internal/control"
)

// Names of the operations, for control.Call.
const (
	OpStatus    = "status"
	OpProvision = "provision"
	OpRequest   = "request"
	OpImport    = "import"
	OpRotate    = "rotate"
	OpAttest    = "attest"
	OpVouch     = "vouch"
)

func (s *Station) operations() map[string]control.Operation {
	return map[string]control.Operation{
		OpStatus:    control.Op(s.Status),
		OpProvision: control.Op(s.Provision),
		OpRequest:   control.Op(s.Request),
		OpImport:    control.Op(s.Import),
		OpRotate:    control.Op(s.Rotate),
		OpAttest:    control.Op(s.Attest),
		OpVouch:     control.Op(s.Vouch),
	}
}

// Which names devices by name or serial number; none means all that there are.
type Which struct{ Devices []string }

// An Outcome is what became of one device.
type Outcome struct {
	Name    string `json:"name"`
	Serial  string `json:"serialNo"`
	Done    bool   `json:"done"`              // something changed
	Expires string `json:"expires,omitempty"` // of the certificate, RFC 3339
	Error   string `json:"error,omitempty"`
}

// Provision gets keys and certificates for devices that have none, from the
// issuer in the configuration.
func (s *Station) Provision(ctx context.Context, which Which) ([]Outcome, error) {
	return s.each(which, false, func(issuer attest.Issuer, name, serial string) error {
		_, err := s.set.Provision(ctx, provision.Device{Name: name, Serial: serial}, issuer)
		return err
	})
}

// Rotate gives devices new keys and certificates.
func (s *Station) Rotate(ctx context.Context, which Which) ([]Outcome, error) {
	return s.each(which, true, func(issuer attest.Issuer, name, _ string) error {
		_, err := s.set.Rotate(ctx, name, issuer)
		return err
	})
}

var errNoIssuer = errors.New("the configuration names no server that issues certificates (certificates: {acme: ...}); " +
	"without one they go by file: sbid provision --requests FOLDER, then sbid provision --import FILE")

// each does something to the keys of the devices meant, the FTM key's first
// where there is one, and puts what came of it to use. Without an issuer those
// that are well stay as they are, unless they are to be renewed; a person brings
// the FTM key's certificate.
func (s *Station) each(which Which, renew bool, do func(issuer attest.Issuer, name, serial string) error) ([]Outcome, error) {
	subjects, err := s.subjects(which)
	if err != nil {
		return nil, err
	}
	outcomes := []Outcome{}
	for _, subject := range subjects {
		before := s.set.Status(subject.Name)
		issuer, err := s.issuer(subject.Name)
		switch {
		case err != nil:
		case issuer != nil:
			err = do(issuer, subject.Name, subject.Serial)
		case before.Err != nil, renew && subject.Name != provision.FTM:
			err = errNoIssuer
		}
		after := s.set.Status(subject.Name)
		o := Outcome{Name: subject.Name, Serial: subject.Serial, Done: after.Certificate != nil && !after.Certificate.Equal(before.Certificate)}
		if !after.Expires.IsZero() {
			o.Expires = after.Expires.UTC().Format(time.RFC3339)
		}
		if err != nil {
			o.Error = err.Error()
		}
		if o.Done {
			s.renewed(subject.Name)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

// subjects lists whose keys are meant.
func (s *Station) subjects(which Which) ([]provision.Device, error) {
	if s.set == nil {
		return nil, errNoProvider
	}
	devices, err := s.find(which.Devices)
	if err != nil {
		return nil, err
	}
	if len(devices) == 0 {
		return nil, errors.New("no scanner is plugged in whose device could be provisioned; sbid doctor tells what there is")
	}
	var subjects []provision.Device
	if s.config.Level == "L1" && (len(which.Devices) == 0 || s.set.Status(provision.FTM).Err != nil) {
		subjects = append(subjects, provision.Device{Name: provision.FTM, Serial: s.machine})
	}
	for _, d := range devices {
		subjects = append(subjects, provision.Device{Name: d.name, Serial: d.serial})
	}
	return subjects, nil
}

// serial returns the serial number that a key is certified for.
func (s *Station) serial(name string) string {
	if name == provision.FTM {
		return s.machine
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.devices[name]; d != nil {
		return d.serial
	}
	return ""
}

// Requests are files for a provider who certifies keys somewhere else, by name.
type Requests struct {
	Files   map[string][]byte
	Devices []string // serial numbers
}

const requestFolder = "requests-" // and a number, while requests are written

// Request makes keys that wait for certificates, and the requests for these.
func (s *Station) Request(ctx context.Context, which Which) (Requests, error) {
	subjects, err := s.subjects(which)
	if err != nil {
		return Requests{}, err
	}
	folder, err := os.MkdirTemp(s.config.State, requestFolder)
	if err != nil {
		return Requests{}, fmt.Errorf("write requests: %w", err)
	}
	defer os.RemoveAll(folder)
	if _, err := s.set.WriteRequests(ctx, folder, subjects...); err != nil {
		return Requests{}, err
	}
	requests := Requests{Files: map[string][]byte{}}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return Requests{}, fmt.Errorf("write requests: %w", err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return Requests{}, fmt.Errorf("write requests: %w", err)
		}
		requests.Files[e.Name()] = data
	}
	for _, subject := range subjects {
		requests.Devices = append(requests.Devices, subject.Serial)
	}
	return requests, nil
}

// An Imported is what a person brings: certificates for keys that wait for
// them, or a key with its certificate for one device.
type Imported struct {
	Certificates [][]byte // DER
	PKCS12       []byte
	Password     string
	Device       string // for PKCS12: a name or serial number
}

// Import puts to use what a person brings.
func (s *Station) Import(ctx context.Context, in Imported) ([]Outcome, error) {
	if s.set == nil {
		return nil, errNoProvider
	}
	var names []string
	var err error
	if in.PKCS12 != nil {
		names, err = s.importPKCS12(ctx, in)
	} else {
		var certs []*x509.Certificate
		for _, der := range in.Certificates {
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				return nil, fmt.Errorf("import certificates: %w", err)
			}
			certs = append(certs, cert)
		}
		names, err = s.set.ImportCertificates(ctx, certs)
	}
	outcomes := []Outcome{}
	for _, name := range names {
		s.renewed(name)
		status := s.set.Status(name)
		outcomes = append(outcomes, Outcome{Name: name, Serial: status.Serial, Done: true, Expires: status.Expires.UTC().Format(time.RFC3339)})
	}
	if err != nil && len(outcomes) > 0 { // those that were refused do not hide the others
		outcomes = append(outcomes, Outcome{Error: err.Error()})
		err = nil
	}
	return outcomes, err
}

func (s *Station) importPKCS12(ctx context.Context, in Imported) ([]string, error) {
	found, err := s.find([]string{in.Device})
	if err != nil {
		return nil, err
	}
	d := found[0]
	if len(found) > 1 {
		return nil, fmt.Errorf("%s is %d devices; name one of them: %s", in.Device, len(found), names(found))
	}
	if s.config.Level != "L0" {
		return nil, errors.New("a key that existed outside of the trust module is level L0 at best, and the configuration says L1")
	}
	if _, err := s.set.ImportPKCS12(ctx, provision.Device{Name: d.name, Serial: d.serial}, in.PKCS12, in.Password); err != nil {
		return nil, err
	}
	return []string{d.name}, nil
}

func names(devices []*device) string {
	var list []string
	for _, d := range devices {
		list = append(list, d.name)
	}
	return strings.Join(list, ", ")
}

// A Challenge is what evidence is asked with.
type Challenge struct{ Nonce []byte }

// Evidence is a document in JSON.
type Evidence struct{ Document []byte }

// Attest makes evidence of this machine and its keys.
func (s *Station) Attest(ctx context.Context, c Challenge) (Evidence, error) {
	if s.chip == nil {
		return Evidence{}, errors.New("keys are in files, which prove nothing: evidence takes a TPM (keys: {store: tpm})")
	}
	if s.set == nil {
		return Evidence{}, errNoProvider
	}
	program, err := evidence.ProgramDigest()
	if err != nil {
		return Evidence{}, err
	}
	subject := evidence.Subject{
		Nonce: c.Nonce, Time: time.Now(), Name: "sbid", Version: version.String(), Program: program,
		Machine: evidence.ReadMachine(), AKCertificates: s.attestationCertificates(),
	}
	for _, name := range s.set.Names() {
		status := s.set.Status(name)
		if status.Certificate == nil {
			continue
		}
		origin, err := s.chip.Origin(ctx, status.Key)
		if err != nil {
			return Evidence{}, err
		}
		subject.Keys = append(subject.Keys, evidence.Key{
			Name: status.Key, Serial: status.Serial, Origin: origin, Certificate: status.Certificate.Raw,
		})
	}
	if len(subject.Keys) == 0 {
		return Evidence{}, errors.New("no key has a certificate yet that evidence could be about: sbid provision")
	}
	if last := s.audit.Last(); last != nil {
		if subject.Checkpoint, err = json.Marshal(last); err != nil {
			return Evidence{}, err
		}
	}
	document, err := evidence.Collect(ctx, s.chip, subject)
	return Evidence{document}, err
}

// Voucher is what the audit log of this machine is checked against.
type Voucher struct {
	Keys  [][]byte // public, as SubjectPublicKeyInfo: those that sign checkpoints
	Count uint64   // where the TPM's counter stands; 0 without a TPM
}

// Vouch returns what the audit log of this machine is checked against.
func (s *Station) Vouch(ctx context.Context, _ struct{}) (v Voucher, err error) {
	var public crypto.PublicKey
	if s.chip == nil {
		signer, err := s.keys.Signer(ctx, auditKey)
		if err != nil {
			return v, err
		}
		public = signer.Public()
	} else {
		ak, err := s.chip.AttestationKey(ctx)
		if err != nil {
			return v, err
		}
		if public, err = ak.Key(); err != nil {
			return v, err
		}
		if v.Count, err = audit.Count(ctx, s.chip); err != nil {
			return v, err
		}
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	v.Keys = [][]byte{der}
	return v, err
}
