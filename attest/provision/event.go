package provision

import "time"

// A Kind says what happened to a key.
type Kind string

// What happens to keys.
const (
	KeyMade      Kind = "key made"
	KeyImported  Kind = "key imported"
	Requested    Kind = "certificate requested" // in a file
	InUse        Kind = "certificate in use"
	Refused      Kind = "certificate refused" // or not got at all; Err says why
	Unusable     Kind = "key unusable"        // found so when it was loaded; Err says why
	KeyDestroyed Kind = "key destroyed"
	LeftBehind   Kind = "left behind" // a key or file that could not be removed; Err says why
)

// An Event is something that happened to a key. There is no secret in it.
type Event struct {
	Time       time.Time
	Kind       Kind
	Name       string // of the device, or FTM; empty if it concerns none
	Key        string // in the key store
	Serial     string
	Thumbprint string // of the certificate, as attest.Thumbprint; only with InUse
	Err        error
}

func (s *Set) changed(e Event) {
	e.Time = s.config.Now()
	s.config.Changed(e)
}

// about begins an event that concerns a generation.
func (r record) about(kind Kind, err error) Event {
	return Event{Kind: kind, Name: r.Name, Key: r.key(), Serial: r.Serial, Err: err}
}
