package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/mholt/acmez/v3/acme"

	"sbid/attest"
)

// badAttestationStatement is the error type of draft-ietf-acme-device-attest,
// section 5.
const badAttestationStatement = acme.ProblemTypeNamespace + "badAttestationStatement"

// A refusedError is the ACME server's no, in its own words and with what to do
// about it.
type refusedError struct {
	problem acme.Problem
	step    string
}

func (e *refusedError) Error() string {
	said := []string{words(e.problem)}
	for _, sub := range e.problem.Subproblems {
		said = append(said, words(sub.Problem))
	}
	text := e.step + ": the ACME server said: " + strings.Join(said, "; ")
	if what := hint(e.problem); what != "" {
		text += ": " + what
	}
	return text
}

func (e *refusedError) Unwrap() error { return e.problem }

// words are the detail of a problem with the name of its type.
func words(p acme.Problem) string {
	name := strings.TrimPrefix(p.Type, acme.ProblemTypeNamespace)
	switch {
	case p.Detail == "":
		return name
	case name == "":
		return p.Detail
	}
	return fmt.Sprintf("%s (%s)", p.Detail, name)
}

// hint says what a person can do about a problem. Where step-ca gives reasons,
// it gives them in its log only for some.
func hint(p acme.Problem) string {
	for _, sub := range p.Subproblems {
		if sub.Type == acme.ProblemTypeRejectedIdentifier {
			return "have the provider register the device for this TPM, then try again"
		}
	}
	switch p.Type {
	case badAttestationStatement:
		return "the server does not accept the TPM's statement; it must trust the root of the attestation CA and have the format tpm enabled"
	case acme.ProblemTypeUnauthorized:
		return "have the provider look at the device's entry in the register"
	case acme.ProblemTypeExternalAccountRequired:
		return "switch requireEAB off for the provisioner: the attestation says who asks"
	case acme.ProblemTypeRejectedIdentifier, acme.ProblemTypeUnsupportedIdentifier:
		return "the provisioner of the directory URL must do device-attest-01"
	case acme.ProblemTypeBadCSR:
		return "compare serial number, organisation and country with the provider's"
	case acme.ProblemTypeServerInternal:
		return "the reason is in the log of the ACME server"
	}
	return ""
}

// explain says at which step an error of the ACME client happened, and what it
// means.
func explain(ctx context.Context, step string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", step, context.Cause(ctx))
	}
	if problem, ok := errors.AsType[acme.Problem](err); ok {
		return &refusedError{problem, step}
	}
	return unreachable(step, err)
}

// unreachable says that nobody answered, or not who should.
func unreachable(step string, err error) error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%s: %w: its certificate is not one of the provider's: check the URL and the configured root: %w", step, attest.ErrManagementServer, err)
	}
	return fmt.Errorf("%s: %w: check the network, the URL and that the server runs: %w", step, attest.ErrManagementServer, err)
}
