package evidence

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Options are what a verifier knows and demands.
type Options struct {
	// Nonce is the one that was asked with.
	Nonce []byte
	// Now is the verifier's time. The evidence may be five minutes off.
	Now time.Time

	// EKRoots are the manufacturers' roots, and EKDigests the SHA-256 digests
	// of the SubjectPublicKeyInfo of endorsement keys that are known otherwise.
	// One of the two is enough.
	EKRoots   []*x509.Certificate
	EKDigests []Digest

	// AKRoots are the roots of the attestation authority, and AKNames the TPM
	// names of attestation keys that opened a credential for their endorsement
	// key before. One of the two is needed: without, a program could be the TPM.
	AKRoots []*x509.Certificate
	AKNames [][]byte

	// Certificates are those that came with records. Each has to be of a key
	// that the evidence is about.
	Certificates []*x509.Certificate
	// Programs are the SHA-256 digests of released programs.
	Programs []Digest
	// Last is the State of an earlier report on this machine, if there was one.
	Last *State
}

// maxSkew is how far the machine's clock may be off.
const maxSkew = 5 * time.Minute

// A State is what only goes up while a machine is what it was.
type State struct {
	ResetCount   uint32 `json:"resetCount"`   // starts of the TPM since it was last cleared
	RestartCount uint32 `json:"restartCount"` // resumes since the last of those
	CounterIndex uint32 `json:"counterIndex"` // NV index of the audit log's counter, 0 if there was none
	Counter      uint64 `json:"counter"`
}

// A Result is what became of a check.
type Result string

// The results.
const (
	Passed      Result = "passed"
	Failed      Result = "failed"
	NotPossible Result = "not possible" // something was not there to check, or to check by
)

// A Check is one thing that was looked at, with a sentence for people.
type Check struct {
	Name   string `json:"name"`
	Result Result `json:"result"`
	Text   string `json:"text"`
}

// Names of checks, in their order. The one of a key is its label, as in
// "key/ftm", after the statements.
const (
	CheckDocument     = "document"
	CheckNonce        = "nonce"
	CheckTime         = "time"
	CheckParts        = "parts"
	CheckEndorsement  = "endorsement key"
	CheckAttributes   = "attestation key attributes"
	CheckAttestation  = "attestation key"
	CheckStatements   = "statements"
	CheckCertificates = "certificates"
	CheckQuote        = "quote"
	CheckEventLog     = "event log"
	CheckSecureBoot   = "secure boot" // fails where the firmware measured that it is off
	CheckIMA          = "measurement list"
	CheckProgram      = "program"
	CheckAudit        = "audit counter"
	CheckClock        = "clock"
)

// A Report says of every check what became of it, in the order in which they
// were done. After a failure that leaves nothing to believe there are no more.
type Report struct {
	Checks []Check
	// Claims are what the machine says, nil if that cannot be read. They are
	// worth something only if Err returns nil.
	Claims *Claims
	// State is to be kept as Last for the next time, if Err returns nil.
	State State
}

// ErrNotTrusted means that evidence proves nothing.
var ErrNotTrusted = errors.New("evidence is not to be trusted")

// Err returns nil if no check failed and the attestation key is proven, and
// else an error that is ErrNotTrusted and says why. Other checks that were not
// possible are for the verifier's policy.
func (r Report) Err() error {
	proven := false
	var why []string
	for _, c := range r.Checks {
		proven = proven || c.Name == CheckAttestation && c.Result == Passed
		if c.Result == Failed || c.Name == CheckAttestation && c.Result == NotPossible {
			why = append(why, c.Name+": "+c.Text)
		}
	}
	if proven && len(why) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrNotTrusted, strings.Join(why, "; "))
}

// impossible is why a check is not possible.
type impossible struct{ why string }

func (i impossible) Error() string { return i.why }

// check adds what became of a check, and says whether it passed.
func (r *Report) check(name string, run func() (text string, err error)) bool {
	text, err := run()
	result := Passed
	if err != nil {
		result, text = Failed, err.Error()
		if _, ok := errors.AsType[impossible](err); ok {
			result = NotPossible
		}
	}
	r.Checks = append(r.Checks, Check{name, result, text})
	return result == Passed
}
