package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sbid/driver/all"
	"sbid/driver/gt511"
	"sbid/driver/zfm"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sbid.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEmptyFileIsTheDefaults(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "{}\n"} {
		got, err := Load(write(t, text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Defaults(), got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestEveryMemberIsRead(t *testing.T) {
	path := write(t, `
state: state
environment: Pre-Production
ports: 4510-4520
purposes: [Registration, Auth]
origins: ["https://portal.example.org"]
level: L1
provider: {organisation: Example Devices, country: IN, id: EXAMPLE.DP}
keys: {store: tpm, tpm: "unix:/run/tpm"}
certificates:
  device-roots: [device.pem]
  ftm-roots: [/etc/ftm.pem]
  rotate-after: 14d
  acme: {directory: "https://ca/acme/device/directory", ftm-directory: "https://ca/acme/ftm/directory", attestation: "https://ca/att", roots: [tls.pem], token: token}
encryption:
  fetch: {kind: keymanager, url: "https://mosip", application: IDA, reference: IDA-FIR, domain-uri: "https://d", roots: [m.pem], thumbprints: [AB], issuers: [pms.pem], signers: [md.pem],
    token-kind: oauth2, token-url: "https://iam", app-id: ida, client-id: me, secret-file: s}
audit: {max-file: 65536, max-files: 3}
scanners:
  zfm: {ports: [/dev/ttyUSB0], dpi: 508, fast-rate: -1, poll: 200ms, rates: [57600]}
  gt511: {bridges: ["10c4:ea60"], model: C1R}
  usb: {helper: /opt/sbid-usb, uru4000: {dpi: 508, turn: 180}}
roles:
  - {scanner: uru4000@usb:1-2, purposes: [Auth], serial: ABCDEF123456, sub-type: Single}
  - {scanner: "zfm*", one-by-one: true}
  - {scanner: "*", disabled: true}
`)
	dir := filepath.Dir(path)
	want := Config{
		State: filepath.Join(dir, "state"), Environment: "Pre-Production", Ports: "4510-4520",
		Purposes: []string{"Registration", "Auth"}, Origins: []string{"https://portal.example.org"}, Level: "L1",
		Provider: Provider{Organisation: "Example Devices", Country: "IN", ID: "EXAMPLE.DP"},
		Keys:     Keys{Store: "tpm", TPM: "unix:/run/tpm"},
		Certificates: Certificates{
			DeviceRoots: []string{filepath.Join(dir, "device.pem")}, FTMRoots: []string{"/etc/ftm.pem"}, RotateAfter: 14 * 24 * time.Hour,
			ACME: &ACME{
				Directory: "https://ca/acme/device/directory", FTMDirectory: "https://ca/acme/ftm/directory", Attestation: "https://ca/att",
				Roots: []string{filepath.Join(dir, "tls.pem")}, Token: filepath.Join(dir, "token"),
			},
		},
		Encryption: Encryption{Fetch: &Fetch{
			Kind: "keymanager", URL: "https://mosip", Application: "IDA", Reference: "IDA-FIR", DomainURI: "https://d",
			Roots: []string{filepath.Join(dir, "m.pem")}, Thumbprints: []string{"AB"},
			Issuers: []string{filepath.Join(dir, "pms.pem")}, Signers: []string{filepath.Join(dir, "md.pem")},
			TokenKind: "oauth2", TokenURL: "https://iam", AppID: "ida", ClientID: "me", SecretFile: filepath.Join(dir, "s"),
		}},
		Audit: Audit{MaxFile: 65536, MaxFiles: 3},
		Scanners: Scanners{
			ZFM:   zfm.Config{Ports: []string{"/dev/ttyUSB0"}, DPI: 508, FastRate: -1, Poll: 200 * time.Millisecond, Rates: []int{57600}},
			GT511: gt511.Config{Bridges: []string{"10c4:ea60"}, Model: "C1R"},
			USB:   USB{Helper: "/opt/sbid-usb", URU4000: all.Reader{DPI: 508, Turn: 180}},
		},
		Roles: []Role{
			{Scanner: "uru4000@usb:1-2", Purposes: []string{"Auth"}, Serial: "ABCDEF123456", SubType: "Single"},
			{Scanner: "zfm*", OneByOne: true},
			{Scanner: "*", Disabled: true},
		},
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestKeysInFiles(t *testing.T) {
	path := write(t, "keys: {store: file, passphrase: secret}")
	got, err := Load(path)
	if want := (Keys{Store: "file", Passphrase: filepath.Join(filepath.Dir(path), "secret")}); err != nil || got.Keys != want {
		t.Errorf("got %+v, %v; want %+v", got.Keys, err, want)
	}
}

// Whoever mistypes is told where, and nothing starts with half a configuration.
func TestMistakesAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"stat: /x":                                       "stat",
		"keys: {stor: tpm}":                              "stor",
		"scanners: {zfm: {pots: [x]}}":                   "pots",
		"level: L2":                                      `level is "L2"`,
		"environment: Live":                              `environment is "Live"`,
		"keys: {store: usb}":                             `keys.store is "usb"`,
		"purposes: []":                                   "purposes is empty",
		"purposes: [Enrol]":                              `purposes is "Enrol"`,
		"purposes: [Auth]":                               "Auth needs level L1",
		"level: L1\nkeys: {store: file}":                 "keys in files are L0",
		"roles: [{one-by-one: true}]":                    "role without scanner",
		`roles: [{scanner: x, serial: "12"}]`:            "12 to 64 letters",
		`roles: [{scanner: "x*", serial: ABCDEF123456}]`: "can be several",
		"certificates: {rotate-after: 1s}":               "an hour is the least",
		"certificates: {rotate-after: soon}":             "soon",
		"audit: {max-files: 1}":                          "max-files at least 2",
		"encryption: {file: a, fetch: {}}":               "both file and fetch",
		"encryption: {fetch: {kind: ida}}":               `kind is "ida"`,
		"encryption: {fetch: {kind: keymanager, token-kind: oauth2}}": "neither thumbprints nor issuers",
		"certificates: {acme: {directory: x}}":                        "acme.roots is empty",
		acme("attestation: \"https://ca/a\""):                         "acme.directory is empty",
		acme("directory: \"https://ca/d\""):                           "acme.attestation is empty",
		acme("directory: \"http://ca/d\""):                            `acme.directory is "http://ca/d"`,
		acme("attestation: ca"):                                       `acme.attestation is "ca"`,
		acme("ftm-directory: \"https:///d\""):                         `acme.ftm-directory is "https:///d"`,
		acme("directory: d") + "\nkeys: {store: file}":                "keys in a TPM only",
		"provider: {organisation: Example}":                           "without provider.id",
		"ports: \"4600-4501\"":                                        `ports "4600-4501"`,
		"ports: some":                                                 `ports "some"`,
		`origins: ["*"]`:                                              "every web page",
		`origins: ["https://portal.example.org/x"]`:                   "without a path",
		"roles: [{scanner: a, serial: ABCDEF123456}, {scanner: b, serial: ABCDEF123456}]": "given to two scanners",
		"roles: [{scanner: a, purposes: [Auth]}]":                                         "nobody would find",
		"certificates: {ftm-roots: [a.pem]}":                                              "without device-roots",
		"keys: {store: tpm, passphrase: a}":                                               "a TPM needs none",
		fetch("masterdata", "domain-uri"):                                                 "domain-uri is empty",
		fetch("masterdata", "signers"):                                                    "signers is empty",
		fetch("keymanager", "url"):                                                        "fetch.url is empty",
		fetch("keymanager", "token-url"):                                                  "token-url is empty",
		fetch("keymanager", "client-id"):                                                  "client-id is empty",
		fetch("keymanager", "secret-file"):                                                "secret-file is empty",
		fetch("keymanager", "app-id"):                                                     "app-id is empty",
		"a: [":                                                                            "yaml",
		"- a":                                                                             "yaml",
	} {
		_, err := Load(write(t, text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that was named need not exist")
	}
}

// acme is a configuration of an ACME server with members.
func acme(members string) string {
	return "certificates: {acme: {roots: [tls.pem], " + members + "}}"
}

// fetch is a configuration that fetches a certificate, complete but for one member.
func fetch(kind, missing string) string {
	text := "encryption: {fetch: {kind: " + kind + ", token-kind: authmanager, issuers: [i.pem]"
	members := []string{"url: u", "token-url: u", "client-id: c", "secret-file: s", "app-id: a", "domain-uri: d", "signers: [s.pem]"}
	for _, member := range members {
		if name, _, _ := strings.Cut(member, ":"); name != missing {
			text += ", " + member
		}
	}
	return text + "}}"
}

func TestCompleteFetch(t *testing.T) {
	for _, kind := range []string{"keymanager", "masterdata"} {
		if _, err := Load(write(t, fetch(kind, ""))); err != nil {
			t.Error(err)
		}
	}
	if _, err := Load(write(t, fetch("keymanager", "domain-uri"))); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("level: L1\nroles: [{scanner: x}]\n"))
	f.Add([]byte("certificates: {rotate-after: 30d}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := Defaults()
		if c.parse(text) == nil && c.check() != nil {
			t.Errorf("accepted, but not right: %v", c.check())
		}
	})
}
