package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"time"

	"sbid/attest/tpm"
)

// An Attestor is a TPM that proves what it holds; a *tpm.Store is one.
type Attestor interface {
	Info(ctx context.Context) (tpm.Info, error)
	Endorsement(ctx context.Context) (tpm.Endorsement, error)
	AttestationKey(ctx context.Context) (tpm.AttestationKey, error)
	Certify(ctx context.Context, key string, qualifying []byte) (tpm.Statement, error)
	Quote(ctx context.Context, pcrs []int, qualifying []byte) (tpm.Quote, error)
	CertifyCounter(ctx context.Context, qualifying []byte) (tpm.Statement, error)
}

// A Subject is what evidence is to be about.
type Subject struct {
	Nonce         []byte    // the verifier's, 8 to 64 bytes
	Time          time.Time // now
	Name, Version string    // of the program
	Program       Digest    // see ProgramDigest
	Keys          []Key
	Checkpoint    []byte // the last of the audit log, or nil
	// AKCertificates is the attestation key's certificate and those of its
	// authorities, if it was ever issued.
	AKCertificates []*x509.Certificate
	Machine        Machine // see ReadMachine
}

// quotedPCRs are the registers that firmware, boot loader and kernel measure
// into.
var quotedPCRs = []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}

// unavailable is a part that cannot be had, though all else can.
type unavailable struct {
	label, why string
	err        error
}

func (u *unavailable) Error() string { return u.label + ": " + u.why + ": " + u.err.Error() }
func (u *unavailable) Unwrap() error { return u.err }

// errMeasured: the kernel measured something between the reading of its list
// and the quote.
var errMeasured = errors.New("the kernel measured something meanwhile")

// Collect returns a document in JSON about the subject. A quote, a counter or
// an endorsement key that this TPM cannot give is left out, and the document
// says why; without an attestation key or a certified key there is no
// evidence, but an error.
func Collect(ctx context.Context, a Attestor, s Subject) ([]byte, error) {
	document, err := collect(ctx, a, s)
	if err != nil {
		return nil, fmt.Errorf("collect evidence: %w", err)
	}
	return document, nil
}

func collect(ctx context.Context, a Attestor, s Subject) ([]byte, error) {
	if n := len(s.Nonce); n < minNonce || n > maxNonce {
		return nil, fmt.Errorf("nonce of %d bytes, expected %d to %d", n, minNonce, maxNonce)
	}
	c, absent, err := parts(ctx, a, s)
	if err != nil {
		return nil, err
	}
	info, err := a.Info(ctx)
	if err != nil {
		return nil, err
	}
	claims := Claims{
		Profile: profile, Nonce: s.Nonce, Issued: s.Time.Unix(), Name: s.Name, Version: [1]string{s.Version}, Program: s.Program,
		Host: s.Machine.Host, TPM: info, Keys: s.Keys, Checkpoint: s.Checkpoint, Absent: absent,
	}
	// What is not to be had shows only when it is asked for, after the claims
	// that speak of it were bound: then it is all done again without, once for
	// each part.
	for {
		document, err := bind(ctx, a, c, claims)
		missing, ok := errors.AsType[*unavailable](err)
		if !ok {
			return document, err
		}
		claims.Absent[missing.label] = missing.why
		delete(c, missing.label)
	}
}

// parts returns what the TPM does not sign, and why something is not there.
func parts(ctx context.Context, a Attestor, s Subject) (c collection, absent map[string]string, err error) {
	c, absent = collection{}, map[string]string{}
	maps.Copy(absent, s.Machine.Absent)
	for label, log := range map[string][]byte{labelEventLog: s.Machine.EventLog, labelIMA: s.Machine.IMA} {
		if len(log) > 0 {
			c[label] = log
		} else if absent[label] == "" {
			absent[label] = "not given"
		}
	}
	ak, err := a.AttestationKey(ctx)
	if err != nil {
		return nil, nil, err
	}
	c[labelAK] = ak.Public
	c.addCertificates(absent, labelAKCertificates, s.AKCertificates, "none was issued")
	ek, err := a.Endorsement(ctx)
	if errors.Is(err, tpm.ErrHierarchyAuth) {
		absent[labelEK] = "the endorsement hierarchy is protected by a password"
		return c, absent, nil
	}
	if err != nil {
		return nil, nil, err
	}
	c[labelEK] = ek.Public
	c.addCertificates(absent, labelEKCertificates, ek.Certificates, "this TPM carries none")
	return c, absent, nil
}

func (c collection) addCertificates(absent map[string]string, label string, certificates []*x509.Certificate, why string) {
	if len(certificates) == 0 {
		absent[label] = why
		return
	}
	var chain bytes.Buffer
	for _, certificate := range certificates {
		// A buffer takes everything.
		_ = pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
	}
	c[label] = chain.Bytes()
}

// bind completes a collection by the claims and the statements about them.
func bind(ctx context.Context, a Attestor, c collection, claims Claims) ([]byte, error) {
	c = maps.Clone(c)
	claims.Parts = map[string]Digest{}
	for label, data := range c {
		claims.Parts[label] = sha256.Sum256(data)
	}
	text, err := json.Marshal(&claims)
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	c[labelClaims] = text
	extraData := binding(claims.Nonce, text)
	for _, key := range claims.Keys {
		statement, err := a.Certify(ctx, key.Name, extraData)
		if err != nil {
			return nil, err
		}
		c[prefixKey+key.Name] = marshalStatement(statement, statement.Public)
	}
	if _, not := claims.Absent[labelQuote]; !not {
		if c[labelQuote], err = quote(ctx, a, c, extraData); err != nil {
			return nil, err
		}
	}
	if _, not := claims.Absent[labelAudit]; !not {
		statement, err := a.CertifyCounter(ctx, extraData)
		switch {
		case errors.Is(err, tpm.ErrHierarchyAuth):
			return nil, &unavailable{labelAudit, "the owner hierarchy is protected by a password", err}
		case errors.Is(err, tpm.ErrCounterTaken):
			return nil, &unavailable{labelAudit, "the counter's index belongs to another program", err}
		case err != nil:
			return nil, err
		}
		c[labelAudit] = marshalStatement(statement, statement.Public)
	}
	return c.marshal()
}

func quote(ctx context.Context, a Attestor, c collection, extraData []byte) ([]byte, error) {
	q, err := a.Quote(ctx, quotedPCRs, extraData)
	if errors.Is(err, tpm.ErrPCRBank) {
		return nil, &unavailable{labelQuote, "the TPM has no SHA-256 bank of registers", err}
	}
	if err != nil {
		return nil, err
	}
	if list, ok := c[labelIMA]; ok {
		value, _, err := replayIMA(list)
		if err == nil && !bytes.Equal(value[:], q.PCRs[imaPCR]) {
			err = errMeasured
		}
		if err != nil {
			return nil, &unavailable{labelIMA, "the kernel's list does not replay to its register", err}
		}
	}
	var values []byte
	for _, pcr := range quotedPCRs {
		values = append(values, q.PCRs[pcr]...)
	}
	return marshalStatement(q.Statement, values), nil
}
