package acme

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sbid/attest"
	"sbid/attest/internal/akcert"
	"sbid/attest/internal/statedir"
	"sbid/attest/tpm"
)

// AttestationFile, in Config.Dir, has the certificate of the attestation key and
// those of its authorities.
const AttestationFile = "attestation-key.pem"

// renewBefore is how long before its end the attestation key's certificate is
// exchanged; it is good for a year.
const renewBefore = 30 * 24 * time.Hour

// attestationChain returns the certificate of the attestation key and those of
// its authorities, and whether it is new. One that was kept is used while it is
// for the key that the TPM has now, names the device, and does not end soon;
// and if no new one is to be had, until it ends.
func (i *Issuer) attestationChain(ctx context.Context, serial string) (chain []*x509.Certificate, fresh bool, err error) {
	kept, err := i.keptChain(ctx, serial)
	if err != nil {
		return nil, false, err
	}
	if kept != nil && time.Now().Before(kept[0].NotAfter.Add(-renewBefore)) {
		return kept, false, nil
	}
	chain, err = i.newAttestationChain(ctx, serial)
	if err != nil && kept != nil && ctx.Err() == nil {
		return kept, false, nil
	}
	return chain, true, err
}

// keptChain returns the chain that was kept, nil if it is of no use.
func (i *Issuer) keptChain(ctx context.Context, serial string) ([]*x509.Certificate, error) {
	if i.attestation == nil && i.config.Dir != "" {
		chain, err := attest.ReadCertificates(filepath.Join(i.config.Dir, AttestationFile))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err == nil {
			i.attestation = chain
		} // a damaged file is replaced
	}
	if len(i.attestation) == 0 {
		return nil, nil
	}
	public, err := i.attestationPublic(ctx)
	if err != nil {
		return nil, err
	}
	if !usable(i.attestation, public, serial) {
		return nil, nil
	}
	return i.attestation, nil
}

func usable(chain []*x509.Certificate, public *rsa.PublicKey, serial string) bool {
	return checkAttestation(chain, public, serial) == nil && attest.CheckValidity(chain[0], time.Now()) == nil
}

// attestationPublic is the attestation key that the TPM has now.
func (i *Issuer) attestationPublic(ctx context.Context) (*rsa.PublicKey, error) {
	ak, err := i.tpm.AttestationKey(ctx)
	if err != nil {
		return nil, err
	}
	return ak.Key()
}

// checkAttestation makes sure that a chain is for the attestation key and
// names the device. Without that name step-ca would take it for every device.
func checkAttestation(chain []*x509.Certificate, public *rsa.PublicKey, serial string) error {
	if !public.Equal(chain[0].PublicKey) {
		return fmt.Errorf("%w: certificate of the attestation key", attest.ErrKeyMismatch)
	}
	names, err := akcert.NamesOf(chain[0])
	if err != nil {
		return fmt.Errorf("certificate of the attestation key: %w", err)
	}
	if !slices.Contains(names.Permanent, serial) {
		return fmt.Errorf("the attestation CA knows this TPM as that of %q, not of device %s: have the provider register it", names.Permanent, serial)
	}
	return nil
}

// newAttestationChain has the attestation CA certify the attestation key, and
// keeps the result.
func (i *Issuer) newAttestationChain(ctx context.Context, serial string) ([]*x509.Certificate, error) {
	chain, err := i.attestAt(ctx, i.config.AttestationCA, serial)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("attestation CA %s: %w", i.config.AttestationCA, err)
	}
	i.attestation = chain
	if i.config.Dir == "" {
		return chain, nil
	}
	if err := os.MkdirAll(i.config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep certificate of the attestation key: %w", err)
	}
	var text []byte
	for _, c := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	if err := statedir.WriteFile(filepath.Join(i.config.Dir, AttestationFile), text, 0o600); err != nil {
		return nil, fmt.Errorf("keep certificate of the attestation key: %w", err)
	}
	return chain, nil
}

