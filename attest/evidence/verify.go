package evidence

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"sbid/attest"
	"sbid/attest/tpm"
)

// Verify judges a document, in JSON or CBOR. It asks nobody and keeps nothing.
func Verify(document []byte, o Options) Report {
	v := &verifier{options: o}
	if v.check(CheckDocument, func() (string, error) { return v.read(document) }) {
		v.verify()
	}
	return v.Report
}

// A verifier is one look at one document.
type verifier struct {
	Report
	options   Options
	parts     collection
	extraData []byte

	ak       *rsa.PublicKey
	akName   []byte
	akSigner []byte // qualified name

	statements map[string]*statement
	registers  map[int][]byte // as quoted
}

func (v *verifier) read(document []byte) (string, error) {
	parts, err := parse(document)
	if err != nil {
		return "", err
	}
	return v.take(parts)
}

// take reads the claims of a collection and makes it the one to judge.
func (v *verifier) take(parts collection) (_ string, err error) {
	v.parts = parts
	for _, label := range []string{labelClaims, labelAK} {
		if v.parts[label] == nil {
			return "", fmt.Errorf("there is no %s", label)
		}
	}
	if v.Claims, err = parseClaims(v.parts[labelClaims]); err != nil {
		return "", err
	}
	v.extraData = binding(v.Claims.Nonce, v.parts[labelClaims])
	return fmt.Sprintf("It is in the prescribed form and has %d parts.", len(v.parts)), nil
}

// verify does the checks. Where parts were exchanged, the attestation key is
// none, or it did not sign, there is nothing left to judge.
func (v *verifier) verify() {
	v.check(CheckNonce, v.nonce)
	v.check(CheckTime, v.time)
	if !v.check(CheckParts, v.complete) {
		return
	}
	v.check(CheckEndorsement, v.endorsement)
	if !v.check(CheckAttributes, v.attributes) {
		return
	}
	v.check(CheckAttestation, v.attestation)
	if !v.check(CheckStatements, v.believe) {
		return
	}
	for _, key := range v.Claims.Keys {
		v.check(prefixKey+key.Name, func() (string, error) { return v.key(key) })
	}
	v.check(CheckCertificates, v.presented)
	v.check(CheckQuote, v.quote)
	v.logs()
	v.check(CheckProgram, v.program)
	v.check(CheckAudit, v.audit)
	v.check(CheckClock, v.clock)
}

func (v *verifier) nonce() (string, error) {
	if len(v.options.Nonce) < minNonce || subtle.ConstantTimeCompare(v.Claims.Nonce, v.options.Nonce) == 0 {
		return "", errors.New("it answers another question: the nonce is not the one that was asked with")
	}
	return "It answers this question.", nil
}

func (v *verifier) time() (string, error) {
	off := v.Claims.Time().Sub(v.options.Now)
	if off.Abs() > maxSkew {
		return "", fmt.Errorf("the machine's clock is off by %v, or the evidence is that old", off)
	}
	return "It was collected just now.", nil
}

// complete checks that the parts are those of the claims, no more and no less.
func (v *verifier) complete() (string, error) {
	expected := map[string]bool{labelClaims: true}
	for label, digest := range v.Claims.Parts {
		if isStatement(label) || label == labelClaims || mediaType(label) == "" {
			return "", fmt.Errorf("the claims have a digest of %q, which cannot be", label)
		}
		data, ok := v.parts[label]
		if !ok {
			return "", fmt.Errorf("%s was left out", label)
		}
		if sha256.Sum256(data) != digest {
			return "", fmt.Errorf("%s was changed", label)
		}
		expected[label] = true
	}
	for _, key := range v.Claims.Keys {
		if !attest.ValidName(key.Name) || expected[prefixKey+key.Name] {
			return "", fmt.Errorf("the claims name the key %q twice, or it is no name", key.Name)
		}
		expected[prefixKey+key.Name] = true
	}
	for _, label := range []string{labelQuote, labelAudit} {
		if _, not := v.Claims.Absent[label]; !not {
			expected[label] = true
		}
	}
	for label := range expected {
		if v.parts[label] == nil {
			return "", fmt.Errorf("%s was left out", label)
		}
	}
	for _, label := range v.parts.labels() {
		if !expected[label] {
			return "", fmt.Errorf("%s was added", label)
		}
	}
	if len(v.Claims.Absent) > 0 {
		var why []string
		for _, label := range slices.Sorted(maps.Keys(v.Claims.Absent)) {
			why = append(why, label+" ("+v.Claims.Absent[label]+")")
		}
		return "All is there but " + strings.Join(why, ", ") + ".", nil
	}
	return "All is there.", nil
}

