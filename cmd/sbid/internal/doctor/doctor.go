// Package doctor tells a person what is there and what is wrong, with what to do
// about it: one line for each thing, one screen in all.
package doctor

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"sbid/cmd/sbid/internal/station"
	"sbid/sbi"
)

// A Severity says how bad a finding is.
type Severity string

const (
	OK      Severity = "ok"
	Note    Severity = "note"    // good to know
	Warning Severity = "warning" // works, and will not for ever or not for everybody
	Fault   Severity = "fault"   // something does not work
)

// A Finding is one thing the doctor looked at.
type Finding struct {
	Severity Severity `json:"severity"`
	Subject  string   `json:"subject"` // what it is about: keys, scanner, port ...
	Text     string   `json:"text"`
	Advice   string   `json:"advice,omitempty"` // what to do; empty if nothing
}

// Worst returns the highest severity among findings.
func Worst(findings []Finding) Severity {
	order := []Severity{OK, Note, Warning, Fault}
	worst := OK
	for _, f := range findings {
		if slices.Index(order, f.Severity) > slices.Index(order, worst) {
			worst = f.Severity
		}
	}
	return worst
}

// Print writes findings as a table, with the advice below what it is about.
func Print(w io.Writer, findings []Finding) error {
	mark := map[Severity]string{OK: "  ok ", Note: "  -- ", Warning: " warn", Fault: "FAULT"}
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s  %-9s %s\n", mark[f.Severity], f.Subject, f.Text)
		if f.Advice != "" {
			fmt.Fprintf(&b, "%17s-> %s\n", "", f.Advice)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Examine judges what a station says of itself.
func Examine(s station.Status, now time.Time) []Finding {
	findings := []Finding{service(s), keys(s)}
	if s.FTM != nil {
		findings = append(findings, certificate("ftm key", "the trust module's key", *s.FTM, now)...)
	}
	if !s.Roots {
		findings = append(findings, Finding{
			Warning, "roots", "no roots are configured: a certificate of any issuer is accepted",
			"name the files of the provider's roots in the configuration: certificates: {device-roots: [FILE]}",
		})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Drivers)) {
		findings = append(findings, Finding{Warning, "driver", name + ": " + s.Drivers[name].Text, driverAdvice(s.Drivers[name])})
	}
	if len(s.Scanners) == 0 {
		findings = append(findings, Finding{
			Fault, "scanner", "no scanner was found",
			"plug one in; a serial module has to be named in the configuration (scanners: zfm or gt511)",
		})
	}
	for _, scanner := range s.Scanners {
		findings = append(findings, examineScanner(scanner, now)...)
	}
	if s.Auth != nil {
		findings = append(findings, encryption(*s.Auth, now)...)
	}
	if s.Audit.Text != "" {
		findings = append(findings, Finding{Warning, "audit", s.Audit.Text, "export and verify the log: sbid audit verify"})
	}
	if len(s.Waiting) > 0 {
		findings = append(findings, Finding{
			Note, "requests", "certificates are awaited for " + strings.Join(s.Waiting, ", "),
			"import what the provider sends back: sbid provision --import FILE",
		})
	}
	return findings
}

func service(s station.Status) Finding {
	if !s.Running {
		return Finding{
			Fault, "service", fmt.Sprintf("sbid %s is not running: no client finds a scanner", s.Version),
			"start it: systemctl start sbid, or sbid run",
		}
	}
	var where []string
	for _, purpose := range []sbi.Purpose{sbi.Registration, sbi.Auth} {
		if url := s.Endpoints[purpose]; url != "" {
			where = append(where, fmt.Sprintf("%s on %s", purpose, url))
		}
	}
	return Finding{OK, "service", fmt.Sprintf("sbid %s runs at level %s: %s", s.Version, s.Level, strings.Join(where, ", ")), ""}
}

func keys(s station.Status) Finding {
	switch {
	case s.Keys.Trouble.Text != "":
		return Finding{
			Fault, "keys", s.Keys.Trouble.Text,
			"switch the TPM on in the firmware setup, and let sbid's user open its device (on Linux by the group tss); sbid goes on by itself as soon as it can",
		}
	case s.Keys.Store == "file":
		return Finding{
			Warning, "keys", "keys are in files in " + s.Keys.Where + ": for development only, whoever copies them can sign as this machine",
			"switch the TPM on in the firmware setup, set keys: {store: tpm}, and provision again",
		}
	}
	return Finding{OK, "keys", "keys are in the TPM: " + s.Keys.Where, ""}
}

// driverAdvice is for a driver that cannot work at all.
func driverAdvice(t station.Trouble) string {
	if t.Kind == "permission" {
		return advice[t.Kind]
	}
	return "install what it lacks: libusb-1.0-0 and the program sbid-usb beside sbid for USB scanners, the kernel's module for cameras; " +
		"a USB scanner that is not used: scanners: {usb: {disabled: true}}"
}

// advice for a kind of trouble with a scanner.
var advice = map[string]string{
	"held":       "close that program, or keep it from starting; sbid takes the scanner by itself within ten seconds",
	"permission": "let sbid's user open the device node: add the user to the node's group, or write a udev rule for this vendor and product with MODE and GROUP; then plug the scanner in again",
	"removed":    "plug it in",
	"tampered":   "take it out of service and call the provider",
	"broken":     "unplug it, wait five seconds, plug it in again; if it stays so, replace it",
	"not ready":  "wait a few seconds; if it stays so, unplug it and plug it in again",
}

func examineScanner(s station.ScannerStatus, now time.Time) []Finding {
	name := strings.TrimSpace(s.Make + " " + s.Model)
	text := fmt.Sprintf("%s (%s)", name, s.ID)
	f := Finding{OK, "scanner", text + " is " + s.State, ""}
	if s.Trouble.Text != "" {
		f = Finding{Fault, "scanner", text + ": " + s.Trouble.Text, advice[s.Trouble.Kind]}
	}
	findings := []Finding{f}
	if len(s.Devices) == 0 {
		findings = append(findings, Finding{Note, "device", "no role of the configuration makes a device of it", ""})
	}
	for _, d := range s.Devices {
		what := fmt.Sprintf("%s %s, %s", d.Purpose, d.SubType, d.Serial)
		findings = append(findings, certificate("device", what, d.Certificate, now)...)
	}
	return findings
}

// A certificate is worth a warning in the last third of its life, and in its last
// month if it lives longer than three.
const month = 30 * 24 * time.Hour

// certificate judges the certificate of a key.
func certificate(subject, what string, c station.CertificateStatus, now time.Time) []Finding {
	if c.Trouble.Text != "" {
		advice := map[string]string{
			"not provisioned": "get it a key and a certificate: sbid provision",
			"key lost":        "get it a new key and certificate: sbid provision",
			"expired":         "check the network and the clock, then: sbid rotate; or renew by file: sbid provision --requests FOLDER",
			"not yet valid":   "set the clock",
		}[c.Trouble.Kind]
		return []Finding{{Fault, subject, what + ": " + c.Trouble.Text, advice}}
	}
	text := fmt.Sprintf("%s: certified by %s until %s", what, cmp.Or(c.Issuer, "an unnamed authority"), c.Expires.Format(time.DateOnly))
	var findings []Finding
	if c.Imported {
		findings = append(findings, Finding{Warning, subject, text + "; its key came from outside and exists elsewhere, too", "replace it by one made here: sbid rotate"})
	}
	if left := c.Expires.Sub(now); left < min(month, c.Expires.Sub(c.Issued)/3) {
		advice := "renew it by file: sbid provision --requests FOLDER"
		if c.Renews {
			advice = "it is renewed by itself when the server can be reached; if it is not, check the network, then: sbid rotate"
		}
		findings = append(findings, Finding{Warning, subject, fmt.Sprintf("%s, %s from now", text, span(left)), advice})
	}
	if findings == nil {
		findings = []Finding{{OK, subject, text, ""}}
	}
	return findings
}

// span says how long something lasts, in the unit that tells most.
func span(d time.Duration) string {
	if d < 48*time.Hour {
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func encryption(c station.CertificateStatus, now time.Time) []Finding {
	if c.Trouble.Text != "" {
		return []Finding{{
			Fault, "mosip", c.Trouble.Text,
			"no capture for authentication works: get MOSIP's certificate from the file or the server that the configuration names (encryption), " +
				"and check the network, the client's secret and the thumbprints or issuers",
		}}
	}
	findings := certificate("mosip", "auth captures are encrypted to "+c.Thumbprint[:min(16, len(c.Thumbprint))], c, now)
	for i, f := range findings {
		switch {
		case f.Severity != Warning:
		case c.Renews:
			findings[i].Advice = "it is fetched again by itself; if it is not, MOSIP has to renew its key"
		default:
			findings[i].Advice = "replace the file by MOSIP's new certificate"
		}
	}
	return findings
}
