package attest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseCertificatesForms(t *testing.T) {
	pki := newPKI(t)
	text := pemOf(pki.device)
	crlf := bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
	bare := base64.StdEncoding.EncodeToString(pki.device.Raw)
	for name, tt := range map[string]struct {
		in   []byte
		want int
	}{
		"PEM":                       {text, 1},
		"PEM with CRLF":             {crlf, 1},
		"PEM without last line end": {bytes.TrimSpace(text), 1},
		"PEM after blank lines":     {append([]byte("\n \n"), text...), 1},
		"PEM chain":                 {pemOf(pki.device, pki.provider.cert, pki.root.cert), 3},
		"DER":                       {pki.device.Raw, 1},
		"base64":                    {[]byte(bare), 1},
		"base64 in lines":           {[]byte(" " + bare[:64] + "\r\n" + bare[64:] + "\n"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			certs, err := ParseCertificates(tt.in)
			if err != nil || len(certs) != tt.want || !certs[0].Equal(pki.device) {
				t.Errorf("got %d certificates, %v", len(certs), err)
			}
		})
	}
}

func TestParseCertificatesRejects(t *testing.T) {
	pki := newPKI(t)
	text := pemOf(pki.device)
	for name, in := range map[string][]byte{
		"nothing":       nil,
		"blank":         []byte(" \n"),
		"words":         []byte("not found"),
		"cut PEM":       text[:len(text)/2],
		"cut DER":       pki.device.Raw[:len(pki.device.Raw)-1],
		"two DER":       append(bytes.Clone(pki.device.Raw), pki.device.Raw...),
		"rest behind":   append(bytes.Clone(text), "rest"...),
		"key":           bytes.ReplaceAll(text, []byte("CERTIFICATE"), []byte("PRIVATE KEY")),
		"base64 of few": []byte("AAAA"),
	} {
		if certs, err := ParseCertificates(in); err == nil || certs != nil {
			t.Errorf("%s: got %d certificates, %v", name, len(certs), err)
		}
	}
}

// What parses can be written and parsed again to the same certificates.
func FuzzParseCertificates(f *testing.F) {
	pki := newPKI(f)
	f.Add(pemOf(pki.device, pki.root.cert))
	f.Add(pki.device.Raw)
	f.Add([]byte(vectorCertificate))
	f.Fuzz(func(t *testing.T, b []byte) {
		certs, err := ParseCertificates(b)
		if err != nil {
			return
		}
		again, err := ParseCertificates(pemOf(certs...))
		if err != nil || len(again) != len(certs) || !again[0].Equal(certs[0]) {
			t.Errorf("%d certificates became %d, %v", len(certs), len(again), err)
		}
	})
}

func TestReadCertificatesNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"garbage.pem": []byte("\x00\x01"),
		"large.pem":   bytes.Repeat([]byte("\n"), maxFileSize+1),
	} {
		writeFile(t, dir, name, data)
		if _, err := ReadCertificates(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadCertificates(filepath.Join(dir, "absent.pem")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestCheckOrganisation(t *testing.T) {
	pki := newPKI(t)
	for _, name := range []string{"Acme", "ACME"} {
		if err := CheckOrganisation(pki.device, name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "Acme Ltd", "Acm"} {
		if err := CheckOrganisation(pki.device, name); !errors.Is(err, ErrOrganisation) {
			t.Errorf("%q: %v", name, err)
		}
	}
	nameless := certificate(t, "x", otherKey().Public(), pki.provider, nil, noOrganisation)
	if err := CheckOrganisation(nameless, ""); !errors.Is(err, ErrOrganisation) {
		t.Errorf("no O equals no name: %v", err)
	}
	several := certificate(t, "x", otherKey().Public(), pki.provider, nil, twoOrganisations)
	if got := Organisation(several); got != "First" {
		t.Errorf("of several O %q counts", got)
	}
}