// absent is why a part that the claims do not have cannot be checked.
func (v *verifier) absent(label string) error {
	if why := v.Claims.Absent[label]; why != "" {
		return impossible{fmt.Sprintf("There is no %s: %s.", label, why)}
	}
	return impossible{fmt.Sprintf("There is no %s.", label)}
}

// attributes checks that the attestation key signs nothing but what a TPM
// states, and takes it.
func (v *verifier) attributes() (string, error) {
	public, err := exactly[tpm2.TPMTPublic](v.parts[labelAK])
	if err != nil {
		return "", fmt.Errorf("public area: %w", err)
	}
	if v.ak, err = keyOf(public); err != nil {
		return "", err
	}
	a := public.ObjectAttributes
	if !a.Restricted || !a.SignEncrypt || a.Decrypt || !a.FixedTPM || !a.FixedParent || !a.SensitiveDataOrigin {
		return "", errors.New("it could sign what is no statement of a TPM, or leave the TPM")
	}
	name, err := tpm2.ObjectName(public)
	if err != nil {
		return "", err
	}
	v.akName, v.akSigner = name.Buffer, endorsementPrimary(name.Buffer)
	return "It signs nothing but what the TPM states, and stays in it.", nil
}

// endorsementPrimary returns the qualified name of a primary key of the
// endorsement hierarchy (Part 1, section 16): only there are the counts of
// resets and the firmware's version those of the TPM.
func endorsementPrimary(name []byte) []byte {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(tpm2.TPMRHEndorsement)))
	h.Write(name)
	return h.Sum(binary.BigEndian.AppendUint16(nil, uint16(tpm2.TPMAlgSHA256)))
}

// believe takes the statements: first whether the attestation key signed each,
// then what it says.
func (v *verifier) believe() (string, error) {
	v.statements = map[string]*statement{}
	labels := slices.DeleteFunc(v.parts.labels(), func(label string) bool { return !isStatement(label) })
	for _, label := range labels {
		s, err := parseStatement(v.parts[label])
		if err == nil {
			err = s.signedBy(v.ak)
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", label, err)
		}
		v.statements[label] = s
	}
	for _, label := range labels {
		if err := v.statements[label].believe(v.akSigner, v.extraData); err != nil {
			return "", fmt.Errorf("%s: %w", label, err)
		}
	}
	return fmt.Sprintf("The attestation key signed all %d for this question and these claims.", len(labels)), nil
}

// statement returns one that is believed.
func (v *verifier) statement(label string, kind tpm2.TPMST) (*statement, error) {
	s, ok := v.statements[label]
	if !ok {
		return nil, v.absent(label)
	}
	if s.attest.Type != kind {
		return nil, fmt.Errorf("statement of type %#x, expected %#x", uint16(s.attest.Type), uint16(kind))
	}
	return s, nil
}

// key checks that the TPM holds a signing key, and that its certificate is of
// that key.
func (v *verifier) key(claimed Key) (string, error) {
	s, err := v.statement(prefixKey+claimed.Name, tpm2.TPMSTAttestCertify)
	if err != nil {
		return "", err
	}
	info, err := s.attest.Attested.Certify()
	if err != nil {
		return "", err
	}
	public, err := exactly[tpm2.TPMTPublic](s.about)
	if err != nil {
		return "", fmt.Errorf("public area: %w", err)
	}
	name, err := tpm2.ObjectName(public)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(name.Buffer, info.Name.Buffer) {
		return "", errors.New("the TPM's word is on another key")
	}
	key, err := keyOf(public)
	if err != nil {
		return "", err
	}
	if len(claimed.Certificate) > 0 {
		certificate, err := x509.ParseCertificate(claimed.Certificate)
		if err != nil {
			return "", fmt.Errorf("certificate: %w", err)
		}
		if !key.Equal(certificate.PublicKey) {
			return "", errors.New("its certificate is of another key")
		}
	}
	return judgeOrigin(claimed.Origin, public.ObjectAttributes, bytes.Equal(info.QualifiedName.Buffer, endorsementPrimary(name.Buffer)))
}

