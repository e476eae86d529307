package station

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"sbid/attest"
	"sbid/attest/provision"
	"sbid/capture"
	"sbid/cmd/internal/version"
	"sbid/sbi"
)

// lookTime bounds how long scanners may take to show themselves to a command.
const lookTime = 15 * time.Second

// infoTime bounds how long a TPM may take to say what it is.
const infoTime = 5 * time.Second

// Look finds the scanners that are plugged in, for a station that does not
// serve. It returns when all were tried.
func (s *Station) Look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.scanners.Run(ctx)
	}()
	select {
	case <-s.scanners.Settled():
	case <-ctx.Done():
	}
	for _, e := range s.scanners.Snapshot().Scanners {
		s.take(e)
	}
	cancel()
	<-ended
}

// Status tells what there is and how it is.
func (s *Station) Status(ctx context.Context, _ struct{}) (Status, error) {
	seen := s.scanners.Snapshot()
	status := Status{
		Version: version.String(), Level: s.config.Level, Roots: len(s.config.Certificates.DeviceRoots) > 0, Endpoints: map[sbi.Purpose]string{},
		Keys: s.keyStatus(ctx), Drivers: map[string]Trouble{},
	}
	s.mu.Lock()
	if s.daemon != nil {
		status.Running = true
		for purpose, server := range s.daemon.Servers {
			status.Endpoints[purpose] = server.Origin()
		}
	}
	s.mu.Unlock()
	if s.config.Level == "L1" {
		c := s.certificateStatus(provision.FTM)
		status.FTM = &c
	}
	for _, d := range seen.Drivers {
		if d.Trouble != nil {
			status.Drivers[d.ID] = troubleOf(d.Trouble)
		}
	}
	for _, e := range seen.Scanners {
		scanner := ScannerStatus{
			ID: e.ID, Make: e.Info.Make, Model: e.Info.Model,
			State: e.State.String(), Trouble: troubleOf(e.Trouble),
		}
		if e.State == capture.Idle || e.State == capture.InUse {
			scanner.Trouble = Trouble{}
		}
		for _, p := range partsOf(s.config, s.machine, e) {
			scanner.Devices = append(scanner.Devices, s.deviceStatus(p))
		}
		status.Scanners = append(status.Scanners, scanner)
	}
	if slices.Contains(s.config.Purposes, string(sbi.Auth)) {
		c := s.encryptionStatus()
		status.Auth = &c
	}
	status.Audit = s.auditStatus()
	if s.set != nil {
		for _, name := range s.set.Names() {
			if key := s.set.Status(name); key.Requested {
				status.Waiting = append(status.Waiting, key.Serial)
			}
		}
		sort.Strings(status.Waiting)
	}
	return status, nil
}

func (s *Station) keyStatus(ctx context.Context) KeyStatus {
	if s.chip == nil {
		return KeyStatus{Store: "file", Where: s.config.State}
	}
	k := KeyStatus{Store: "tpm", Where: s.chip.where()}
	ctx, cancel := context.WithTimeout(ctx, infoTime)
	defer cancel()
	info, err := s.chip.Info(ctx)
	if err != nil {
		k.Trouble = troubleOf(err)
		return k
	}
	k.Where += " (" + info.String() + ")"
	return k
}

func (s *Station) deviceStatus(p part) DeviceStatus {
	status := DeviceStatus{Name: p.name, Serial: p.serial, Purpose: p.purpose, SubType: p.subType, Certificate: s.certificateStatus(p.name)}
	s.mu.Lock()
	d := s.devices[p.name]
	s.mu.Unlock()
	if d != nil && status.Certificate.Trouble.Text == "" {
		status.Certificate.Trouble = troubleOf(d.unarmed())
	}
	return status
}

func (s *Station) auditStatus() Trouble {
	if s.audit == nil {
		return troubleOf(s.deaf)
	}
	status := s.audit.Status()
	if status.Lost > 0 {
		return Trouble{"other", fmt.Sprintf("%d records of the audit log were lost", status.Lost)}
	}
	return troubleOf(status.Trouble)
}

func (s *Station) certificateStatus(name string) CertificateStatus {
	if s.set == nil {
		return CertificateStatus{Trouble: troubleOf(errNoProvider)}
	}
	key := s.set.Status(name)
	c := CertificateStatus{Imported: key.Origin == provision.Imported, Trouble: troubleOf(key.Err)}
	if key.Certificate != nil {
		c.Thumbprint = attest.Thumbprint(key.Certificate)
		c.Issuer = strings.Join(key.Certificate.Issuer.Organization, " ")
		c.Expires = key.Expires
		c.Issued = key.Certificate.NotBefore
		issuer, err := s.issuer(name)
		c.Renews = issuer != nil && err == nil
	}
	return c
}

func (s *Station) encryptionStatus() CertificateStatus {
	cert, err := s.auth.Certificate()
	if err == nil {
		err = attest.CheckEncryptionCertificate(cert, time.Now())
	}
	if err != nil {
		return CertificateStatus{Trouble: troubleOf(err)}
	}
	return CertificateStatus{Thumbprint: attest.Thumbprint(cert), Issuer: strings.Join(cert.Issuer.Organization, " "), Issued: cert.NotBefore, Expires: cert.NotAfter, Renews: s.config.Encryption.Fetch != nil}
}

// summary is what the audit log says of a start: settings that matter for what
// the records are worth.
func (s *Station) summary() string {
	c := s.config
	return fmt.Sprintf("sbid %s, level %s, purposes %s, keys %s, environment %s",
		version.String(), c.Level, strings.Join(c.Purposes, " "), c.Keys.Store, c.Environment)
}
