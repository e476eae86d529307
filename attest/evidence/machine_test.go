//go:build linux

package evidence

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"
	"go.uber.org/goleak"

	"sbid/attest/internal/akcert"
	"sbid/attest/tpm"
	"sbid/attest/tpm/tpmtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const serial = "KIOSK0000001"

// An authority vouches for attestation keys, and is a device provider too.
type authority struct {
	root *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key}
	template := &x509.Certificate{IsCA: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "Authority"}}
	a.root = a.issue(t, key.Public(), template)
	return a
}

func (a *authority) issue(t testing.TB, public crypto.PublicKey, template *x509.Certificate) *x509.Certificate {
	t.Helper()
	template.SerialNumber, template.BasicConstraintsValid = big.NewInt(1), true
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := a.root
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// vouch issues the certificate of an attestation key.
func (a *authority) vouch(t testing.TB, ak tpm.AttestationKey, edit func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](ak.Public)
	if err != nil {
		t.Fatal(err)
	}
	key, err := tpm2.Pub(*public)
	if err != nil {
		t.Fatal(err)
	}
	names := tpmtest.Names
	names.Permanent = []string{serial}
	extension, err := names.Extension(true)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{akcert.AKUsage},
		ExtraExtensions:    []pkix.Extension{extension},
	}
	if edit != nil {
		edit(template)
	}
	return a.issue(t, key, template)
}

// A machine is a TPM with keys and certificates, and who trusts it.
type machine struct {
	device    string
	store     *tpm.Store
	maker     *tpmtest.Manufacturer
	authority *authority
	subject   Subject
	options   Options
}

// newMachine has a device key, an FTM key, a firmware that started with Secure
// Boot, and a kernel that measured a file.
func newMachine(t testing.TB) *machine {
	t.Helper()
	return newMachineBooting(t, true)
}

func newMachineBooting(t testing.TB, secure bool) *machine {
	t.Helper()
	m := &machine{device: tpmtest.Start(t), maker: tpmtest.NewManufacturer(t), authority: newAuthority(t)}
	var err error
	if m.store, err = tpm.Open(t.Context(), tpm.Config{Device: m.device, Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.store.Close(); err != nil {
			t.Error(err)
		}
	})
	m.endorse(t)
	ak, err := m.store.AttestationKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	m.subject = Subject{
		Nonce: []byte("0123456789abcdef"), Time: now, Name: "sbid", Version: "1.2.3", Program: sha256.Sum256([]byte("program")),
		Checkpoint:     []byte("checkpoint"),
		AKCertificates: []*x509.Certificate{m.authority.vouch(t, ak, nil)},
		Machine: Machine{
			Host:     Host{SecureBoot: "enabled", Lockdown: "integrity", IMA: "1"},
			EventLog: m.boot(t, secure),
			IMA:      m.measure(t, "file"),
		},
	}
	for name, origin := range map[string]tpm.Origin{"device.slap.1": tpm.OriginStorage, tpm.FTMKey: tpm.OriginEndorsement} {
		signer, err := m.store.Create(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		certificate := m.authority.issue(t, signer.Public(), &x509.Certificate{Subject: pkix.Name{CommonName: serial}})
		m.subject.Keys = append(m.subject.Keys, Key{Name: name, Serial: serial, Origin: origin, Certificate: certificate.Raw})
		m.options.Certificates = append(m.options.Certificates, certificate)
	}
	m.options.Nonce, m.options.Now = m.subject.Nonce, now
	m.options.EKRoots = []*x509.Certificate{m.maker.Root}
	m.options.AKRoots = []*x509.Certificate{m.authority.root}
	m.options.Programs = []Digest{m.subject.Program}
	return m
}

func (m *machine) collect(t testing.TB) []byte {
	t.Helper()
	document, err := Collect(t.Context(), m.store, m.subject)
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// direct sends commands of the test's own to the TPM.
func (m *machine) direct(t testing.TB, do func(transport.TPM) error) {
	t.Helper()
	direct, err := linuxudstpm.Open(strings.TrimPrefix(m.device, "unix:"))
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close() // the TPM serves one connection at a time
	if err := do(direct); err != nil {
		t.Fatal(err)
	}
}

// endorse puts a manufacturer's certificate where TPMs carry it.
func (m *machine) endorse(t testing.TB) {
	t.Helper()
	e, err := m.store.Endorsement(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.write(t, 0x01C00002, m.maker.Endorse(t, 2, e.Public, nil).Raw)
	m.write(t, 0x01C00100, m.maker.Authority.Raw)
}

func (m *machine) write(t testing.TB, index tpm2.TPMHandle, contents []byte) {
	t.Helper()
	owner := tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	m.direct(t, func(direct transport.TPM) error {
		public := tpm2.TPMSNVPublic{
			NVIndex: index, NameAlg: tpm2.TPMAlgSHA256, DataSize: uint16(len(contents)),
			Attributes: tpm2.TPMANV{OwnerWrite: true, AuthRead: true, NoDA: true, NT: tpm2.TPMNTOrdinary},
		}
		if _, err := (tpm2.NVDefineSpace{AuthHandle: owner, PublicInfo: tpm2.New2B(public)}).Execute(direct); err != nil {
			return err
		}
		name, err := tpm2.NVName(&public)
		if err != nil {
			return err
		}
		_, err = tpm2.NVWrite{
			AuthHandle: owner, NVIndex: tpm2.NamedHandle{Handle: index, Name: *name}, Data: tpm2.TPM2BMaxNVBuffer{Buffer: contents},
		}.Execute(direct)
		return err
	})
}

func (m *machine) extend(t testing.TB, pcr int, digest []byte) {
	t.Helper()
	m.direct(t, func(direct transport.TPM) error {
		_, err := tpm2.PCRExtend{
			PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)},
			Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: digest}}},
		}.Execute(direct)
		return err
	})
}

