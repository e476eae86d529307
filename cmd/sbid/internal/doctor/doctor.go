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
	Severity Severity
	Subject  string // what it is about: keys, scanner, port ...
	Text     string
	Advice   string // what to do; empty if nothing
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
		findings = append(findings, certificate("ftm key", "the trust module's key", *s.FTM, now))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Drivers)) {
		findings = append(findings, Finding{Warning, "driver", name + ": " + s.Drivers[name].Text, ""})
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
		findings = append(findings, encryption(*s.Auth, now))
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
		return Finding{Fault, "keys", s.Keys.Trouble.Text, ""}
	case s.Keys.Store == "file":
		return Finding{
			Warning, "keys", "keys are in files in " + s.Keys.Where + ": for development only, whoever copies them can sign as this machine",
			"switch the TPM on in the firmware setup, set keys: {store: tpm}, and provision again",
		}
	}
	return Finding{OK, "keys", "keys are in the TPM: " + s.Keys.Where, ""}
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
		findings = append(findings, certificate("device", what, d.Certificate, now))
	}
	return findings
}

const soon = 30 * 24 * time.Hour // before its end a certificate is worth a warning

// certificate judges the certificate of a key.
func certificate(subject, what string, c station.CertificateStatus, now time.Time) Finding {
	if c.Trouble.Text != "" {
		advice := map[string]string{
			"not provisioned": "get it a key and a certificate: sbid provision",
			"key lost":        "get it a new key and certificate: sbid provision",
			"expired":         "check the network and the clock, then: sbid rotate; or renew by file: sbid provision --requests FOLDER",
			"not yet valid":   "set the clock",
		}[c.Trouble.Kind]
		return Finding{Fault, subject, what + ": " + c.Trouble.Text, advice}
	}
	text := fmt.Sprintf("%s: certified by %s until %s", what, cmp.Or(c.Issuer, "an unnamed authority"), c.Expires.Format(time.DateOnly))
	if c.Imported {
		return Finding{Warning, subject, text + "; its key came from outside and exists elsewhere, too", "replace it by one made here: sbid rotate"}
	}
	if left := c.Expires.Sub(now); left < soon {
		return Finding{
			Warning, subject, fmt.Sprintf("%s, %d days from now", text, int(left.Hours()/24)),
			"it is renewed by itself when the server can be reached; by file: sbid provision --requests FOLDER",
		}
	}
	return Finding{OK, subject, text, ""}
}

func encryption(c station.CertificateStatus, now time.Time) Finding {
	if c.Trouble.Text != "" {
		return Finding{Fault, "mosip", c.Trouble.Text, ""}
	}
	f := certificate("mosip", "auth captures are encrypted to "+c.Thumbprint[:min(16, len(c.Thumbprint))], c, now)
	if f.Severity == Warning {
		f.Advice = "it is fetched again by itself; from a file: replace the file"
	}
	return f
}
