package provision

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"time"

	"sbid/attest"
)

// How long to wait after an attempt that failed: a day while there is time, an
// hour when there is not.
const (
	retry       = 24 * time.Hour
	retryUrgent = time.Hour
)

// A Due says what time has to do with a key.
type Due struct {
	// Expires is the end of the certificate, zero if there is none.
	Expires time.Time
	// Warn: the certificate ends soon, or has ended; a person should know.
	Warn bool
	// Rotate: it is time for Rotate. A device key is also due when it is lost, or its
	// certificate is.
	Rotate bool
	// Retry is how long to wait after a Rotate that failed. It differs a little
	// from one certificate to the next, so that the devices of a country do not
	// come all at once to a server that was away.
	Retry time.Duration
}

// Due says whether a key has to be rotated: by its age, or because its
// certificate ends soon. The FTM key has no age, and one that is lost needs a
// person.
func (s *Set) Due(name string) Due { return s.due(s.holder(name), name) }

func (s *Set) due(h holder, name string) Due {
	if h.current == nil {
		lost := errors.Is(h.reason, attest.ErrKeyLost) || errors.Is(h.reason, ErrDamaged)
		return Due{Warn: h.reason != nil, Rotate: lost && name != FTM, Retry: retryUrgent}
	}
	leaf, now := h.current.leaf(), s.config.Now()
	warn := min(s.config.Warn, leaf.NotAfter.Sub(leaf.NotBefore)/3)
	due := Due{Expires: leaf.NotAfter, Warn: !now.Before(leaf.NotAfter.Add(-warn)), Retry: retry}
	old := name != FTM && !now.Before(h.current.record.Made.Add(s.config.RotateAfter))
	due.Rotate = due.Warn || old
	if due.Warn {
		due.Retry = retryUrgent
	}
	due.Retry += spread(leaf, due.Retry/10)
	return due
}

// spread returns a time from 0 to limit that is the certificate's own.
func spread(leaf *x509.Certificate, limit time.Duration) time.Duration {
	sum := sha256.Sum256(leaf.Raw)
	return limit / 1000 * time.Duration(binary.BigEndian.Uint16(sum[:])%1001)
}

// A Status is what there is to know about a key.
type Status struct {
	Name, Serial string
	Key          string    // in the key store
	Origin       Origin    // Imported: level L0 at best
	Made         time.Time // when the key was made, or imported
	// Certificate is that of the key, nil if no key can be used.
	Certificate *x509.Certificate
	// Requested: a key waits for the certificate that was asked for in a file.
	Requested bool
	Due
	// Err is what Device fails with, nil if it does not.
	Err error
}

// Status says how a key is. Where none can be used, it is about the one that
// was made last.
func (s *Set) Status(name string) Status {
	h := s.holder(name)
	st := Status{Name: name, Requested: h.latest.pending(), Due: s.due(h, name), Err: h.usable(s.config.Now())}
	r := h.latest
	if h.current != nil {
		r = h.current.record
		st.Certificate = h.current.leaf()
	}
	if r.Name != "" {
		st.Serial, st.Key, st.Origin, st.Made = r.Serial, r.key(), r.Origin, r.Made
	}
	return st
}