// An event is what firmware writes into its log.
type event struct {
	pcr, kind uint32
	data      []byte
}

// secureBootEvent is the measurement of the UEFI variable SecureBoot.
func secureBootEvent(on bool) event {
	name := utf16.Encode([]rune("SecureBoot"))
	data := make([]byte, 16, 64)
	data = binary.LittleEndian.AppendUint64(data, uint64(len(name)))
	data = binary.LittleEndian.AppendUint64(data, 1)
	for _, unit := range name {
		data = binary.LittleEndian.AppendUint16(data, unit)
	}
	value := byte(0)
	if on {
		value = 1
	}
	return event{secureBootPCR, eventVariableConfig, append(data, value)}
}

// writeLog writes a log with SHA-1 and SHA-256 digests of the events' data.
func writeLog(events ...event) []byte {
	number := binary.LittleEndian.AppendUint32
	id := number(bytes.Clone(specIDSignature), 0)
	id = append(id, 0, 2, 0, 2)
	id = number(id, 2)
	for _, algorithm := range []struct{ id, size uint16 }{{4, 20}, {algSHA256, 32}} {
		id = binary.LittleEndian.AppendUint16(id, algorithm.id)
		id = binary.LittleEndian.AppendUint16(id, algorithm.size)
	}
	id = append(id, 0)
	log := append(number(number(nil, 0), eventNoAction), make([]byte, 20)...)
	log = append(number(log, uint32(len(id))), id...)
	for _, e := range events {
		digest := sha256.Sum256(e.data)
		log = number(number(number(log, e.pcr), e.kind), 2)
		log = append(binary.LittleEndian.AppendUint16(log, 4), make([]byte, 20)...)
		log = append(binary.LittleEndian.AppendUint16(log, algSHA256), digest[:]...)
		log = append(number(log, uint32(len(e.data))), e.data...)
	}
	return log
}

// boot measures as firmware does, and returns its log.
func (m *machine) boot(t testing.TB, secure bool) []byte {
	t.Helper()
	events := []event{
		{0xFFFFFFFF, eventNoAction, []byte("of no register")},
		{0, 0x8, []byte("firmware")},
		secureBootEvent(secure),
		{secureBootPCR, 0x4, []byte{0, 0, 0, 0}},
		{4, 0x12345678, []byte("a vendor's own")},
	}
	for _, e := range events {
		if e.kind != eventNoAction {
			digest := sha256.Sum256(e.data)
			m.extend(t, int(e.pcr), digest[:])
		}
	}
	return writeLog(events...)
}
