package remote

import (
	"context"
	"errors"

	"sbid/driver"
)

// kinds are the errors that mean something above a driver. The first that an
// error is, tells it: those that wrap another come before it.
var kinds = []struct {
	name string
	err  error
}{
	{"removed", driver.ErrRemoved},
	{"held", driver.ErrHeld},
	{"permission", driver.ErrPermission},
	{"not ready", driver.ErrNotReady},
	{"tampered", driver.ErrTampered},
	{"broken", driver.ErrBroken},
	{"unavailable", driver.ErrUnavailable},
	{"canceled", context.Canceled},
}

// A failure is an error on its way.
type failure struct {
	Kind string `json:"kind,omitempty"` // one of kinds; "" is none of them
	Text string `json:"text"`
}

func fail(err error) *failure {
	if err == nil {
		return nil
	}
	f := &failure{Text: err.Error()}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			f.Kind = k.name
			break
		}
	}
	return f
}

// err is the error again, in words and meaning.
func (f *failure) err() error {
	if f == nil {
		return nil
	}
	e := &remoteError{text: f.Text}
	for _, k := range kinds {
		if k.name == f.Kind {
			e.kind = k.err
		}
	}
	return e
}

type remoteError struct {
	text string
	kind error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.kind }
