package tpm

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/windowstpm"
)

// DefaultDevice is the TPM of the machine behind TPM Base Services.
const DefaultDevice = "tbs"

func dialSystem(device string) (*chip, error) {
	if device != DefaultDevice {
		return nil, fmt.Errorf("TPM device %q: expected %s, unix:PATH or tcp:HOST:PORT", device, DefaultDevice)
	}
	return &chip{wire: new(services)}, nil
}

// services is TPM Base Services, which manages resources for each context. The
// context opens with the first command, and again after an error.
type services struct{ tpm transport.TPMCloser }

func (s *services) send(command []byte) ([]byte, error) {
	if s.tpm == nil {
		tpm, err := windowstpm.Open()
		if err != nil {
			return nil, unreachable(err)
		}
		s.tpm = tpm
	}
	response, err := s.tpm.Send(command)
	if err != nil {
		return nil, errors.Join(unreachable(err), s.close())
	}
	return response, nil
}

// interrupt does nothing: a command that the chip works on is left to end.
func (s *services) interrupt() {}

func (s *services) close() error {
	if s.tpm == nil {
		return nil
	}
	err := s.tpm.Close()
	s.tpm = nil
	return err
}