func (i *Issuer) attestAt(ctx context.Context, ca, serial string) ([]*x509.Certificate, error) {
	ak, err := i.tpm.AttestationKey(ctx)
	if err != nil {
		return nil, err
	}
	public, err := ak.Key()
	if err != nil {
		return nil, err
	}
	request, err := i.attestRequest(ctx, ak)
	if err != nil {
		return nil, err
	}
	var challenge akcert.AttestResponse
	if err := i.post(ctx, ca, akcert.AttestPath, request, &challenge); err != nil {
		return nil, err
	}
	credential, err := unsized(challenge.Credential)
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	encrypted, err := unsized(challenge.Secret)
	if err != nil {
		return nil, fmt.Errorf("encrypted secret: %w", err)
	}
	secret, err := i.tpm.Activate(ctx, credential, encrypted)
	if err != nil {
		return nil, err
	}
	var certified akcert.SecretResponse
	if err := i.post(ctx, ca, akcert.SecretPath, akcert.SecretRequest{Secret: secret}, &certified); err != nil {
		return nil, err
	}
	if len(certified.Chain) == 0 {
		return nil, errors.New("it answered without a certificate")
	}
	chain := make([]*x509.Certificate, len(certified.Chain))
	for n, der := range certified.Chain {
		if chain[n], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("its certificate: %w", err)
		}
	}
	return chain, checkAttestation(chain, public, serial)
}

func (i *Issuer) attestRequest(ctx context.Context, ak tpm.AttestationKey) (akcert.AttestRequest, error) {
	info, err := i.tpm.Info(ctx)
	if err != nil {
		return akcert.AttestRequest{}, err
	}
	ek, err := i.tpm.Endorsement(ctx)
	if err != nil {
		return akcert.AttestRequest{}, err
	}
	request := akcert.AttestRequest{
		TPM: akcert.TPM{Version: 2, Manufacturer: decimal(info.Manufacturer), Model: info.Model, Firmware: info.Firmware},
		EK:  ek.Public,
		Parameters: akcert.Parameters{
			Public:            ak.Public,
			CreateData:        ak.CreateData,
			CreateAttestation: ak.CreateAttestation,
			CreateSignature:   ak.CreateSignature,
		},
	}
	for _, c := range ek.Certificates {
		request.EKCertificates = append(request.EKCertificates, c.Raw)
	}
	return request, nil
}

// decimal writes "id:49465800" as the call wants it.
func decimal(manufacturer string) string {
	id, err := strconv.ParseUint(strings.TrimPrefix(manufacturer, "id:"), 16, 32)
	if err != nil {
		return ""
	}
	return strconv.FormatUint(id, 10)
}

// unsized takes the size off a TPM2B structure.
func unsized(b []byte) ([]byte, error) {
	if len(b) < 2 || int(binary.BigEndian.Uint16(b)) != len(b)-2 {
		return nil, fmt.Errorf("%d bytes do not begin with their size", len(b))
	}
	return b[2:], nil
}

// post makes a call of the attestation CA.
func (i *Issuer) post(ctx context.Context, ca, path string, request, response any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	address, err := url.JoinPath(ca, path)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", userAgent)
	if i.config.Token != "" {
		r.Header.Set("Authorization", "Bearer "+i.config.Token)
	}
	answer, err := i.http.Do(r)
	if err != nil {
		return unreachable("attest", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return unreachable("attest", err)
	}
	if answer.StatusCode != http.StatusOK {
		return refusal(answer, text)
	}
	if err := json.Unmarshal(text, response); err != nil {
		return unreachable("attest", fmt.Errorf("answer of %s: %w", address, err))
	}
	return nil
}

// refusal is the no of the attestation CA, in its own words if it has any.
func refusal(answer *http.Response, text []byte) error {
	var problem akcert.Problem
	if err := json.Unmarshal(text, &problem); err == nil && problem.Detail != "" {
		return fmt.Errorf("it refuses: %s", problem.Detail)
	}
	return unreachable("attest", fmt.Errorf("%s answers %s", answer.Request.URL, answer.Status))
}
