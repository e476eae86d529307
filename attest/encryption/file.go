package encryption

import (
	"context"
	"crypto/x509"
	"time"

	"sbid/attest"
)

// A File is the path of a certificate, in any form that ParseCertificates
// reads. It is looked at every few seconds; of several certificates the first
// counts.
type File string

// Fetch reads the file.
func (f File) Fetch(context.Context) (*x509.Certificate, error) {
	certs, err := attest.ReadCertificates(string(f))
	if err != nil {
		return nil, err
	}
	return certs[0], nil
}

func (File) every() time.Duration { return 10 * time.Second }