// judgeOrigin compares where a key is said to come from with what it is.
func judgeOrigin(origin tpm.Origin, a tpm2.TPMAObject, primary bool) (string, error) {
	bound := a.FixedTPM && a.FixedParent && a.SensitiveDataOrigin
	switch {
	case a.Restricted || a.Decrypt || !a.SignEncrypt:
		return "", errors.New("it is no key to sign records with")
	case origin == tpm.OriginImported && !a.FixedTPM && !a.SensitiveDataOrigin:
		return "", impossible{"It is in the TPM, but was made elsewhere: copies of it may be anywhere."}
	case origin == tpm.OriginImported:
		return "", errors.New("it is said to be imported, and the TPM says otherwise")
	case !bound:
		return "", errors.New("it can leave the TPM, or was made elsewhere")
	case primary != (origin == tpm.OriginEndorsement):
		return "", fmt.Errorf("it is of another hierarchy than its origin %q says", origin)
	case primary:
		return "The TPM made it, never lets it out, and makes it again after it is cleared.", nil
	}
	return "The TPM made it and never lets it out.", nil
}

// presented checks that the certificates that came with records are of keys
// that the evidence is about.
func (v *verifier) presented() (string, error) {
	if len(v.options.Certificates) == 0 {
		return "", impossible{"No certificates were given to compare with."}
	}
	for _, certificate := range v.options.Certificates {
		if !slices.ContainsFunc(v.Claims.Keys, func(k Key) bool { return bytes.Equal(k.Certificate, certificate.Raw) }) {
			return "", fmt.Errorf("the certificate of %q is of none of these keys", certificate.Subject.CommonName)
		}
	}
	return "The certificates are those of keys in this TPM.", nil
}

func (v *verifier) program() (string, error) {
	if len(v.options.Programs) == 0 {
		return "", impossible{"No list of released programs was given. The digest is the machine's own word: " + v.Claims.Program.String() + "."}
	}
	if !slices.Contains(v.options.Programs, v.Claims.Program) {
		return "", fmt.Errorf("the program %s is none that was released", v.Claims.Program)
	}
	return "By its own word, the machine runs a released program.", nil
}

// clock checks that the TPM did not go back to an earlier time.
func (v *verifier) clock() (string, error) {
	if len(v.statements) == 0 {
		return "", impossible{"The TPM made no statement."}
	}
	var now *tpm2.TPMSClockInfo
	for _, s := range v.statements {
		c := &s.attest.ClockInfo
		if now == nil {
			now = c
		}
		if c.ResetCount != now.ResetCount || c.RestartCount != now.RestartCount {
			return "", errors.New("statements of before and after a restart are mixed")
		}
	}
	v.State.ResetCount, v.State.RestartCount = now.ResetCount, now.RestartCount
	last := v.options.Last
	switch {
	case last != nil && (now.ResetCount < last.ResetCount || now.ResetCount == last.ResetCount && now.RestartCount < last.RestartCount):
		return "", fmt.Errorf("the TPM was started %d times and had been %d times: it was cleared since, or it is another", now.ResetCount, last.ResetCount)
	case !now.Safe:
		return "", impossible{"The TPM lost power without warning, and does not know yet whether its clock went back."}
	case last == nil:
		return fmt.Sprintf("The TPM was started %d times; there is no earlier count to compare with.", now.ResetCount), nil
	}
	return fmt.Sprintf("The TPM was started %d times, not fewer than before.", now.ResetCount), nil
}
