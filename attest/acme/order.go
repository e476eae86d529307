package acme

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/mholt/acmez/v3/acme"

	"sbid/attest"
	"sbid/attest/internal/akcert"
	"sbid/attest/tpm"
)

const (
	identifierType = "permanent-identifier"
	// formatTPM is the attestation statement format of WebAuthn section 8.3.
	formatTPM  = "tpm"
	tpmVersion = "2.0"
	algRS256   = -257 // COSE, RFC 8812 section 2
)

// An order is one certificate on its way.
type order struct {
	*acme.Client
	account acme.Account
	request attest.CertificateRequest
	ak      []*x509.Certificate
	tpm     TPM
}

func (o *order) run(ctx context.Context) ([]*x509.Certificate, error) {
	var err error
	// An account that is there already is simply returned.
	if o.account, err = o.NewAccount(ctx, o.account); err != nil {
		return nil, explain(ctx, "account at "+o.Directory, err)
	}
	placed, err := o.NewOrder(ctx, o.account, acme.Order{
		Identifiers: []acme.Identifier{{Type: identifierType, Value: o.request.Serial}},
	})
	if err != nil {
		return nil, explain(ctx, "order", err)
	}
	for _, location := range placed.Authorizations {
		if err := o.authorize(ctx, location); err != nil {
			return nil, err
		}
	}
	csr, err := certificateRequest(o.request)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	final, err := o.FinalizeOrder(ctx, o.account, placed, csr)
	if err != nil {
		if final.Status == acme.StatusInvalid && final.Error != nil {
			err = *final.Error
		}
		return nil, explain(ctx, "certificate request", err)
	}
	return o.download(ctx, final.Certificate)
}

// authorize proves that the key is in the TPM.
func (o *order) authorize(ctx context.Context, location string) error {
	authorization, err := o.GetAuthorization(ctx, o.account, location)
	if err != nil {
		return explain(ctx, "authorization", err)
	}
	if authorization.Status == acme.StatusValid {
		return nil
	}
	challenge, err := deviceAttest(authorization)
	if err != nil {
		return err
	}
	object, err := o.attestationObject(ctx, challenge)
	if err != nil {
		return err
	}
	challenge.Payload = map[string]string{"attObj": base64.RawURLEncoding.EncodeToString(object)}
	if challenge, err = o.InitiateChallenge(ctx, o.account, challenge); err != nil {
		return explain(ctx, "attestation", err)
	}
	return o.await(ctx, authorization, challenge)
}

func deviceAttest(authorization acme.Authorization) (acme.Challenge, error) {
	var offered []string
	for _, c := range authorization.Challenges {
		if c.Type == acme.ChallengeTypeDeviceAttest01 && c.URL != "" && c.Token != "" {
			return c, nil
		}
		offered = append(offered, c.Type)
	}
	return acme.Challenge{}, fmt.Errorf("the ACME server offers no %s (but %s): enable it for the provisioner of the directory URL",
		acme.ChallengeTypeDeviceAttest01, strings.Join(offered, ", "))
}

// await waits until the server has judged. It looks at the challenge: of one
// that failed, step-ca leaves the authorization pending for ever, and answers
// with HTTP 200.
func (o *order) await(ctx context.Context, authorization acme.Authorization, challenge acme.Challenge) error {
	deadline := time.Now().Add(o.PollTimeout)
	for wait := time.Duration(0); ; wait = o.PollInterval {
		switch {
		case challenge.Error != nil:
			return explain(ctx, "attestation", *challenge.Error)
		case challenge.Status == acme.StatusInvalid:
			return explain(ctx, "attestation", acme.Problem{Type: badAttestationStatement, Detail: "the server gives no reason"})
		case authorization.Status == acme.StatusValid:
			return nil
		case authorization.Status != acme.StatusPending:
			return fmt.Errorf("attestation: the server says that the authorization is %s", authorization.Status)
		case time.Now().After(deadline):
			return fmt.Errorf("attestation: %w: no judgement after %s", attest.ErrManagementServer, o.PollTimeout)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		var err error
		if authorization, err = o.GetAuthorization(ctx, o.account, authorization.Location); err != nil {
			return explain(ctx, "attestation", err)
		}
		if i := slices.IndexFunc(authorization.Challenges, func(c acme.Challenge) bool { return c.URL == challenge.URL }); i >= 0 {
			challenge = authorization.Challenges[i]
		}
	}
}

// An attestationObject is the CBOR of WebAuthn section 6.5.4 without authData,
// which device-attest-01 has no use for.
type attestationObject struct {
	Format    string    `cbor:"fmt"`
	Statement statement `cbor:"attStmt"`
}

type statement struct {
	Version   string   `cbor:"ver"`
	Algorithm int      `cbor:"alg"`
	X5C       [][]byte `cbor:"x5c"`
	Signature []byte   `cbor:"sig"`      // TPMT_SIGNATURE
	CertInfo  []byte   `cbor:"certInfo"` // TPMS_ATTEST
	PubArea   []byte   `cbor:"pubArea"`  // TPMT_PUBLIC
}

// attestationObject has the TPM certify the key for this challenge and this
// account.
func (o *order) attestationObject(ctx context.Context, challenge acme.Challenge) ([]byte, error) {
	thumbprint, err := o.account.Thumbprint()
	if err != nil {
		return nil, fmt.Errorf("thumbprint of the account key: %w", err)
	}
	// RFC 8555 section 8.1.
	authorization := sha256.Sum256([]byte(challenge.Token + "." + thumbprint))
	certified, err := o.tpm.Certify(ctx, o.request.Key, authorization[:])
	if err != nil {
		return nil, err
	}
	return encodeObject(o.ak, certified)
}

func encodeObject(ak []*x509.Certificate, certified tpm.Statement) ([]byte, error) {
	x5c := make([][]byte, len(ak))
	for i, c := range ak {
		x5c[i] = c.Raw
	}
	object, err := cbor.Marshal(attestationObject{formatTPM, statement{
		Version:   tpmVersion,
		Algorithm: algRS256,
		X5C:       x5c,
		Signature: certified.Signature,
		CertInfo:  certified.Attest,
		PubArea:   certified.Public,
	}})
	if err != nil {
		return nil, fmt.Errorf("write attestation object: %w", err)
	}
	return object, nil
}

// certificateRequest returns a PKCS #10 request in DER. The common name is
// always in it: step-ca also issues certificates that have none.
func certificateRequest(request attest.CertificateRequest) ([]byte, error) {
	alternative, err := akcert.Names{Permanent: []string{request.Serial}}.Extension(false)
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:            request.Subject(),
		SignatureAlgorithm: x509.SHA256WithRSA, // the only thing that the key can do
		ExtraExtensions:    []pkix.Extension{alternative},
	}, request.Signer)
}

func (o *order) download(ctx context.Context, location string) ([]*x509.Certificate, error) {
	chains, err := o.GetCertificateChain(ctx, o.account, location)
	if err != nil {
		return nil, explain(ctx, "certificate", err)
	}
	chain, err := attest.ParseCertificates(chains[0].ChainPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("certificate: %s is empty", location)
	}
	return chain, checkChain(chain, o.request)
}
