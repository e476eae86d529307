package tpm

import (
	"encoding/binary"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// How long a TPM that is not ready is asked again.
const (
	firstWait   = time.Millisecond
	longestWait = 100 * time.Millisecond
	busyLimit   = 30 * time.Second
)

// A patient sends commands to a TPM and repeats those that the TPM asks to
// repeat. The very same bytes go out again: a command that was not carried out
// has not used up its session's nonce. It is a transport.TPM.
type patient struct {
	send func(command []byte) ([]byte, error)
	// done ends waiting, though not sending: whatever was begun must be able
	// to clean up.
	done <-chan struct{}
	// start is whether this program has to start the TPM, as a kernel does.
	start bool
}

func (p *patient) Send(command []byte) ([]byte, error) {
	started := false
	deadline := time.Now().Add(busyLimit)
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		response, err := p.send(command)
		if err != nil || len(response) < headerSize {
			return response, err
		}
		switch code := tpm2.TPMRC(binary.BigEndian.Uint32(response[6:])); code {
		case tpm2.TPMRCInitialize:
			if !p.start || started {
				return response, nil
			}
			started = true
			if _, err := p.send(startup); err != nil {
				return nil, err
			}
		case tpm2.TPMRCRetry, tpm2.TPMRCTesting, tpm2.TPMRCYielded, tpm2.TPMRCNVRate, tpm2.TPMRCNVUnavailable:
			// Giving up is a response as well: go-tpm then flushes the session
			// that it started for the command.
			if time.Now().Add(wait).After(deadline) || !pause(p.done, wait) {
				return response, nil
			}
		default:
			return response, nil
		}
	}
}

// startup is TPM2_Startup(TPM_SU_CLEAR).
var startup = []byte{0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0}

// pause waits, and reports false when done came first.
func pause(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return false
	case <-timer.C:
		return true
	}
}
