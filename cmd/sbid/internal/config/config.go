// Package config reads the configuration of sbid: one YAML file, in which every
// member has a default that suits a machine with nothing configured.
package config

import (
	"time"

	"sbid/driver/all"
	"sbid/driver/gt511"
	"sbid/driver/v4l2"
	"sbid/driver/zfm"
)

// A Config is what the file says. Its members are written in lower case, with a
// hyphen between words: rotate-after for RotateAfter.
type Config struct {
	State       string   // folder of keys, certificates and the audit log
	Environment string   // SBI env: Staging, Developer, Pre-Production or Production
	Ports       string   // like 4501-4600
	Purposes    []string // Registration, Auth: an endpoint for each
	Origins     []string // web origins whose pages may use the scanners
	Level       string   // certification: L0 or L1

	Provider     Provider
	Keys         Keys
	Certificates Certificates
	Encryption   Encryption
	Audit        Audit
	Scanners     Scanners
	Roles        []Role
}

// Provider is the device provider: whose devices these are.
type Provider struct {
	Organisation string // O of the certificates, and deviceProvider
	Country      string // C of the certificates; may be empty
	ID           string // deviceProviderId
}

// Keys says where the signing keys live.
type Keys struct {
	Store      string // tpm, or file for development
	TPM        string // as tpm.Config.Device; empty: the machine's
	Passphrase string // file with the passphrase of key files; empty: one that is made in the state folder
}

// Certificates says how keys come by their certificates.
type Certificates struct {
	DeviceRoots []string // files: what device certificates must lead to
	FTMRoots    []string // files: what the FTM key's certificate must lead to
	RotateAfter time.Duration
	ACME        *ACME // nil: requests and certificates go by file
}

// ACME names the provider's services.
type ACME struct {
	Directory    string   // URL of the ACME directory for devices
	FTMDirectory string   // URL of that for the FTM key; empty: its certificate goes by file
	Attestation  string   // URL of the attestation CA
	Roots        []string // files: the only TLS roots that all three may lead to
	Token        string   // file with the one-time token of a machine's first attestation
}

// Encryption says where the certificate comes from that auth captures are
// encrypted to: from a file, or from a service.
type Encryption struct {
	File  string
	Fetch *Fetch
}

// Fetch names a service of MOSIP that hands the certificate out.
type Fetch struct {
	Kind        string   // keymanager (also of IDA and of the compliance toolkit) or masterdata
	URL         string   // of the call itself
	Application string   // applicationId, like IDA
	Reference   string   // referenceId, like IDA-FIR
	DomainURI   string   // for masterdata
	Signers     []string // files: whose answers are taken, for masterdata
	Roots       []string // files: TLS roots; empty: those of the system

	// Which certificates are taken: those with one of these SHA-256 thumbprints in
	// hex, or issued by one of these certificates. One of the two must be given.
	Thumbprints []string
	Issuers     []string // files

	TokenKind  string // oauth2, or authmanager
	TokenURL   string
	AppID      string // for authmanager
	ClientID   string
	SecretFile string // mode 0600
}

// Audit bounds the audit log.
type Audit struct {
	MaxFile  int64 // bytes of one file
	MaxFiles int
}

// Scanners configures what drivers cannot find out by themselves.
type Scanners struct {
	ZFM   zfm.Config
	GT511 gt511.Config
	V4L2  v4l2.Config
	USB   USB
}

// USB configures the program that drives USB scanners.
type USB struct {
	Disabled bool
	Helper   string // path of sbid-usb; empty: beside sbid
	URU4000  all.Reader
	NB1010   all.Reader
}

// A Role makes devices of scanners: the first that fits a scanner decides. One
// that no role fits has the role that its abilities suggest.
type Role struct {
	// Scanner is what "sbid devices" or "sbid doctor" call it, like
	// uru4000@usb:1-2; with * at its end it fits whatever begins so.
	Scanner  string
	Disabled bool
	Purposes []string // Registration, Auth; empty: those that are served
	OneByOne bool     // a single-finger scanner serves slaps, finger after finger
	Serial   string   // serialNo as printed on the scanner; empty: the maker's, or one of this machine
	SubType  string   // deviceSubType; empty: by what the scanner is
}

// Defaults returns the configuration of an empty file.
func Defaults() Config {
	return Config{
		State:        defaultState(),
		Environment:  "Staging",
		Ports:        "4501-4600",
		Purposes:     []string{"Registration"},
		Level:        "L0",
		Keys:         Keys{Store: "tpm"},
		Certificates: Certificates{RotateAfter: 30 * 24 * time.Hour},
		Audit:        Audit{MaxFile: 4 << 20, MaxFiles: 16},
	}
}
