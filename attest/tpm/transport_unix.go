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

var managedNode = regexp.MustCompile(`(?:^|/)tpmrm[0-9]+$`)

// openSystem returns the wire to a device node. The names of the kernel tell
// which kind it is: tpmrm is the resource manager, anything else the bare chip.
func openSystem(path string) (w wire, raw bool, err error) {
	return &node{path: path}, !managedNode.MatchString(path), nil
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
