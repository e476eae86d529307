package tpm

import (
	"encoding/binary"
	"slices"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// A sessionWatch knows the sessions that were started for a command which was
// never sent, because the next session of it could not be had: go-tpm flushes
// sessions when a command fails, but not then.
type sessionWatch struct {
	transport.TPM
	pending []tpm2.TPMHandle
}

const tagSessions = 0x8002 // TPM_ST_SESSIONS: of commands and responses with sessions

func (w *sessionWatch) Send(command []byte) ([]byte, error) {
	response, err := w.TPM.Send(command)
	if err != nil || len(command) < headerSize || len(response) < headerSize || binary.BigEndian.Uint32(response[6:]) != 0 {
		return response, err
	}
	switch code := tpm2.TPMCC(binary.BigEndian.Uint32(command[6:])); {
	case code == tpm2.TPMCCStartAuthSession && len(response) >= headerSize+4:
		w.pending = append(w.pending, tpm2.TPMHandle(binary.BigEndian.Uint32(response[headerSize:])))
	case code == tpm2.TPMCCFlushContext && len(command) >= headerSize+4:
		flushed := tpm2.TPMHandle(binary.BigEndian.Uint32(command[headerSize:]))
		w.pending = slices.DeleteFunc(w.pending, func(h tpm2.TPMHandle) bool { return h == flushed })
	case binary.BigEndian.Uint16(response) == tagSessions:
		// All sessions here are for one command, and end with it. One that
		// only served another's policy is followed by that other's command.
		w.pending = nil
	}
	return response, err
}
