package provision

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"sbid/attest"
	"sbid/attest/internal/statedir"
	"sbid/attest/tpm"
)

// ManifestFile is the name of the manifest in a folder of requests.
const ManifestFile = "requests.json"

// A Manifest lists the certificate requests in a folder, for a provider who
// certifies them somewhere else.
type Manifest struct {
	Requests []Request `json:"requests"`
	// Module is the TPM that holds the keys, if one does.
	Module *Module `json:"module,omitempty"`
	// Unproven says why a TPM could not prove that.
	Unproven string `json:"unproven,omitempty"`
}

// A Request is one certificate request, PKCS #10 (RFC 2986) in a PEM file.
type Request struct {
	Name   string        `json:"name"` // of the device, or FTM
	Serial string        `json:"serial"`
	Domain attest.Domain `json:"domain"` // whose authorities are to certify it
	File   string        `json:"file"`   // in the folder of the manifest
	SHA256 []byte        `json:"sha256"` // of the request's DER
	// Proof is there if a TPM holds the key; its extraData is SHA256.
	Proof *Proof `json:"proof,omitempty"`

	key string
}

// WriteRequests makes a key for each of the devices and writes the request for
// its certificate into a folder, beside a manifest of all of them. The keys
// wait for Import, over restarts, and are the same if asked for again. The keys
// in use go on being used meanwhile.
func (s *Set) WriteRequests(ctx context.Context, folder string, devices ...Device) (Manifest, error) {
	manifest, err := s.writeRequests(ctx, folder, devices)
	if err != nil {
		return Manifest{}, fmt.Errorf("write certificate requests: %w", err)
	}
	return manifest, nil
}

func (s *Set) writeRequests(ctx context.Context, folder string, devices []Device) (m Manifest, err error) {
	for _, d := range devices {
		if err := d.check(); err != nil {
			return m, err
		}
	}
	if err := s.begin(ctx); err != nil {
		return m, err
	}
	defer s.changing.Unlock()
	//nolint:gosec // requests are there to be handed on, and hold nothing secret
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return m, err
	}
	for _, d := range devices {
		r, signer, err := s.pendingKey(ctx, d)
		if err != nil {
			return m, fmt.Errorf("key of %s: %w", d.Name, err)
		}
		request, err := writeRequest(folder, s.request(r, signer), d.Name)
		if err != nil {
			return m, err
		}
		m.Requests = append(m.Requests, request)
	}
	if p, ok := s.config.Keys.(Prover); ok {
		m.prove(ctx, p)
	}
	text, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return m, err
	}
	return m, statedir.WriteFile(filepath.Join(folder, ManifestFile), append(text, '\n'), 0o644)
}

// prove completes a manifest with what the TPM says of the keys, or with why it
// says nothing.
func (m *Manifest) prove(ctx context.Context, p Prover) {
	module, err := module(ctx, p)
	proofs := make([]Proof, len(m.Requests))
	for i, r := range m.Requests {
		if err == nil {
			var s tpm.Statement
			s, err = p.Certify(ctx, r.key, r.SHA256)
			proofs[i] = Proof(s)
		}
	}
	if err != nil {
		m.Unproven = err.Error()
		return
	}
	m.Module = module
	for i := range m.Requests {
		m.Requests[i].Proof = &proofs[i]
	}
}

// pendingKey returns the key that waits for a certificate of this device, or
// makes one.
func (s *Set) pendingKey(ctx context.Context, device Device) (record, crypto.Signer, error) {
	s.tidy(ctx, device.Name)
	r, err := s.pending(device.Name)
	if err != nil {
		return record{}, nil, err
	}
	if r.Name != "" {
		signer, err := s.config.Keys.Signer(ctx, r.key())
		switch {
		case err == nil && r.Serial == device.Serial && r.Organisation == s.organisation(r.Name) && r.Country == s.config.Country:
			return r, signer, nil
		case err == nil || errors.Is(err, attest.ErrNoKey) || errors.Is(err, attest.ErrKeyLost):
			err = s.destroy(ctx, r)
		}
		if err != nil {
			return record{}, nil, err
		}
	}
	r, signer, err := s.newKey(ctx, device)
	if err != nil {
		return record{}, nil, err
	}
	r.Requested = true
	if err := s.write(r); err != nil {
		return record{}, nil, errors.Join(err, s.abandon(ctx, r.Name, r.Generation))
	}
	h := s.holder(r.Name)
	h.latest = r
	s.setHolder(r.Name, h)
	s.changed(r.about(Requested, nil))
	return r, signer, nil
}

// pending returns the generation of a device that waits for a certificate, if
// there is one after the current.
func (s *Set) pending(name string) (record, error) {
	files, err := s.list()
	if err != nil {
		return record{}, err
	}
	for _, number := range files[name] {
		if h := s.holder(name); h.current != nil && number <= h.current.record.Generation {
			break
		}
		if r, err := s.read(name, number); err == nil && r.pending() {
			return r, nil
		}
	}
	return record{}, nil
}

func writeRequest(folder string, request attest.CertificateRequest, name string) (Request, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:            request.Subject(),
		SignatureAlgorithm: x509.SHA256WithRSA,
	}, request.Signer)
	if err != nil {
		return Request{}, fmt.Errorf("sign request for %s: %w", name, err)
	}
	sum := sha256.Sum256(der)
	r := Request{
		Name:   name,
		Serial: request.Serial,
		Domain: request.Domain,
		File:   name + ".csr",
		SHA256: sum[:],
		key:    request.Key,
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	return r, statedir.WriteFile(filepath.Join(folder, r.File), text, 0o644)
}
