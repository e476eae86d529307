//go:build !windows

package tpm

import (
	"errors"
	"regexp"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
)

// DefaultDevice is the TPM of the machine behind the kernel's resource manager.
const DefaultDevice = "/dev/tpmrm0"

// managedNode is what the kernel calls the node of its resource manager. Any
// other is the bare chip, which admits one opener.
var managedNode = regexp.MustCompile(`(?:^|/)tpmrm[0-9]+$`)

func dialSystem(path string) (*chip, error) {
	bare := !managedNode.MatchString(path)
	return &chip{wire: &node{path: path}, raw: bare, exclusive: bare}, nil
}

// A node is a TPM device node, open from the first command on and again after
// an error, so that a device that went away may come back.
type node struct {
	path string
	tpm  transport.TPMCloser
}

func (n *node) send(command []byte) ([]byte, error) {
	if n.tpm == nil {
		tpm, err := linuxtpm.Open(n.path)
		if err != nil {
			return nil, unreachable(err)
		}
		n.tpm = tpm
	}
	response, err := n.tpm.Send(command)
	if err != nil {
		return nil, errors.Join(unreachable(err), n.close())
	}
	return response, nil
}

// interrupt does nothing: a command that the chip works on cannot be taken back.
func (n *node) interrupt() {}

func (n *node) close() error {
	if n.tpm == nil {
		return nil
	}
	err := n.tpm.Close()
	n.tpm = nil
	return err
}
